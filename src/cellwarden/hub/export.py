"""Tables of the store as CSV, Parquet, or the Battery Data Format.

Rules
- What may leave is a list; accounts are not on it.
- Rows come in no particular order: their own columns say where they belong. BDF is ordered.
- In CSV a text that a spreadsheet would take for a formula gets an apostrophe in front; whoever
  needs every byte takes Parquet.
- BDF holds one device: pack voltage and current, the hottest sensor, ambient temperature; a reading
  that is missing is an empty field.
"""

from collections.abc import Generator
from pathlib import Path
from typing import Final, Literal

from cellwarden.domain import QUANTITIES, check_name
from cellwarden.errors import UnavailableError, UsageError
from cellwarden.hub.store import Store

__all__ = ["TABLES", "Form", "export_table", "form_of", "stream_table"]

Form = Literal["parquet", "csv", "bdf"]
TABLES: Final = (
    "sample",
    "batch",
    "leaf",
    "checkpoint",
    "refusal",
    "device",
    "pack",
    "finding",
    "verdict",
    "audit",
)
_OF_A_DEVICE: Final = frozenset(TABLES) - {"checkpoint", "refusal", "audit"}
_FORMULA: Final = "^[=+@\\t\\r-]"
_BDF: Final = {
    "test_time_second": "unix_time_second - min(unix_time_second) OVER ()",
    "voltage_volt": "nullif(voltage_volt, 'nan'::FLOAT)",
    "current_ampere": "nullif(current_ampere, 'nan'::FLOAT)",
    "unix_time_second": "unix_time_second",
    "ambient_temperature_celsius": "nullif(ambient_temperature_celsius, 'nan'::FLOAT)",
    "surface_temperature_celsius": (
        "list_max(list_filter(cell_temperature_celsius, lambda x: NOT isnan(x)))"
    ),
}


def export_table(store: Store, table: str, path: Path, device: str | None = None) -> int:
    """Write a table to a file whose name says the form; how many bytes. [1]

    `.parquet`, `.csv`, and `.bdf.csv` or `.bdf` for the samples of one device.

    Raises:
        UsageError: no such table, or no such form.
        UnavailableError: the disk does not take it.
    """
    form = form_of(path)
    count = 0
    try:
        with path.open("wb") as file:
            for chunk in stream_table(store, table, form, device):
                count += file.write(chunk)
    except OSError as error:
        raise UnavailableError(
            f"cannot write {path}: {error.strerror}", hint="Free the disk or make it writable."
        ) from error
    return count


def stream_table(
    store: Store, table: str, form: Form, device: str | None = None
) -> Generator[bytes, None, None]:
    """The same as the bytes of a file, bit by bit.

    Raises:
        UsageError: no such table, or no such form of it.
    """
    if table not in TABLES:
        raise UsageError(f"there is no table {table!r}", hint=f"One of: {', '.join(TABLES)}.")
    if device is not None:
        check_name(device)
    if form == "bdf":
        if table != "sample" or device is None:
            raise UsageError(
                "the Battery Data Format holds the samples of one device",
                hint="Ask for table sample and name a device.",
            )
        return store.copy_out(_bdf_query(), [device], "csv", ordered=True)
    if device is not None and table not in _OF_A_DEVICE:
        raise UsageError(f"{table} is not kept by device", hint="Leave the device out.")
    columns = _columns(store, table) if form == "csv" else "*"
    where = "" if device is None else " WHERE device = ?"
    query = f"SELECT {columns} FROM {table}{where}"
    return store.copy_out(query, [] if device is None else [device], form)


def form_of(path: Path) -> Form:
    """The form that a file's name asks for.

    Raises:
        UsageError: it asks for none.
    """
    match path.suffixes[-2:]:
        case [*_, ".bdf"] | [".bdf", ".csv"]:
            return "bdf"
        case [*_, ".parquet"]:
            return "parquet"
        case [*_, ".csv"]:
            return "csv"
        case _:
            raise UsageError(
                f"{path.name} does not say its form", hint="End it in .parquet, .csv or .bdf.csv."
            )


def _columns(store: Store, table: str) -> str:
    """Columns for CSV, texts made harmless."""
    told = store.rows(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_catalog = current_database() AND table_name = ? ORDER BY ordinal_position",
        [table],
    )
    return ", ".join(
        f"CASE WHEN regexp_matches({name}, '{_FORMULA}') THEN '''' || {name} ELSE {name} END"
        f" AS {name}"
        if kind == "VARCHAR"
        else name
        for name, kind in told
    )


def _bdf_query() -> str:
    columns = ", ".join(f'{told} AS "{QUANTITIES[name].bdf_label}"' for name, told in _BDF.items())
    return (
        f"SELECT {columns} FROM sample WHERE device = ?"
        " ORDER BY unix_time_second, leaf_index, frame_index"
    )

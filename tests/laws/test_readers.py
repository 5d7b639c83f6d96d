"""Laws of readers: any bytes give a record, a table or a DataError; what was written reads back."""

import os
import zipfile
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cellwarden.domain import Series, Table
from cellwarden.errors import DataError
from cellwarden.readers import ColumnMapping, Guess, guess, load, read, read_table, write_bdf
from cellwarden.readers.remarks import Watch

VECTORS = Path(__file__).parents[1] / "vectors" / "readers"
DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
WORKBOOK = DATA / "calce_cs2" / "native" / "CS2_35_8_19_10.xlsx"
SAMPLES = sorted(path for path in VECTORS.iterdir() if path.suffix != ".md")


def take(content: bytes, name: str = "record.csv") -> Series | Table | DataError:
    """What is in it or the refusal; anything else escapes and fails the law."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        found: Guess | Series | Table | DataError
        for attempt in (guess, read_table, read, load):
            try:
                found = attempt(path)
            except DataError as error:
                found = error
            if isinstance(found, DataError):
                assert found.hint
                assert name in str(found)
        assert isinstance(found, Series | Table | DataError)
        return found


@st.composite
def mutated(draw: st.DrawFn, whole: bytes) -> bytes:
    """Real bytes with some overwritten, put in, taken out or cut off."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        match draw(st.sampled_from(["overwrite", "insert", "remove", "cut"])):
            case "overwrite":
                piece = draw(st.binary(min_size=1, max_size=8))
                content[at : at + len(piece)] = piece
            case "insert":
                content[at:at] = draw(st.binary(min_size=1, max_size=32))
            case "remove":
                del content[at : at + draw(st.integers(1, 64))]
            case _:
                del content[at:]
    return bytes(content)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=4096))
def test_random_bytes_give_a_series_or_a_data_error(content: bytes) -> None:
    take(content)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(
        [b"PAR1", b"PK\x03\x04", b"time_s,Volts,Amps\n", b"\xff\xfe", b"~Time[s]\tU\tI\n"]
    ),
    st.binary(max_size=2048),
)
def test_random_bytes_behind_a_true_head_give_a_series_or_a_data_error(
    head: bytes, rest: bytes
) -> None:
    take(head + rest)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_mutated_records_give_a_series_or_a_data_error(sample: Path, data: st.DataObject) -> None:
    take(data.draw(mutated(sample.read_bytes())), sample.name)


@pytest.mark.skipif(not WORKBOOK.exists(), reason="needs calce_cs2 under CELLWARDEN_DATA")
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_mutated_workbook_gives_a_series_or_a_data_error(data: st.DataObject) -> None:
    take(data.draw(mutated(WORKBOOK.read_bytes())), "record.xlsx")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(st.text("0123456789.,;-eE:/ \t\"'CDRnaif°\x00\n", max_size=12), max_size=6),
        max_size=20,
    )
)
def test_odd_cells_under_true_labels_give_a_series_or_a_data_error(rows: list[list[str]]) -> None:
    head = "Date Time,Test Time (s),Voltage (V),Current (A),State,Charge Capacity (Ah)\n"
    take((head + "\n".join(",".join(row) for row in rows)).encode())


@settings(max_examples=30, deadline=None)
@given(
    st.text("<>/=\"' rowcvt1Ax:isPK&;!", max_size=200), st.text("<>/=\"' rowcvtn1A&;", max_size=200)
)
def test_odd_xml_in_a_sound_archive_gives_a_data_error(book: str, sheet: str) -> None:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/workbook.xml", f"<workbook>{book}</workbook>")
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            '<Relationships><Relationship Id="r1" Target="worksheets/sheet1.xml"/></Relationships>',
        )
        archive.writestr("xl/worksheets/sheet1.xml", f"<worksheet>{sheet}</worksheet>")
    assert isinstance(take(buffer.getvalue(), "record.xlsx"), DataError)


FINITE = st.floats(-1e6, 1e6, allow_subnormal=False)
LENGTHS = st.shared(st.integers(1, 30), key="rows")


@settings(max_examples=40, deadline=None)
@given(
    suffix=st.sampled_from([".csv", ".bdf", ".parquet"]),
    time=arrays(np.float64, LENGTHS, elements=FINITE),
    voltage=arrays(np.float64, LENGTHS, elements=st.one_of(FINITE, st.just(np.nan))),
    current=arrays(np.float64, LENGTHS, elements=FINITE),
    cycle=arrays(np.int64, LENGTHS, elements=st.integers(-(2**52), 2**52)),
)
def test_bdf_round_trips_whatever_a_series_holds(
    suffix: str, time: np.ndarray, voltage: np.ndarray, current: np.ndarray, cycle: np.ndarray
) -> None:
    voltage[0] = 3.7
    series = Series("cell", time, voltage, current + 0.0, cycle_count=cycle)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"cell{suffix}"
        write_bdf(series, path)
        again = read(path, mapping=ColumnMapping(current_sign=1, units={"voltage_volt": "V"}))
    for name, column in series.columns().items():
        assert np.array_equal(again.columns()[name], column, equal_nan=True), name


CELLS = st.text("abcdefgh 0123456789.-_", min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(
    labels=st.lists(
        st.text("abcdefgh", min_size=3, max_size=8), min_size=3, max_size=5, unique=True
    ),
    rows=st.lists(
        st.lists(st.one_of(FINITE.map(repr), CELLS), min_size=5, max_size=5), min_size=1, max_size=9
    ),
)
def test_a_table_keeps_every_cell(labels: list[str], rows: list[list[str]]) -> None:
    width = len(labels)
    text = "\n".join(",".join(row[:width]) for row in [labels, *rows]) + "\n"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_text(text)
        try:
            table = read_table(path)
        except DataError:
            return  # cells that agree on no width: no table
    if tuple(table) != tuple(labels):
        return  # labels that are numbers are none
    kept = [row for row in rows if any(cell.strip() for cell in row[:width])]
    assert len(table) == len(kept)
    for index, label in enumerate(labels):
        column = table[label]
        for cell, row in zip(column, kept, strict=True):
            if column.dtype.kind == "f":
                assert float(cell) == float(row[index]) if row[index].strip() else np.isnan(cell)
            else:
                assert cell == row[index].strip()


@settings(max_examples=30, deadline=None)
@given(data=st.data(), rows=st.integers(2, 400))
def test_remarks_do_not_depend_on_how_a_record_is_cut(data: st.DataObject, rows: int) -> None:
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    columns = {
        "test_time_second": np.cumsum(draw.choice([-5.0, 0.0, 1.0, 10.0, 9000.0], rows)),
        "voltage_volt": draw.choice([0.0, 3.6, 3.7, 3.7, 3.7, 9.0, np.nan], rows),
        "current_ampere": draw.choice([0.0, 1.0, 1.0, -1.0, 2e5, np.nan], rows),
        "charging_capacity_ah": np.cumsum(draw.choice([-0.5, 0.0, 0.1], rows)),
    }
    watch, start = Watch(block=data.draw(st.integers(2, 64))), 0
    whole = Watch(block=watch.block)
    whole.feed(columns)
    while start < rows:
        stop = start + data.draw(st.integers(1, rows))
        watch.feed({name: column[start:stop] for name, column in columns.items()})
        start = stop
    assert watch.close() == whole.close()

"""Arbin's own record: the .res file of MITS Pro 4 to 8, a Microsoft Jet 4 database.

Facts
- Channel_Normal_Table has a row a reading. Units are V, A, Ah, Wh, s and Ω; positive current
  charges. Test_Time counts through the test, the counters of charge and energy until the
  schedule resets them. Rows are put in the order of Data_Point, which is the tester's own.
- DateTime is days since 1899-12-30 in the tester's local time; it names no zone and is taken as
  UTC. Its resolution is one second.
- Global_Table names the test, and gives the cell's capacity in Ah where the user entered it.
- Auxiliary_Table holds further sensors by number. What each number measures stands only in the
  tester's wiring, so they are left out, and a remark says so.

Made from files of MITS Pro 4.32 (schema 5.26) and 7.0 (schema 20171213).
"""

from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Remark
from cellwarden.errors import DecodeError
from cellwarden.readers.columns import ZONE_NOTE
from cellwarden.readers.draft import Draft, Identity, settle
from cellwarden.readers.jet import Database, open_jet
from cellwarden.readers.mapping import ColumnGuess, ColumnMapping, Guess

__all__ = ["draft"]

_STATED: Final = "as Arbin testers write it"
_ROWS: Final = "Channel_Normal_Table"
_TESTS: Final = "Global_Table"
_SENSORS: Final = "Auxiliary_Table"
_TEST, _POINT, _CLOCK = "Test_ID", "Data_Point", "DateTime"
# Column of the file -> field of a series, unit.
_FIELDS: Final = {
    "Test_Time": ("test_time_second", "s"),
    _CLOCK: ("unix_time_second", "d"),
    "Voltage": ("voltage_volt", "V"),
    "Current": ("current_ampere", "A"),
    "Cycle_Index": ("cycle_count", "1"),
    "Step_Index": ("step_index", "1"),
    "Charge_Capacity": ("charging_capacity_ah", "Ah"),
    "Discharge_Capacity": ("discharging_capacity_ah", "Ah"),
    "Charge_Energy": ("charging_energy_wh", "Wh"),
    "Discharge_Energy": ("discharging_energy_wh", "Wh"),
    "Internal_Resistance": ("internal_resistance_ohm", "Ω"),
}
_DAY_SECOND: Final = 86_400.0
_EPOCH_DAYS: Final = 25_569.0  # from 1899-12-30, Jet's day zero, to 1970-01-01

_Column = Float64[np.ndarray, " time"]


def draft(path: Path, mapping: ColumnMapping, name: str | None, limit: int) -> Draft:
    """A draft of an Arbin .res file.

    Raises:
        DataError: it is another database, or damaged.
    """
    database = open_jet(path)
    tables = database.tables()
    if _ROWS not in tables:
        raise DecodeError(
            f"{path}: a database without {_ROWS}; it has {', '.join(tables)[:300] or 'no table'}",
            hint="Only Arbin's .res databases are read: export the record as CSV.",
        )
    rows = database.definition(tables[_ROWS])
    there = [column for column in _FIELDS if column in rows.columns]
    found = database.numbers(rows, [_TEST, _POINT, *there])
    order = np.lexsort((found[_POINT], found[_TEST]))[:limit]
    test = found.pop(_TEST)[order]
    del found[_POINT]
    columns = {_FIELDS[label][0]: _converted(label, found[label][order]) for label in there}
    notes: list[Remark | str] = [ZONE_NOTE]
    begun = np.flatnonzero(np.diff(test) != 0) + 2
    if begun.size:
        text = f"holds {begun.size + 1} tests, one after the other, by Test_ID"
        notes.append(Remark("many_records", text, "", begun.size + 1, int(begun[0])))
    notes += _left_out(database, tables)
    labels = tuple(_column_guess(label) for label in rows.columns)
    guess = Guess(str(path), "Arbin .res database", labels, layout=f"table {_ROWS}")
    title, nominal = _identity(database, tables)
    identity = Identity(name or title or path.stem, nominal)
    return settle(columns, guess, identity, mapping, stated=_STATED, notes=tuple(notes))


def _converted(label: str, values: _Column) -> _Column:
    if label == _CLOCK:
        # Serial days; their float64 holds the clock to a few microseconds.
        with np.errstate(over="ignore"):  # a damaged clock is infinite, which is remarked on
            return np.round((values - _EPOCH_DAYS) * _DAY_SECOND, 3)
    return values


def _column_guess(label: str) -> ColumnGuess:
    if label not in _FIELDS:
        return ColumnGuess(label, None, evidence="no field of a series")
    field, unit = _FIELDS[label]
    if label == _CLOCK:
        evidence = "days since 1899-12-30"
        return ColumnGuess(label, field, unit, _DAY_SECOND, -_EPOCH_DAYS * _DAY_SECOND, evidence)
    return ColumnGuess(label, field, unit, evidence="the format's own column")


def _identity(database: Database, tables: dict[str, int]) -> tuple[str, float | None]:
    """The name of the test, and the capacity the user entered, if any. [Ah]"""
    if _TESTS not in tables:
        return "", None
    tests = database.definition(tables[_TESTS])
    named = database.texts(tests, "Test_Name")[:1] if "Test_Name" in tests.columns else []
    sized = np.zeros(0)
    if "Capacity" in tests.columns:
        sized = database.numbers(tests, ["Capacity"])["Capacity"]
    # Single precision in the file; one that was never entered is zero.
    nominal = float(f"{sized[0]:.7g}") if len(sized) else 0.0
    return "".join(named).strip(), nominal if 0 < nominal < np.inf else None


def _left_out(database: Database, tables: dict[str, int]) -> list[str]:
    if _SENSORS not in tables:
        return []
    count = database.definition(tables[_SENSORS]).row_count
    return [f"{count} readings of auxiliary sensors are left out"] if count else []

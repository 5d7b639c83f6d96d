from dataclasses import replace

import pytest

from cellwarden.control.fault_rows import fault_rows
from cellwarden.control.fault_table import SUNSPEC_EVENTS, FaultRow, check, millisecond, second
from cellwarden.domain import Board, Reaction
from cellwarden.errors import UsageError
from control.sound import pack

ROWS = fault_rows(pack(), Board())


def row(name: str = "cell_voltage_high_maximum") -> FaultRow:
    return next(row for row in ROWS if row.name == name)


def test_two_hundred_milliseconds_are_a_fifth_of_a_second() -> None:
    assert millisecond(200) == pytest.approx(second(0.2))
    assert millisecond(2000) == second(2)


def test_the_numbers_of_sunspec_events_are_those_of_model_802() -> None:
    bits = {"OVER_TEMP_ALARM": 1, "OVER_VOLT_ALARM": 9, "CONTACTOR_ERROR": 20, "GROUND_FAULT": 22}
    bits |= {"COMMUNICATION_ERROR": 0, "OTHER_WARNING": 26, "CONFIGURATION_WARNING": 29}
    assert {name: SUNSPEC_EVENTS.index(name) for name in bits} == bits
    assert row().sunspec_bit == 9
    assert row("cell_voltage_high_operating").sunspec_bit is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"event_count": 0}, "event"),
        ({"limit": float("nan")}, "limit"),
        ({"hysteresis": -1.0}, "hysteresis"),
        ({"hold_second": second(-1)}, "below zero"),
        ({"reaction": Reaction.WARN}, "waits to open"),
        ({"sunspec_event": "HOT"}, "SunSpec"),
        ({"event_count": 500}, "takes up to"),
        ({"allowance_second": millisecond(100)}, "takes up to"),
    ],
)
def test_a_row_that_cannot_be_is_refused_when_the_table_is_built(
    change: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        check((replace(row(), **change),), 0.1)  # type: ignore[arg-type]


def test_a_row_that_stands_there_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        check((row(), row()), 0.1)


def test_a_cycle_too_slow_for_the_allowances_is_refused() -> None:
    with pytest.raises(UsageError, match="takes up to"):
        fault_rows(pack(), Board(period_second=1.0))

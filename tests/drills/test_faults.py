import pytest

from cellwarden.drills import faults
from cellwarden.drills.faults import Outcome
from cellwarden.drills.scene import CONDITIONS

ROWS = (
    "cell_voltage_high_maximum",
    "discharge_temperature_low_recommended",
    "second_monitor",
    "cell_voltage_missing",
    "contactor_plus_feedback",
    "chain_broken",
    "open_wire",
    "cell_voltage_stale",
)


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return faults.sweep(CONDITIONS[0], ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_what_is_beyond_a_limit_is_seen_in_time_and_what_is_not_is_not(
    outcomes: list[Outcome], row: str
) -> None:
    of_row = [one for one in outcomes if one.row == row]
    assert any(one.beyond for one in of_row)
    for one in of_row:
        assert one.detected == one.beyond, one
        assert not one.late, one


def test_one_code_beyond_the_limit_of_a_cell_is_enough(outcomes: list[Outcome]) -> None:
    seen = [one.margin for one in outcomes if one.row == ROWS[0] and one.detected]
    assert min(seen) == pytest.approx(1e-4, abs=1e-6)


def test_a_reaction_after_its_allowance_is_late() -> None:
    base = ("row", "here", "codes", 1.0, "V", None, True)
    assert Outcome(*base, detected=True, reaction_second=1.1, allowance_second=1.0).late
    assert not Outcome(*base, detected=True, reaction_second=1.0, allowance_second=1.0).late

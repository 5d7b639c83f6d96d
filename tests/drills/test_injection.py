import pytest

from cellwarden.control.fault_rows import fault_rows
from cellwarden.domain import Board
from cellwarden.drills.injection import Window, field_unit, lasting, numbered
from control.sound import pack

ROWS = {row.name: row for row in fault_rows(pack(), Board())}


def nothing(*_: object) -> None:
    """Spoil nothing."""


@pytest.mark.parametrize("name", ["cell_voltage_high_maximum", "cell_voltage_low_maximum"])
def test_levels_run_from_far_beyond_a_limit_to_just_within(name: str) -> None:
    row = ROWS[name]
    made = numbered(row, "codes", nothing, lambda level: round(level / 1e-4) * 1e-4, 1e-4)
    sign = -1.0 if row.low else 1.0
    depths = [sign * (level - row.limit) for level in made.levels]
    assert depths == sorted(depths, reverse=True)
    assert all(depth > 5e-5 for depth in depths[: made.beyond_count])
    assert min(depths[: made.beyond_count]) == pytest.approx(1e-4, abs=1e-5)
    assert all(depth < 1e-9 for depth in depths[made.beyond_count :])
    assert len(depths) > made.beyond_count


def test_what_cannot_be_sent_is_not_tried() -> None:
    row = ROWS["cell_voltage_high_maximum"]
    made = numbered(row, "codes", nothing, lambda level: level, 1e-4, reach=(0.0, 4.3))
    assert max(made.levels) <= 4.3


def test_a_fault_that_lasts_is_tried_a_cycle_too_short() -> None:
    row = ROWS["interlock_open"]
    made = lasting(row, "codes", nothing, 0.1)
    enough = 0.1 * row.event_count
    assert made.levels[made.beyond_count - 1] == pytest.approx(enough)
    assert made.levels[made.beyond_count] == pytest.approx(enough - 0.1)


def test_a_window_holds_from_its_first_cycle_to_before_its_last() -> None:
    window = Window(1.0, 1.3)
    held = [second for second in (0.9, 1.0, 1.1, 1.2, 1.3) if window.holds(second)]
    assert held == [1.0, 1.1, 1.2]
    assert field_unit("voltage_volt") == 0.001

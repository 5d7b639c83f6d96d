import pytest

from cellwarden.control.fault_rows import fault_rows
from cellwarden.control.signals import SIGNALS, Signal
from cellwarden.domain import CHEMISTRIES, Board, Reaction, Severity
from control.sound import pack


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
@pytest.mark.parametrize("cells", [1, 24, 200])
def test_every_chemistry_and_size_has_a_sound_table(chemistry: str, cells: int) -> None:
    rows = fault_rows(pack(chemistry, cells), Board())
    assert 60 <= len(rows) <= 85
    assert len({row.name for row in rows}) == len(rows)


def test_every_signal_is_read_by_a_row_and_explained() -> None:
    read = {row.signal for row in fault_rows(pack(), Board())}
    assert read == set(Signal) == set(SIGNALS)


def test_the_three_tiers_are_the_cells_own_and_grow_in_severity() -> None:
    rows = {row.name: row for row in fault_rows(pack(), Board())}
    limits = pack().cell.limits
    for tier, severity in (
        ("operating", Severity.INFO),
        ("recommended", Severity.WARNING),
        ("maximum", Severity.ALARM),
    ):
        row = rows[f"cell_voltage_high_{tier}"]
        assert row.limit == getattr(limits, tier).high_voltage_volt
        assert row.severity is severity
        cold = rows[f"charge_temperature_low_{tier}"]
        assert cold.low
        assert cold.limit == getattr(limits, tier).low_charge_temperature_celsius


def test_what_leaves_the_maximum_tier_opens_and_latches() -> None:
    for row in fault_rows(pack(), Board()):
        if row.name.endswith("_maximum"):
            assert row.reaction is Reaction.OPEN
            assert row.latched
        if row.name.endswith("_operating"):
            assert row.reaction is Reaction.RECORD


def test_deep_discharge_lies_below_the_lowest_tier() -> None:
    for chemistry in CHEMISTRIES:
        rows = {row.name: row for row in fault_rows(pack(chemistry), Board())}
        assert rows["cell_deep_discharge"].limit < rows["cell_voltage_low_maximum"].limit


def test_currents_are_those_of_the_pack_and_not_of_one_of_its_cells() -> None:
    from cellwarden.domain import Pack

    cell = pack().cell
    rows = {row.name: row for row in fault_rows(Pack("p", cell, 4, parallel_count=3), Board())}
    limit = cell.limits.maximum.high_discharge_current_ampere
    assert rows["discharge_current_maximum"].limit == pytest.approx(3 * limit)

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.domain import CHEMISTRIES, Cell, LimitTiers, tiers
from cellwarden.errors import UsageError

KINDS = st.sampled_from(sorted(CHEMISTRIES))


@given(KINDS, st.floats(1e-3, 1e4))
def test_tiers_nest_for_every_chemistry_and_size(name: str, capacity: float) -> None:
    limits = tiers(CHEMISTRIES[name], capacity)
    assert limits.operating.within(limits.recommended)
    assert limits.recommended.within(limits.maximum)
    assert not limits.maximum.within(limits.operating)


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_no_tier_leaves_the_temperatures_of_the_data_sheet(name: str) -> None:
    chemistry, limits = CHEMISTRIES[name], tiers(CHEMISTRIES[name], 3.0)
    low, high = "low_charge_temperature_celsius", "high_discharge_temperature_celsius"
    assert getattr(limits.maximum, low) == getattr(chemistry, low)
    assert getattr(limits.maximum, high) == getattr(chemistry, high)


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_a_full_charge_lies_inside_operating_and_a_little_more_does_not(name: str) -> None:
    chemistry, limits = CHEMISTRIES[name], tiers(CHEMISTRIES[name], 3.0)
    assert limits.operating.low_voltage_volt < chemistry.low_voltage_volt
    assert limits.operating.high_voltage_volt > chemistry.high_voltage_volt
    assert limits.maximum.high_voltage_volt <= chemistry.high_voltage_volt + 0.05


def test_tiers_that_do_not_nest_are_refused() -> None:
    limits = tiers(CHEMISTRIES["NMC"], 3.0)
    wide = replace(limits.operating, high_voltage_volt=5.0)
    with pytest.raises(UsageError):
        LimitTiers(wide, limits.recommended, limits.maximum)
    with pytest.raises(UsageError):
        LimitTiers(limits.maximum, limits.recommended, limits.operating)


@pytest.mark.parametrize("capacity", [0.0, -1.0, float("nan")])
def test_a_cell_without_capacity_is_refused(capacity: float) -> None:
    chemistry = CHEMISTRIES["NMC"]
    with pytest.raises(UsageError):
        Cell(chemistry, capacity, tiers(chemistry, 3.0))

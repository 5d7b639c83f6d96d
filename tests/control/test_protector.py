import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.control.fault_rows import fault_rows
from cellwarden.control.protector import check, clamp
from cellwarden.control.signals import Signal
from cellwarden.domain import Board, Cell, CellLimits, LimitTiers, Pack, Reaction, chemistry_named
from cellwarden.domain.cell import tiers
from cellwarden.errors import UsageError

NMC = chemistry_named("NMC")
CELL = Cell(NMC, 50.0, tiers(NMC, 50.0))
PACK = Pack("pack", CELL, 16)
EDGE = CELL.limits.maximum
FIELDS = (
    "low_voltage_volt",
    "high_voltage_volt",
    "low_charge_temperature_celsius",
    "high_charge_temperature_celsius",
    "low_discharge_temperature_celsius",
    "high_discharge_temperature_celsius",
    "high_charge_current_ampere",
    "high_discharge_current_ampere",
)


def moved(limits: CellLimits, field: str, by: float) -> CellLimits:
    """Limits with one edge further out by so much, inside for a negative amount."""
    outwards = -by if field.startswith("low_") else by
    return replace(limits, **{field: getattr(limits, field) + outwards})


def test_a_pack_set_to_its_protectors_limits_or_inside_them_is_taken() -> None:
    check(PACK, fault_rows(PACK, Board()), EDGE)
    for field in FIELDS:
        check(PACK, fault_rows(PACK, Board()), moved(EDGE, field, 1.0))


@pytest.mark.parametrize("field", FIELDS)
def test_a_tier_that_is_wider_than_the_protector_in_any_way_is_refused(field: str) -> None:
    wide = LimitTiers(
        CELL.limits.operating, CELL.limits.recommended, moved(CELL.limits.maximum, field, 0.001)
    )
    pack = Pack("pack", Cell(NMC, 50.0, wide), 16)
    with pytest.raises(UsageError, match="wider than the protector"):
        check(pack, fault_rows(pack, Board()), EDGE)


@pytest.mark.parametrize("field", FIELDS)
def test_a_protector_with_a_limit_that_is_no_number_is_refused(field: str) -> None:
    with pytest.raises(UsageError, match="no number"):
        check(PACK, fault_rows(PACK, Board()), replace(EDGE, **{field: math.nan}))


@pytest.mark.parametrize(
    ("signal", "low"),
    [
        (Signal.HIGH_CELL_VOLTAGE, False),
        (Signal.LOW_CELL_VOLTAGE, True),
        (Signal.CHARGE_CURRENT, False),
        (Signal.DISCHARGE_CURRENT, False),
        (Signal.HIGH_CHARGE_TEMPERATURE, False),
        (Signal.LOW_DISCHARGE_TEMPERATURE, True),
    ],
)
def test_a_fault_table_that_opens_too_late_or_not_at_all_is_refused(
    signal: Signal, *, low: bool
) -> None:
    rows = fault_rows(PACK, Board())
    opens = [
        row for row in rows if (row.signal, row.low, row.reaction) == (signal, low, Reaction.OPEN)
    ]
    assert opens
    far = tuple(
        replace(row, limit=row.limit + (-100.0 if low else 100.0)) if row in opens else row
        for row in rows
    )
    silent = tuple(replace(row, reaction=Reaction.WARN) if row in opens else row for row in rows)
    for table in (far, silent, tuple(row for row in rows if row not in opens)):
        with pytest.raises(UsageError, match="no row of the fault table opens"):
            check(PACK, table, EDGE)


anything = st.floats(allow_nan=True, allow_infinity=True)


@given(wanted=anything, most=st.lists(anything, min_size=1, max_size=4))
def test_what_is_left_is_no_more_than_any_limit_and_nothing_where_one_is_unknown(
    wanted: float, most: list[float]
) -> None:
    left = clamp(wanted, *most)
    assert left >= 0.0
    if any(math.isnan(value) for value in (wanted, *most)):
        assert left == 0.0
    else:
        assert all(left <= max(value, 0.0) for value in (wanted, *most))

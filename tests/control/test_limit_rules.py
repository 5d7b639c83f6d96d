from dataclasses import replace

import numpy as np
import pytest

from cellwarden.control.limit_rules import Ways, collect, pack_volt, view_of
from cellwarden.control.limit_settings import Known, limits_of
from cellwarden.control.prospect import Lags
from cellwarden.domain import (
    Capability,
    Ceiling,
    Condition,
    Diagnosis,
    Inputs,
    Reaction,
    Reading,
    Restraint,
    Trouble,
)
from control.scene import NOW, charge_of, condition_of, pack_of, reading_of

LIMITS = limits_of(pack_of())
VOLTS = [3.7, 3.71, 3.69, 3.7]
NAN = float("nan")
LATE = 10.0


def rules(
    reading: Reading, known: Known | None = None, waited: float = 0.0
) -> tuple[dict[str, Restraint], dict[str, Restraint], Ways]:
    told = Known(charge_of(0.5), condition_of()) if known is None else known
    believed = Lags(), view_of(LIMITS, reading, told)
    ways = collect(LIMITS, reading, told, believed, (waited, waited))
    charge = {rule.name: rule for rule in ways.charge.rules}
    return charge, {rule.name: rule for rule in ways.discharge.rules}, ways


def test_a_healthy_pack_in_the_middle_is_held_back_by_nothing() -> None:
    charge, discharge, ways = rules(reading_of(VOLTS))
    assert charge == discharge == {}
    assert ways.whole
    assert ways.hottest_celsius == 25.0


def test_the_highest_cell_holds_charging_back_and_the_lowest_discharging() -> None:
    charge, discharge, _ = rules(reading_of([3.7, 4.205, 3.7, 3.7]))
    assert charge["voltage"].item == 1
    assert charge["voltage"].value == pytest.approx(4.205)
    assert charge["voltage"].limit_ampere == pytest.approx(25.0, rel=1e-3)
    assert "voltage" not in discharge
    charge, discharge, _ = rules(reading_of([3.7, 3.7, 3.7, 2.825]))
    assert discharge["voltage"].item == 3
    assert "voltage" not in charge


def test_a_deeply_discharged_cell_is_charged_gently_and_below_the_last_tier_not_at_all() -> None:
    gentle, _, _ = rules(reading_of([3.2, 2.7, 3.2, 3.2]))
    assert gentle["deep_discharge"].limit_ampere == pytest.approx(5.0)
    assert gentle["deep_discharge"].item == 1
    refused, _, _ = rules(reading_of([3.2, 2.4, 3.2, 3.2]))
    assert refused["deep_discharge"].limit_ampere == 0.0


def test_heat_and_cold_are_told_apart_with_their_sensor() -> None:
    charge, discharge, _ = rules(reading_of(VOLTS, celsius=[25.0, 43.0]))
    assert charge["heat"].limit_ampere == pytest.approx(12.5)
    assert (charge["heat"].item, charge["heat"].value) == (1, 43.0)
    assert discharge == {}
    charge, discharge, _ = rules(reading_of(VOLTS, celsius=[-1.0, 25.0]))
    assert charge["cold"].limit_ampere == 0.0
    assert charge["cold"].item == 0
    assert 0.0 < discharge["cold"].limit_ampere < 150.0


def test_the_charge_is_used_two_deviations_to_the_worse_side() -> None:
    sure = rules(reading_of(VOLTS), Known(charge_of(0.96, std=0.001)))[0]
    unsure, other, _ = rules(reading_of(VOLTS), Known(charge_of([0.9, 0.96, 0.9, 0.9], std=0.015)))
    assert "soc" not in sure
    assert unsure["soc"].value == pytest.approx(0.99)
    assert unsure["soc"].item == 1
    assert "soc" not in other


@pytest.mark.parametrize(
    "charge", [None, charge_of(0.5, clock=-61.0), charge_of([0.5, NAN, 0.5, 0.5])]
)
def test_a_charge_that_is_missing_or_stale_leaves_half(charge: object) -> None:
    by, back, ways = rules(reading_of(VOLTS), Known(charge))  # type: ignore[arg-type]
    assert by["missing_soc"].limit_ampere == 25.0
    assert back["missing_soc"].limit_ampere == 75.0
    assert ways.whole, "an estimate is no reading"


def test_an_aged_cell_and_one_that_is_not_known_are_spared() -> None:
    aged = Known(charge_of(0.5), condition_of([50.0, 50.0, 40.0, 50.0], [1.0, 1.0, 1.0, 2.25]))
    by, back, _ = rules(reading_of(VOLTS), aged)
    assert (by["health"].item, by["health"].value) == (2, 0.8)
    assert by["health"].limit_ampere == pytest.approx(40.0)
    assert by["resistance"].item == 3
    assert back["resistance"].limit_ampere == pytest.approx(100.0), "the heat stays as when new"
    blind = Known(charge_of(0.5), condition_of([50.0, NAN, 50.0, 50.0], [NAN, 1.0, 1.0, 1.0]))
    by, _, _ = rules(reading_of(VOLTS), blind)
    assert by["health"].value == pytest.approx(0.7)
    assert by["resistance"].item == 0


@pytest.mark.parametrize(
    ("reading", "name"),
    [
        (reading_of([3.7, NAN, 3.7, 3.7]), "missing_voltage"),
        (reading_of(VOLTS, celsius=[NAN, NAN]), "missing_temperature"),
        (reading_of(VOLTS, celsius=[]), "missing_temperature"),
        (reading_of(VOLTS, ampere=NAN), "missing_current"),
        (reading_of([]), "missing_voltage"),
        (reading_of([3.7]), "missing_voltage"),
        (reading_of(VOLTS, inputs=Inputs(voltage_age_second=2.0)), "missing_voltage"),
    ],
)
def test_a_reading_that_stays_away_ends_charging(reading: Reading, name: str) -> None:
    by, back, ways = rules(reading, waited=LATE)
    assert by[name].limit_ampere == 0.0
    assert back[name].limit_ampere == pytest.approx(15.0)
    assert not ways.whole
    assert [wait.name for wait in rules(reading, waited=0.5)[2].waits] == [name]


def test_a_part_of_the_sensors_leaves_half() -> None:
    by, _, ways = rules(reading_of(VOLTS, celsius=[25.0, NAN]))
    assert by["missing_temperature"].limit_ampere == 25.0
    assert by["missing_temperature"].item == 1
    assert ways.whole
    assert [wait.name for wait in ways.waits] == ["missing_temperature"]
    assert rules(reading_of(VOLTS, celsius=[25.0, NAN]), waited=601.0)[2].waits == []


@pytest.mark.parametrize(
    ("reaction", "charge", "discharge"),
    [
        (Reaction.RECORD, None, None),
        (Reaction.WARN, None, None),
        (Reaction.DERATE, 25.0, 75.0),
        (Reaction.FORBID_CHARGE, 0.0, None),
        (Reaction.FORBID_CLOSE, 0.0, 75.0),
        (Reaction.OPEN, 0.0, 0.0),
    ],
)
def test_a_trouble_takes_what_its_reaction_says(
    reaction: Reaction, charge: float | None, discharge: float | None
) -> None:
    trouble = Trouble("open_wire", reaction, 0.0, 1.0, 0.5, item=2)
    by, back, _ = rules(reading_of(VOLTS), Known(charge_of(0.5), None, None, Diagnosis((trouble,))))
    for found, expected in ((by, charge), (back, discharge)):
        rule = found.get("fault.open_wire")
        assert (rule.limit_ampere if rule else None) == expected
        assert rule is None or rule.item == 2


def test_an_order_tightens_until_it_is_over_and_never_loosens() -> None:
    order = Ceiling("hub", 10.0, discharge_watt=1480.0, expires_clock_second=5.0)
    more = Ceiling("more", 1e9, 1e9)
    known = Known(charge_of(0.5), ceilings=(order, more))
    by, back, _ = rules(reading_of(VOLTS), known)
    assert set(by) == set(back) == {"order.hub"}
    assert by["order.hub"].limit_ampere == 10.0
    assert back["order.hub"].limit_ampere == pytest.approx(100.0, rel=1e-3)
    assert rules(reading_of(VOLTS, clock=5.0), known)[0] == {}


def test_a_forecast_from_outside_stands_in_for_our_own_bound_while_it_is_fresh() -> None:
    volts = [4.15, 4.15, 4.15, 4.15]
    own = rules(reading_of(volts), Known(charge_of(0.9)))[0]["forecast"].limit_ampere
    table = np.full((1, 4), 30.0)
    table[0, 2], table[0, 3] = 22.0, NAN

    def told(clock: float, row: np.ndarray) -> Known:
        return Known(charge_of(0.9), capability=Capability(NOW + clock, (10.0,), row, row))

    theirs = rules(reading_of(volts), told(0.0, table))[0]["forecast"]
    assert theirs.limit_ampere == min(22.0, own)
    assert theirs.item == (2 if own > 22.0 else 3)
    stale = rules(reading_of(volts), told(-61.0, table))[0]["forecast"]
    assert stale.limit_ampere == own
    nothing = rules(reading_of(volts), told(0.0, np.full((1, 4), -3.0)))[0]["forecast"]
    assert nothing.limit_ampere == 0.0


def test_the_packs_voltage_is_the_sum_of_the_cells_or_the_packs_own_or_its_widest_range() -> None:
    def volt(reading: Reading) -> tuple[float, float]:
        return pack_volt(LIMITS, reading, view_of(LIMITS, reading, Known()))

    assert volt(reading_of([3.0, 3.0, 3.0, 3.0])) == (12.0, 12.0)
    lost = reading_of([3.0, NAN, 3.0, 3.0])
    tier = LIMITS.pack.cell.limits.operating
    assert volt(lost) == (4 * tier.low_voltage_volt, 4 * tier.high_voltage_volt)
    assert volt(replace(lost, frame=replace(lost.frame, voltage_volt=12.5))) == (12.5, 12.5)


def test_a_condition_of_nonsense_counts_as_an_aged_cell() -> None:
    odd = Condition(np.array([50.0, -1.0, 0.0, np.inf]), np.array([0.0, -2.0, np.inf, 1.0]))
    view = view_of(LIMITS, reading_of(VOLTS), Known(condition=odd))
    assert np.array_equal(view.capacity_ah, [50.0, 35.0, 35.0, 35.0])
    assert np.array_equal(view.resistance_factor, [1.5, 1.5, 1.5, 1.0])


def test_estimates_of_another_pack_are_not_taken() -> None:
    other = Known(
        charge_of(0.5, count=3),
        condition_of(count=3),
        Capability(NOW, (10.0,), np.zeros((1, 3)), np.zeros((1, 3))),
    )
    by, _, _ = rules(reading_of(VOLTS), other)
    assert set(by) == {"missing_soc", "health", "resistance"}

from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cellwarden.cli.bench import load_script
from cellwarden.control.balance import Balanced, Balancing, Levelling, balancing_of, step
from cellwarden.control.bleed import Bleed
from cellwarden.domain import CHEMISTRIES, Board, Charge, Condition
from cellwarden.errors import UsageError
from control.scene import charge_of, condition_of, pack_of, reading_of

NAN = float("nan")
PACK = pack_of()
PLAIN = Balancing(PACK)
SHUTTLE = replace(PLAIN, shuttle_ampere=2.0)
VOLTS = [4.0, 4.0, 4.0, 4.0]
SHARP = Condition(np.full(4, 50.0), np.ones(4), np.full(4, 0.05))


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return load_script("balancing")


def levelled(
    how: Balancing, soc: np.ndarray, *, notices: bool, hours: float = 40.0, second: float = 10.0
) -> Iterator[tuple[float, np.ndarray, Balanced, Levelling]]:
    """Cells whose estimate knows the truth at first, and notices what levelling does, or not."""
    state, true = Balanced.begin(4), soc.copy()
    for index in range(int(hours * 3600.0 / second)):
        clock = index * second
        told = charge_of(true if notices else soc, clock, std=0.001)
        # Currents flow, so no rest ever corrects the estimate.
        reading = reading_of(VOLTS, clock, ampere=5.0)
        state, now = step(how, state, reading, told, SHARP, allowed=True)
        hour = second / 3600.0
        true = true - np.where(now.balance, 4.0 / how.bleed.ohm * hour, 0.0) / 50.0
        for move in now.moves:
            true[move.source] -= move.ampere * hour / 50.0
            true[move.sink] += 0.9 * move.ampere * hour / 50.0
        yield clock, true, state, now


LONG = replace(PLAIN, bleed=Bleed(turn_second=100.0, quiet_second=10.0))


@pytest.mark.parametrize("notices", [True, False])
def test_an_excess_is_bled_once_whether_or_not_the_estimate_notices(notices: bool) -> None:  # noqa: FBT001  a parameter
    soc = np.array([0.9, 0.92, 0.9, 0.9])
    *_, (_, true, state, now) = levelled(LONG, soc, notices=notices)
    assert np.ptp(true) < 0.002
    assert state.moved_ah == pytest.approx(1.0, rel=0.05)
    assert state.lost_wh == pytest.approx(4.0, rel=0.05)
    assert now.hours == 0.0
    assert now.hours_band is None


def test_the_forecast_holds_the_time_that_was_taken() -> None:
    soc = np.array([0.9, 0.91, 0.912, 0.9])
    steps = list(levelled(LONG, soc, notices=True, hours=20.0))
    _, _, _, told = next(row for row in steps if any(row[3].balance))
    took = max(clock for clock, _, _, now in steps if any(now.balance)) / 3600.0
    assert told.hours_band is not None
    assert told.hours_band.low <= took <= told.hours_band.high
    assert told.hours == pytest.approx(took, rel=0.05)
    assert told.cost_wh == pytest.approx(steps[-1][2].lost_wh, rel=0.05)


def test_carrying_charge_is_quicker_and_loses_less_than_burning_it() -> None:
    soc = np.array([0.9, 0.92, 0.9, 0.9])
    how = replace(LONG, shuttle_ampere=2.0)
    steps = list(levelled(how, soc, notices=True, hours=4.0))
    told, (_, true, state, _) = steps[0][3], steps[-1]
    assert np.ptp(true) < 0.002
    took = max(clock for clock, _, _, now in steps if now.moves) / 3600.0
    assert took == pytest.approx(told.hours, rel=0.1)
    assert state.lost_wh == pytest.approx(told.cost_wh, rel=0.1)
    assert state.lost_wh < 0.4


def test_aged_cells_are_not_bled_where_a_naive_rule_burns_a_pack_a_day(bench: ModuleType) -> None:
    config = replace(bench.AGED, duration_second=86_400.0)
    how = Balancing(config.pack(), bench.BLEED)
    ours, naive = bench.level(config, how), bench.level(config, how, naive=True)
    assert ours["lost_wh"] < 0.3
    assert naive["lost_wh"] > 30.0
    assert naive["imbalance_ah"] > 3.0 * ours["imbalance_ah"]


def test_the_twin_is_levelled_in_the_time_and_at_the_cost_that_was_told(bench: ModuleType) -> None:
    row = bench.level(
        replace(bench.UNEVEN, duration_second=21_600.0), Balancing(bench.UNEVEN.pack(), bench.BLEED)
    )
    assert row["told_low_hour"] <= row["took_hour"] <= row["told_high_hour"]
    assert row["lost_wh"] == pytest.approx(row["told_wh"], rel=0.1)


def once(
    how: Balancing = PLAIN, *, allowed: bool = True, celsius: object = 25.0, clock: float = 0.0
) -> Levelling:
    reading = reading_of(VOLTS, clock, celsius=celsius)
    charge = charge_of([0.9, 0.95, 0.9, 0.9], clock, std=0.001)
    return step(how, Balanced.begin(4), reading, charge, SHARP, allowed=allowed)[1]


@pytest.mark.parametrize("how", [PLAIN, SHUTTLE])
def test_nothing_is_levelled_where_it_may_not_be_and_the_reason_is_told(how: Balancing) -> None:
    good = once(how)
    assert any(good.balance) or good.moves
    assert good.reason == ""
    for bad, why in (
        (once(how, allowed=False), "not allowed"),
        (once(how, celsius=46.0), "too hot"),
        (once(how, celsius=[25.0, NAN]), "temperature is missing"),
        (once(how, celsius=[]), "temperature is missing"),
    ):
        assert not any(bad.balance)
        assert bad.moves == ()
        assert why in bad.reason
    quiet = once(how, clock=9.5)
    assert quiet.measuring
    assert not any(quiet.balance)
    assert quiet.moves == ()


def test_levelling_stops_in_the_step_in_which_it_is_no_longer_allowed() -> None:
    charge = charge_of([0.9, 0.95, 0.9, 0.9], std=0.001)
    state, told = step(PLAIN, Balanced.begin(4), reading_of(VOLTS), charge, SHARP, allowed=True)
    assert told.balance == (False, True, False, False)
    state, told = step(PLAIN, state, reading_of(VOLTS, 0.1), charge, SHARP, allowed=False)
    assert not any(told.balance)
    _, told = step(PLAIN, state, reading_of(VOLTS, 0.2), charge, SHARP, allowed=True)
    assert told.balance == (False, True, False, False)


def rested(
    volts: list[float], how: Balancing, seconds: list[float], ampere: float = 0.0
) -> list[Levelling]:
    state, out = Balanced.begin(4), []
    for clock in seconds:
        reading = reading_of(volts, clock, ampere=ampere)
        state, told = step(how, state, reading, None, SHARP, allowed=True)
        out.append(told)
    return out


def test_by_voltage_a_cell_is_bled_after_a_rest_only_and_above_the_threshold() -> None:
    how = replace(PLAIN, method="voltage")
    high = [4.08, 4.13, 4.08, 4.08]
    early, late = rested(high, how, [0.0, 1810.0])
    assert not any(early.balance)
    assert late.balance == (False, True, False, False)
    assert not any(rested(high, how, [0.0, 1810.0], ampere=20.0)[1].balance)
    assert not any(rested(high, how, [0.0, 1810.0], ampere=NAN)[1].balance)
    assert not any(rested([4.08, 4.085, 4.08, 4.08], how, [0.0, 1810.0])[1].balance)


def test_by_voltage_bleeding_goes_on_below_its_start_and_ends_at_its_stop() -> None:
    how = replace(PLAIN, method="voltage")
    state = Balanced.begin(4)
    seen = [(0.0, 4.13), (1810.0, 4.13), (1820.0, 4.087), (1830.0, 4.084), (1840.0, 4.087)]
    bled = []
    for clock, volt in seen:
        reading = reading_of([4.08, volt, 4.08, 4.08], clock)
        state, told = step(how, state, reading, None, SHARP, allowed=True)
        bled.append(told.balance[1])
    assert bled == [False, True, True, False, False]


def test_a_flat_curve_and_an_unknown_capacity_are_no_ground_for_bleeding() -> None:
    lfp = Balancing(pack_of("LFP"), method="voltage")
    state = Balanced.begin(4)
    for clock in (0.0, 1810.0):
        reading = reading_of([3.263, 3.274, 3.263, 3.263], clock)
        state, told = step(lfp, state, reading, None, SHARP, allowed=True)
    assert not any(told.balance)
    blind = step(
        PLAIN, Balanced.begin(4), reading_of(VOLTS), charge_of([0.5, 0.52, 0.5, 0.5], std=0.001),
        None, allowed=True,
    )[1]  # fmt: skip
    assert not any(blind.balance)


@settings(max_examples=60)
@given(st.data(), st.sampled_from([PLAIN, SHUTTLE, replace(PLAIN, method="voltage")]))
def test_whatever_comes_no_neighbours_bleed_and_no_debt_is_made_up(
    data: st.DataObject, how: Balancing
) -> None:
    volts = npst.arrays(
        np.float32, 4, elements=st.floats(2.0, 4.5, width=32) | st.just(float("nan"))
    )
    free = npst.arrays(np.float64, 4, elements=st.floats(-2.0, 60.0) | st.just(NAN))
    state, clock = Balanced.begin(4), 0.0
    for _ in range(data.draw(st.integers(1, 6))):
        clock += data.draw(st.sampled_from([0.1, 10.0, 2000.0, -3.0]))
        reading = reading_of(
            data.draw(volts), clock, celsius=data.draw(st.sampled_from([25.0, NAN]))
        )
        charge = Charge(
            reading.frame.unix_time_second, data.draw(free), np.full(4, 0.01), *[np.zeros(4)] * 2
        )
        condition = Condition(data.draw(free), np.ones(4))
        state, told = step(how, state, reading, charge, condition, allowed=True)
        assert len(told.balance) == 4
        assert not any(a and b for a, b in zip(told.balance, told.balance[1:], strict=False))
        assert np.isfinite(told.debt_ah).all()
        assert told.hours >= 0.0
        assert np.isfinite(told.cost_wh)
        assert np.isfinite(reading.frame.cell_voltage_volt[list(told.balance)]).all()


def test_a_reading_of_another_pack_is_not_levelled() -> None:
    told = step(
        PLAIN, Balanced.begin(4), reading_of([4.0, 4.0]), charge_of([0.9, 1.0], count=2), None,
        allowed=True,
    )[1]  # fmt: skip
    assert told.balance == (False,) * 4


@pytest.mark.parametrize(
    "wrong",
    [{"stop_volt": 0.02}, {"start_fraction": 0.0}, {"level_fraction": 1.1},
     {"shuttle_efficiency_fraction": 0.0}, {"shuttle_ampere": NAN}],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        replace(PLAIN, **wrong)


@pytest.mark.parametrize("kind", sorted(CHEMISTRIES))
def test_a_board_tells_its_chips_and_the_chemistry_its_floor(kind: str) -> None:
    how = balancing_of(pack_of(kind), Board(cells_per_monitor_count=7))
    assert how.bleed.cells_per_chip_count == 7
    assert how.bleed.low_volt > CHEMISTRIES[kind].low_voltage_volt
    assert condition_of().capacity_std_ah is None

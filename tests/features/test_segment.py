import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.errors import UsageError
from cellwarden.features import cut, samples
from cellwarden.features.segment import (
    EDGE_VOLT,
    SEGMENT_COLUMNS,
    TAPER_COLUMNS,
    WINDOW_COLUMNS,
    Logger,
    Segment,
    log,
    part,
    segment_features,
    segment_of,
)
from features.protocol import CAPACITY_AH, Protocol

NOMINAL_AH = 2.0
TAU_SECOND = 1200.0


def charge() -> Segment:
    """1 A from 3.55 V to 4.2 V evenly in two hours, then a taper of one time constant."""
    rise, fall = np.arange(0.0, 7200.0, 5.0), np.arange(0.0, 3 * TAU_SECOND, 5.0)
    time = np.concatenate([rise, 7200.0 + fall])
    volt = np.concatenate([3.55 + 0.65 * rise / 7200.0, np.full(len(fall), 4.2)])
    current = np.concatenate([np.ones(len(rise)), np.exp(-fall / TAU_SECOND)])
    return Segment(time, volt, current, np.full(len(time), 25.0), NOMINAL_AH)


def test_a_whole_charge_shows_every_window_and_the_tapers_time_constant() -> None:
    told = segment_features(charge())
    each = 1.0 * 2.0 * 0.025 / 0.65 / NOMINAL_AH  # 1 A for 2 h over 0.65 V
    for name in WINDOW_COLUMNS:
        assert told[name] == pytest.approx(each, rel=1e-3)
    for name in TAPER_COLUMNS[1:]:  # the current ends just under 0.05 of nominal
        assert told[name] == pytest.approx(TAU_SECOND / 3600, rel=0.01)
    assert told["rate_per_hour"] == pytest.approx(0.5)
    assert told["temperature_celsius"] == 25


def test_what_was_not_passed_through_is_missing_and_never_zero() -> None:
    whole = charge()
    seen = whole.rows((whole.voltage_volt > 3.71) & (whole.voltage_volt < 3.84))
    told = segment_features(seen)
    known = {name for name in WINDOW_COLUMNS if np.isfinite(told[name])}
    inside = {
        name
        for name, low, high in zip(WINDOW_COLUMNS, EDGE_VOLT, EDGE_VOLT[1:], strict=False)
        if low >= 3.725 and high <= 3.825
    }
    assert known == inside
    assert all(np.isnan(told[name]) for name in TAPER_COLUMNS)


def test_an_outage_hides_the_windows_it_covers_and_no_others() -> None:
    whole = charge()
    told, gap = (
        segment_features(one)
        for one in (
            whole,
            whole.rows((whole.time_second < 3000) | (whole.time_second > 3400)),
        )
    )
    lost = [name for name in WINDOW_COLUMNS if np.isnan(gap[name])]
    at = [3.55 + 0.65 * second / 7200 for second in (3000, 3400)]
    assert lost == [
        name
        for name, low, high in zip(WINDOW_COLUMNS, EDGE_VOLT, EDGE_VOLT[1:], strict=False)
        if low < at[1] and high > at[0]
    ]
    assert np.isnan(gap["charge_fraction"])
    for name in set(WINDOW_COLUMNS) - set(lost):
        assert gap[name] == pytest.approx(told[name])


def test_a_charger_switched_off_passes_no_level_of_the_taper() -> None:
    whole = charge()
    stopped = whole.rows(whole.time_second < 7200 + 0.3 * TAU_SECOND)
    rest = stopped.time_second[-1] + np.arange(1.0, 600.0, 5.0)
    many = len(rest)
    off = Segment(
        np.concatenate([stopped.time_second, rest]),
        np.concatenate([stopped.voltage_volt, np.full(many, 4.195)]),
        np.concatenate([stopped.current_ampere, np.zeros(many)]),
        np.concatenate([stopped.temperature_celsius, np.full(many, 25.0)]),
        NOMINAL_AH,
    )
    told = segment_features(off)
    assert np.isnan([told[name] for name in TAPER_COLUMNS]).all()
    assert told == pytest.approx(segment_features(stopped), nan_ok=True)


def test_a_thinned_rounded_lossy_charge_tells_nearly_the_same() -> None:
    told, logged = segment_features(charge()), segment_features(log(charge(), Logger(), 3))
    for name in WINDOW_COLUMNS:
        if np.isfinite(logged[name]):
            assert logged[name] == pytest.approx(told[name], rel=0.05)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31),
    st.floats(0, 0.95),
    st.floats(0.04, 1),
    st.floats(0, 0.9),
    st.sampled_from([(1.0, 1.0), (10.0, 60.0), (200.0, 900.0)]),
)
def test_a_log_holds_measured_rows_rounded_and_is_the_same_for_the_same_seed(
    seed: int, begin: float, width: float, lost: float, period: tuple[float, float]
) -> None:
    whole = charge()
    before = whole.voltage_volt.copy()
    seen = part(whole, begin, min(begin + width, 1.0))
    logger = Logger(period_second=period, lost_fraction=lost)
    one, again = log(seen, logger, seed), log(seen, logger, seed)
    assert one.time_second.tolist() == again.time_second.tolist()
    assert np.isin(one.time_second, seen.time_second).all()
    at = np.searchsorted(seen.time_second, one.time_second)
    assert np.abs(one.voltage_volt - seen.voltage_volt[at]).max(initial=0) <= 0.0005 + 1e-9
    assert np.abs(one.current_ampere - seen.current_ampere[at]).max(initial=0) <= 0.005 + 1e-9
    assert whole.voltage_volt.tolist() == before.tolist()
    told = segment_features(one)
    assert tuple(told) == SEGMENT_COLUMNS
    assert all(np.isnan(value) or value > -1 for value in told.values())


def test_missing_readings_are_left_out() -> None:
    whole = charge()
    volt = whole.voltage_volt.copy()
    volt[::7] = np.nan
    holes = Segment(whole.time_second, volt, whole.current_ampere, volt * np.nan, NOMINAL_AH)
    told, full = segment_features(holes), segment_features(whole)
    assert np.isnan(told["temperature_celsius"])
    for name in WINDOW_COLUMNS:
        assert told[name] == pytest.approx(full[name], rel=0.02)


def test_the_empty_segment_tells_nothing() -> None:
    none = charge().rows(np.zeros(0, dtype=np.int64))
    assert np.isnan(list(segment_features(none).values())).all()
    assert len(log(none, Logger(), 0)) == len(part(none, 0.0, 1.0)) == 0


def test_parts_and_loggers_that_cannot_be_are_wrong_calls() -> None:
    for begin, end in ((0.5, 0.5), (-0.1, 0.5), (0.2, 1.1)):
        with pytest.raises(UsageError, match="no part"):
            part(charge(), begin, end)
    with pytest.raises(UsageError, match="above zero"):
        log(charge(), Logger(voltage_step_volt=0.0), 0)


def test_a_run_that_discharges_is_no_charge() -> None:
    taken = samples(Protocol().full_cycle().full_cycle().series(), CAPACITY_AH)
    runs = cut(taken)
    assert len(segment_of(taken, runs, int(np.flatnonzero(runs.charges)[0]))) > 100
    with pytest.raises(UsageError, match="discharge"):
        segment_of(taken, runs, int(np.flatnonzero(~runs.charges)[0]))

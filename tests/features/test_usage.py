import os
from pathlib import Path

import numpy as np
import pytest

from cellwarden.errors import UsageError
from cellwarden.features.usage import Rain, Usage, UsageBins, finish, pour, rainflow, record_usage

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
PROFILES = DATA / "duty_profiles"
# The history of ASTM E1049-85, figure 6, and the counts that its text derives.
STANDARD = np.array([-2.0, 1, -3, 5, -1, 3, -4, 4, -2])
COUNTS = {3.0: 0.5, 4.0: 1.5, 6.0: 0.5, 8.0: 1.0, 9.0: 0.5}


def _bins() -> UsageBins:
    return UsageBins(np.array([0.0, 25.0, 45.0]), np.array([0.2, 0.8]), np.array([-1.0, 0.0, 1.0]))


def test_the_standards_own_example_gives_the_standards_own_counts() -> None:
    found = rainflow(STANDARD)
    counted: dict[float, float] = {}
    for span, count in zip(found.span.tolist(), found.count.tolist(), strict=True):
        counted[span] = counted.get(span, 0.0) + count
    assert counted == COUNTS
    whole = found.count == 1
    assert found.span[whole].tolist() == [4.0]  # E-F, the one full cycle of the text
    assert (found.start[whole].item(), found.stop[whole].item()) == (4, 5)


def test_points_between_turns_and_missing_readings_change_no_count() -> None:
    dense = np.interp(np.linspace(0, 8, 161), np.arange(9), STANDARD)
    dense[[3, 50, 51]] = np.nan  # none of them a turn
    dense = np.repeat(dense, 2)
    a, b = rainflow(STANDARD), rainflow(dense)
    assert np.array_equal(a.span, b.span)
    assert np.array_equal(a.count, b.count)
    assert np.array_equal(a.mean, b.mean)


def test_a_cycle_is_counted_as_soon_as_it_closes() -> None:
    state, closed = pour(Rain(), STANDARD[:7])
    assert [(s, c) for s, c in zip(closed.span, closed.count, strict=True)] == [(3, 0.5), (4, 0.5)]
    state, closed = pour(state, STANDARD[7:])
    assert closed.span.tolist() == [4.0, 8.0]
    assert finish(state).span.tolist() == [9.0, 8.0, 6.0]


@pytest.mark.parametrize("values", [[], [1.0], [np.nan], [2.0, 2.0, 2.0], [np.nan, 1.0, np.nan]])
def test_a_signal_that_never_turns_has_no_cycle(values: list[float]) -> None:
    assert len(rainflow(np.array(values))) == 0


def test_the_histogram_holds_every_cycle() -> None:
    bins = rainflow(STANDARD).histogram(np.array([4.0, 8.0]))
    assert bins.tolist() == [0.5, 2.0, 1.5]


def test_sums_are_those_of_a_known_hour() -> None:
    time = np.arange(0.0, 7201.0, 60.0)
    current = np.where(time <= 3600, 2.0, -1.0)
    usage = record_usage(
        Usage(_bins(), capacity_ah=2.0, gap_second=120),
        time,
        current,
        voltage_volt=np.full(len(time), 4.0),
        temperature_celsius=np.where(time < 1800, 20.0, 30.0),
        soc_fraction=np.linspace(0.0, 1.0, len(time)),
    )
    assert usage.charged_ah == pytest.approx(2.0, rel=0.02)
    assert usage.discharged_ah == pytest.approx(1.0, rel=0.02)
    assert usage.charged_wh == pytest.approx(4 * usage.charged_ah)
    assert usage.equivalent_full_cycle_count == pytest.approx(0.75, rel=0.02)
    assert usage.known_second == 7200
    assert usage.unknown_second == 0
    assert usage.temperature_second.tolist() == [0.0, 1740.0, 5460.0, 0.0]
    assert usage.soc_second.tolist() == [1440.0, 4320.0, 1440.0]
    assert usage.rate_second.sum() == 7200
    assert usage.rate_second[3] == 3600


def test_a_gap_counts_as_unknown_and_a_missing_current_too() -> None:
    time = np.array([0.0, 60, 120, 7200, 7260, 7200, 7260])
    current = np.array([1.0, 1, np.nan, 1, 1, 1, 1])
    usage = record_usage(Usage(_bins(), capacity_ah=2.0, gap_second=120), time, current)
    assert usage.known_second == 180
    assert usage.unknown_second == 60 + 7080
    assert usage.charged_ah == pytest.approx(180 / 3600)
    assert usage.charged_wh == 0.0
    assert usage.soc_second.sum() == 0


def test_readings_on_an_edge_belong_to_the_bin_above() -> None:
    time = np.array([0.0, 10, 20])
    usage = record_usage(
        Usage(_bins(), capacity_ah=1.0, gap_second=60),
        time,
        np.zeros(3),
        temperature_celsius=np.full(3, 25.0),
    )
    assert usage.temperature_second.tolist() == [0.0, 0.0, 20.0, 0.0]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="capacity"):
        Usage(_bins(), capacity_ah=0.0, gap_second=1)
    with pytest.raises(UsageError, match="soc_fraction"):
        UsageBins(np.array([1.0]), np.array([0.5, 0.2]), np.array([0.0]))


@pytest.mark.parametrize(
    "name",
    ["frequency_containment_reserve", "residential_pv_bess_germany_aggressive", "commercial_ev"],
)
def test_rainflow_of_a_real_duty_loses_no_throughput(name: str) -> None:
    path = PROFILES / f"{name}.parquet"
    if not path.is_file():
        pytest.skip("the duty profiles are not there: set CELLWARDEN_DATA")
    import duckdb

    rows = duckdb.sql(f"select soc from '{path}' order by time_s").fetchnumpy()
    soc = np.asarray(rows["soc"], dtype=np.float64)
    found = rainflow(soc)
    # Every rise and fall belongs to one counted cycle, whichever way they were paired.
    assert 2 * (found.span * found.count).sum() == pytest.approx(np.abs(np.diff(soc)).sum())
    assert found.span.max() == pytest.approx(np.ptp(soc))


def test_equal_ranges_close_at_once() -> None:
    _, closed = pour(Rain(), np.array([0.0, 10, 4, 6, 4, 5]))
    assert list(zip(closed.span, closed.start, closed.stop, strict=True)) == [(2.0, 2, 3)]

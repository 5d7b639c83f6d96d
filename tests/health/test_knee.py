import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden import datasets
from cellwarden.domain import NotServed
from cellwarden.errors import DataError, UsageError
from cellwarden.health.knee import Knee, find_knee

CYCLES = np.arange(1.0, 601.0)


def bent(
    knee: float = 400.0, noise: float = 0.002, seed: int = 0, correlation: float = 0.0
) -> np.ndarray:
    draw = np.random.default_rng(seed)
    clean = 1.1 - 1e-4 * CYCLES - 6e-4 * np.maximum(CYCLES - knee, 0)
    white = noise * draw.normal(size=len(CYCLES))
    error = white.copy()
    for k in range(1, len(error)):
        error[k] = correlation * error[k - 1] + white[k]
    return np.asarray(clean + error)


def test_a_bend_is_found_with_the_fades_on_its_sides() -> None:
    knee = find_knee(CYCLES, bent())
    assert isinstance(knee, Knee)
    assert knee.cycle == pytest.approx(400, abs=6)
    assert knee.interval.low < 400 < knee.interval.high
    assert knee.interval.high - knee.interval.low < 25
    assert knee.fade_before_ah == pytest.approx(1e-4, rel=0.1)
    assert knee.fade_after_ah == pytest.approx(7e-4, rel=0.05)


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_the_interval_holds_the_knee_about_as_often_as_stated(correlation: float) -> None:
    inside = []
    for seed in range(40):
        found = find_knee(CYCLES, bent(seed=seed, correlation=correlation))
        assert isinstance(found, Knee)
        inside.append(found.interval.low <= 400 <= found.interval.high)
    assert 0.8 <= np.mean(inside) <= 1.0


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_a_straight_or_a_flattening_curve_has_no_knee(seed: int) -> None:
    noise = 0.002 * np.random.default_rng(seed).normal(size=len(CYCLES))
    for curve in (1.1 - 2e-4 * CYCLES, 1.1 - 0.01 * np.sqrt(CYCLES)):
        assert isinstance(find_knee(CYCLES, curve + noise), NotServed)


@given(st.floats(0.1, 100), st.floats(0.5, 20))
@settings(max_examples=20)
def test_units_of_capacity_and_cycles_do_not_move_it(capacity: float, stretch: float) -> None:
    one = find_knee(CYCLES, bent())
    other = find_knee(stretch * CYCLES, capacity * bent())
    assert isinstance(one, Knee)
    assert isinstance(other, Knee)
    assert other.cycle / stretch == pytest.approx(one.cycle, abs=2)
    assert other.interval.low / stretch == pytest.approx(one.interval.low, abs=4)


def test_gaps_are_passed_over_and_too_few_cycles_say_so() -> None:
    curve = bent()
    curve[::3] = np.nan
    knee = find_knee(CYCLES, curve)
    assert isinstance(knee, Knee)
    assert knee.cycle == pytest.approx(400, abs=8)
    assert isinstance(find_knee(CYCLES[:20], curve[:20]), NotServed)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(DataError, match="do not rise"):
        find_knee(CYCLES[::-1].copy(), bent())
    with pytest.raises(UsageError, match="coverage"):
        find_knee(CYCLES, bent(), 1.0)


@pytest.mark.skipif(
    not (datasets.data_folder() / "tbsi_nmc").is_dir(),
    reason="tbsi_nmc is not there: set CELLWARDEN_DATA",
)
def test_real_cells_have_a_knee_inside_their_record_or_none() -> None:
    table = datasets.load("tbsi_nmc")
    found = 0
    for cell in sorted(set(table["cell"].tolist()))[::3]:
        own = table["cell"] == cell
        cycle = table["cycle"][own].astype(np.float64)
        told = find_knee(cycle, table["capacity_Ah"][own].astype(np.float64))
        if isinstance(told, Knee):
            found += 1
            assert cycle[0] < told.cycle < cycle[-1]
            assert told.interval.low <= told.cycle <= told.interval.high
            assert told.fade_after_ah > told.fade_before_ah
    assert found >= 1

"""Prints know cells again: made cells with known spreads, and the pulses of the twin."""

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cellwarden.cli.bench import load_script
from cellwarden.domain import Frames
from cellwarden.errors import UsageError
from cellwarden.features.response import answer_edges
from cellwarden.guard import fingerprint
from cellwarden.guard.fingerprint import (
    TYPICAL_OTHER,
    TYPICAL_SAME,
    Prints,
    compare,
    enrol,
    fit,
    follow,
    learn,
    prints_from,
    typical,
)
from cellwarden.physics.twin import Twin, TwinConfig

BENCH = Path(__file__).parents[2] / "benchmarks" / "fingerprint.py"
CELLS = 8
OWN, NOISE = 0.05, 0.01


def visits(seed: int, cells: int, times: int, drift: float = 0.0) -> np.ndarray:
    """Answers of cells that differ by `OWN`, met with `NOISE`, drifting by `drift` a visit."""
    random = np.random.default_rng(seed)
    own = random.normal(0.0, OWN, (cells, 1, 4))
    ways = random.normal(0.0, drift, (cells, 1, 4)) * np.arange(times)[None, :, None]
    common = random.normal(-4.0, 0.5, (1, times, 4))
    found: np.ndarray = own + ways + common + random.normal(0.0, NOISE, (cells, times, 4))
    return found


@cache
def prints() -> Prints:
    return learn(visits(1, 60, 6), cell_count=CELLS, seed=1)


def packs(seed: int, count: int) -> list[np.ndarray]:
    return [visits(seed + k, CELLS, 2) for k in range(count)]


def test_few_true_returns_are_doubted_and_swapped_packs_are_found() -> None:
    met = packs(100, 300)
    same = [compare(prints(), enrol(pack[:, 0]), pack[:, 1]).alike for pack in met]
    assert np.mean(same) > 0.96
    swapped = [compare(prints(), enrol(a[:, 0]), b[:, 1]).alike for a, b in pairwise(met)]
    assert not any(swapped)


def test_one_swapped_cell_is_named() -> None:
    found = []
    for pack, other in zip(packs(500, 200), packs(900, 200), strict=True):
        seen = pack[:, 1].copy()
        seen[3] = other[3, 1] - np.median(other[:, 1], axis=0) + np.median(seen, axis=0)
        found.append(compare(prints(), enrol(pack[:, 0]), seen))
    assert np.mean([not told.alike for told in found]) > 0.8
    assert np.mean([told.worst_cell == 3 for told in found]) > 0.9


def test_what_all_cells_share_changes_nothing() -> None:
    pack = packs(7, 1)[0]
    warm = pack[:, 1] - 0.4
    template = enrol(pack[:, 0])
    a, b = compare(prints(), template, warm), compare(prints(), template, pack[:, 1])
    assert a.score == pytest.approx(b.score)


def test_a_template_that_follows_stays_alike_where_one_that_stands_does_not() -> None:
    times = 60
    ways = visits(31, CELLS, times, drift=0.0015)
    template = standing = enrol(ways[:, 0])
    found = []
    for k in range(1, times):
        found.append(compare(prints(), template, ways[:, k]).alike)
        if found[-1]:
            template = follow(template, ways[:, k])
    assert np.mean(found) > 0.85
    assert not compare(prints(), standing, ways[:, -1]).alike


def drive(seed: int, celsius: float) -> Frames:
    config = TwinConfig(
        "pack",
        chemistry="NMC",
        series_count=CELLS,
        seed=seed,
        profile="drive",
        duration_second=3600.0,
        ambient_temperature_celsius=celsius,
    )
    frames = Twin(config).read(3600)
    assert frames is not None
    return frames


def log_ohm(seed: int, celsius: float) -> np.ndarray:
    found = answer_edges(drive(seed, celsius), edge_ampere=2.0, hold_second=8.0)
    assert found is not None
    return found.log_ohm


def test_packs_of_the_twin_are_known_again_at_another_temperature() -> None:
    fleet = [np.stack([log_ohm(seed, 25.0), log_ohm(seed, 15.0)], axis=1) for seed in range(6)]
    learned = learn(np.concatenate(fleet[:4]), cell_count=CELLS, seed=3)
    for pack, other in ((fleet[4], fleet[5]), (fleet[5], fleet[4])):
        template = enrol(pack[:, 0])
        assert compare(learned, template, pack[:, 1]).alike
        assert not compare(learned, template, other[:, 1]).alike


def drawn(count: int, scale: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A pack of typical cells, met twice; its variances are `scale` times the typical ones."""
    same, other = scale * np.array(TYPICAL_SAME), scale * np.array(TYPICAL_OTHER)
    random = np.random.default_rng(seed)
    nothing = np.zeros(4)
    own = random.multivariate_normal(nothing, (other - same) / 2.0, count)
    return own, own + random.multivariate_normal(nothing, same, count)


@pytest.mark.parametrize("scale", [0.15, 1.0, 3.0])
def test_typical_prints_fit_packs_whose_cells_are_more_or_less_alike(scale: float) -> None:
    prints = typical(16)
    alarms, missed = [], []
    for seed in range(300):
        (first, again), (_, stranger) = drawn(16, scale, seed), drawn(16, scale, seed + 1000)
        template = enrol(first)
        mine = fit(prints, template)
        alarms.append(not compare(mine, template, again).alike)
        missed.append(compare(mine, template, stranger).alike)
    assert np.mean(alarms) < 0.03, "1 % was asked for, of 300 packs"
    assert np.mean(missed) < 0.05


def test_limits_from_draws_ask_for_the_alarms_that_they_let_through() -> None:
    same, other = np.array(TYPICAL_SAME), np.array(TYPICAL_OTHER)
    loose = prints_from(same, other, 8, false_alarm_fraction=0.1)
    strict = prints_from(same, other, 8, false_alarm_fraction=0.002)
    assert strict.sum_limit < loose.sum_limit
    assert strict.worst_limit < loose.worst_limit
    assert prints_from(same, other, 8, seed=2).sum_limit == pytest.approx(
        typical(8).sum_limit, rel=0.2
    )


def test_cells_that_are_nearly_the_same_are_not_taken_to_the_last_digit() -> None:
    prints = typical(8)
    cells = np.random.default_rng(5).normal(0.0, 0.001, (8, 4))
    template = enrol(cells)
    warmer = cells.copy()
    warmer[2] += 0.02  # one cell a degree off
    assert compare(fit(prints, template), template, warmer).alike


def test_the_typical_covariances_are_those_of_the_measured_cells() -> None:
    bench = load_script("fingerprint")
    try:
        measured = [bench.visits_of(group) for group in bench.GROUPS]
    except UsageError:
        pytest.skip("the pulses of retired cells are not here")
    same, other = fingerprint.measure(*measured)
    np.testing.assert_allclose(same, TYPICAL_SAME, atol=6e-6)
    np.testing.assert_allclose(other, TYPICAL_OTHER, atol=6e-6)


def test_too_few_cells_or_a_silent_one_have_no_print() -> None:
    with pytest.raises(UsageError):
        enrol(np.zeros((2, 4)))
    with pytest.raises(UsageError):
        enrol(np.full((8, 4), np.nan))
    with pytest.raises(UsageError):
        compare(prints(), enrol(np.zeros((8, 4))), np.zeros((7, 4)))
    with pytest.raises(UsageError):
        learn(visits(1, 12, 6), cell_count=CELLS, seed=1)
    with pytest.raises(UsageError):
        typical(2)

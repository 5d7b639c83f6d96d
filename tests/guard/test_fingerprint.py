"""Prints know cells again: made cells with known spreads, and the pulses of the twin."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from cellwarden.domain import Frames
from cellwarden.errors import UsageError
from cellwarden.features.response import answer_edges
from cellwarden.guard.fingerprint import Prints, compare, enrol, follow, learn
from cellwarden.physics.twin import Twin, TwinConfig

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


def test_too_few_cells_or_a_silent_one_have_no_print() -> None:
    with pytest.raises(UsageError):
        enrol(np.zeros((2, 4)))
    with pytest.raises(UsageError):
        enrol(np.full((8, 4), np.nan))
    with pytest.raises(UsageError):
        compare(prints(), enrol(np.zeros((8, 4))), np.zeros((7, 4)))
    with pytest.raises(UsageError):
        learn(visits(1, 12, 6), cell_count=CELLS, seed=1)

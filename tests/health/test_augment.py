"""Made-up rows stay what they are said to be; simulated cells are read like real ones."""

import numpy as np
import pytest

from cellwarden.health.augment import AUGMENTATIONS, Augmentation, domain_of, joined, twin_rows
from cellwarden.health.domains import REFERENCE_ROWS
from cellwarden.health.soh import SCALES
from cellwarden.health.task import Sample

COLUMNS = ("charge", "resistance", "cycle_count")


def cells() -> Sample:
    """Three cells that fade in a line, each with a size of its own."""
    rng = np.random.default_rng(0)
    life = np.arange(40.0)
    features, target, cell = [], [], []
    for one in range(3):
        soh = 1.0 - (0.003 + 0.002 * one) * life
        columns = [soh + 0.1 * one + rng.normal(0.0, 0.01, 40), 1.0 / soh, life]
        features.append(np.stack(columns, axis=1))
        target.append(soh)
        cell.append(np.full(40, one))
    return Sample(COLUMNS, np.concatenate(features), np.concatenate(target), np.concatenate(cell))


@pytest.mark.parametrize("how", AUGMENTATIONS, ids=lambda one: one.name)
def test_made_up_rows_follow_the_seed_belong_to_their_cell_and_leave_the_real_ones(
    how: Augmentation,
) -> None:
    sample = cells()
    before = sample.features.copy()
    made, again = (how.make(sample, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(made.features, again.features)
    assert np.array_equal(made.cell, sample.cell)
    assert not np.array_equal(made.features, sample.features)
    assert np.array_equal(sample.features, before)
    both = joined(sample, made)
    assert np.array_equal(both.features[: len(before)], before)


def made(name: str) -> Sample:
    (how,) = (one for one in AUGMENTATIONS if one.name == name)
    return how.make(cells(), np.random.default_rng(1))


def test_noise_is_as_large_as_a_feature_jumps_from_cycle_to_cycle() -> None:
    moved = made("noise").features - cells().features
    assert moved[:, 0].std() == pytest.approx(0.01, rel=0.3)
    assert np.abs(moved[:, 2]).max() == 0.0  # a count has no noise


def test_a_mixed_row_lies_between_rows_of_one_cell() -> None:
    sample, mixed = cells(), made("mixup")
    for one in range(3):
        own = sample.cell == one
        assert mixed.target[own].min() >= sample.target[own].min()
        assert mixed.target[own].max() <= sample.target[own].max()
    # The features are mixed as the target is: what belongs together stays together.
    assert np.abs(mixed.features[:, 1] - 1.0 / mixed.target).max() < 0.01


def test_an_offset_moves_all_rows_of_a_cell_alike() -> None:
    moved = made("offset").features - cells().features
    for one in range(3):
        assert np.ptp(moved[40 * one : 40 * one + 40], axis=0).max() < 1e-12


def test_a_warped_cell_ages_at_another_pace_by_the_same_law() -> None:
    sample, warped = cells(), made("time warp")
    assert np.array_equal(warped.features[:, 2], sample.features[:, 2])
    assert np.abs(warped.features[:, 1] - 1.0 / warped.target).max() < 0.01
    assert warped.target[40] == sample.target[40]
    assert np.abs(warped.target - sample.target).max() > 0.005


def test_simulated_cells_fade_and_their_charges_show_it() -> None:
    rows = twin_rows("LCO", 2.0, [(0.75, 1.0)], seed=1, cycle_count=20)
    assert np.all(np.diff(rows.soh_fraction) < 0.01)
    assert rows.soh_fraction[0] - rows.soh_fraction[-1] > 0.05
    shown = rows.columns["window_fraction"]
    assert shown[-1] < shown[0]
    twin = domain_of("twin", rows)
    assert twin.sample.columns == tuple(SCALES)
    assert len(twin.early) == REFERENCE_ROWS
    assert len(twin.sample.target) == len(rows.soh_fraction) - REFERENCE_ROWS

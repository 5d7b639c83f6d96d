"""What other laboratories teach: on made cells whose law is known, and on real ones."""

import numpy as np
import pytest

from cellwarden import datasets
from cellwarden.errors import UsageError
from cellwarden.health import domains
from cellwarden.health.domains import REFERENCE_ROWS, Domain
from cellwarden.health.learner import BUDGET
from cellwarden.health.task import Sample
from cellwarden.health.transfer import LEARNERS, METHODS, SCRATCH, from_scratch, learn, thin
from cellwarden.health.transfer_trial import deal, ratio, try_pair

HERE = datasets.data_folder()
needs = {
    name: pytest.mark.skipif(
        not (HERE / name).is_dir(), reason=f"{name} is not there: set CELLWARDEN_DATA"
    )
    for name in ("soh_features", "pulsebat")
}
COLUMNS = ("one", "two", "three")
FEW = tuple(one for one in METHODS if one.name in {"source only", "hierarchical process"})
CHOICES = {"both": COLUMNS}


def laboratory(seed: int, shift: float = 0.0, cell_count: int = 8, slope: float = 1.0) -> Sample:
    """Cells that fade by one law; a laboratory has its level, a cell a small one of its own."""
    rng = np.random.default_rng(seed)
    features, target, cell = [], [], []
    for one in range(cell_count):
        own = rng.normal(0.0, 0.3, 3) + np.linspace(-1.0, 1.0, 8)[:, None] * rng.uniform(0.3, 1.0)
        law = own @ [0.06, 0.04, -0.02] * slope + 0.02 * np.tanh(2 * own[:, 0])
        target.append(0.9 + shift + law + rng.normal(0.0, 0.004) + rng.normal(0.0, 0.001, 8))
        features.append(own)
        cell.append(np.full(8, one))
    return Sample(COLUMNS, np.concatenate(features), np.concatenate(target), np.concatenate(cell))


def domain(name: str, sample: Sample) -> Domain:
    names = tuple(str(k) for k in np.unique(sample.cell))
    return Domain(name, sample, names, sample.features, sample.cell, CHOICES)


def test_learners_have_the_same_budget_as_everywhere() -> None:
    assert all(len(one.settings) <= BUDGET for one in LEARNERS)
    assert len({one.name for one in METHODS} | {SCRATCH}) == len(METHODS) + 1


def test_every_method_tells_with_no_cell_and_with_cells_and_leaves_its_input_alone() -> None:
    sources = [laboratory(0), laboratory(1, 0.02)]
    target = laboratory(2, 0.03)
    known = learn(sources, [one.features for one in sources], CHOICES)
    before = target.features.copy()
    for count in (0, 1, 3):
        mine = target.rows(target.cell < count)
        for method in METHODS:
            if count < method.least_cells:
                continue
            told = method.fit(known, mine, target.features[:20]).predict(target.features).mean
            assert np.isfinite(told).all(), (method.name, count)
            again = method.fit(known, mine, target.features[:20]).predict(target.features).mean
            assert np.array_equal(told, again), (method.name, count)
    assert np.array_equal(target.features, before)


def test_a_law_that_laboratories_share_saves_target_cells() -> None:
    sources = [domain("a", laboratory(0, cell_count=12)), domain("b", laboratory(1, 0.03))]
    target = domain("c", laboratory(2, -0.03, cell_count=10))
    errors = {
        (one.method, one.count): one for one in try_pair(sources, target, {0: 2, 1: 2}, methods=FEW)
    }
    scratch = errors[SCRATCH, 1]
    assert ratio(errors["hierarchical process", 1], scratch).value < 0.7
    # The level of the laboratory is not to be had without a cell of it.
    none = errors["hierarchical process", 0].rmse.mean()
    assert none > 2 * errors["hierarchical process", 1].rmse.mean()


def test_a_source_whose_law_is_the_reverse_is_soon_not_believed() -> None:
    wrong = domain("a", laboratory(0, slope=-1.0))
    target = domain("c", laboratory(2, cell_count=16))
    errors = {
        (one.method, one.count): one.rmse.mean()
        for one in try_pair([wrong], target, {0: 1, 5: 1}, methods=FEW)
    }
    assert errors["source only", 0] > 10 * errors["hierarchical process", 5]


def test_a_target_is_not_its_own_source() -> None:
    one = domain("a", laboratory(0))
    with pytest.raises(UsageError, match="its own source"):
        try_pair([one], one)


def test_tested_cells_are_never_learnt_from_and_the_same_for_every_count() -> None:
    target = domain("c", laboratory(2, cell_count=30))
    pool, test = deal(target, 0, 0)
    assert not set(pool) & set(test)
    assert (len(pool), len(test)) == (10, 20)
    errors = try_pair([domain("a", laboratory(0))], target, {0: 1, 2: 1}, methods=FEW)
    assert {tuple(one.cell) for one in errors} == {tuple(test)}


def test_labels_of_tested_cells_change_nothing_that_is_told() -> None:
    source, sample = domain("a", laboratory(0)), laboratory(2)
    pool, test = deal(domain("c", sample), 0, 0)
    moved = np.where(np.isin(sample.cell, test), sample.target + 0.5, sample.target)
    other = Sample(sample.columns, sample.features, moved, sample.cell)
    two = [
        try_pair([source], domain("c", one), {len(pool): 1}, methods=FEW) for one in (sample, other)
    ]
    for mine, theirs in zip(*two, strict=True):
        # The error moves by about the half that was added: the prediction has stayed.
        assert np.abs(theirs.rmse - mine.rmse - 0.5).max() < 2 * mine.rmse.max() + 1e-9


def test_a_young_cell_is_known_by_its_first_rows_alone() -> None:
    sample = laboratory(2)
    pool, _ = deal(domain("c", sample), 0, 0)
    late = np.tile(np.arange(8) >= 4, 8) & np.isin(sample.cell, pool)
    other = Sample(sample.columns, sample.features, sample.target + late, sample.cell)
    source = domain("a", laboratory(0))
    mine, theirs = (
        try_pair([source], domain("c", one), {2: 1}, methods=FEW, life_fraction=0.5)
        for one in (sample, other)
    )
    assert all(np.array_equal(a.rmse, b.rmse) for a, b in zip(mine, theirs, strict=True))
    with pytest.raises(UsageError, match="between 0 and 1"):
        try_pair([source], domain("c", sample), life_fraction=0.0)


def test_one_cell_is_enough_for_scratch() -> None:
    target = laboratory(2)
    fit = from_scratch(target.rows(target.cell == 0), CHOICES)
    away = fit.predict(target.features).mean - target.target
    assert np.sqrt(np.mean(away**2)) < 0.05


def test_thin_takes_of_every_cell_alike() -> None:
    kept = thin(laboratory(0), 40)
    assert set(np.bincount(kept.cell)) == {5}
    assert len(thin(laboratory(0, cell_count=40), 40).target) == 40


def test_change_is_from_a_cells_own_first_rows_and_later_rows_alter_nothing() -> None:
    values = np.arange(20.0)[:, None] ** 2
    cell = np.repeat([0, 1], 10)
    change, first = domains.relative(values, cell)
    assert first.sum() == 2 * REFERENCE_ROWS
    assert change[7, 0] == 49.0 - 4.0
    later = values.copy()
    later[8:10] = 1e6
    assert np.array_equal(domains.relative(later, cell)[0][:8], change[:8])


@needs["soh_features"]
def test_charges_of_two_laboratories_have_the_same_columns_and_no_reference_rows() -> None:
    one, other = domains.charges("XJTU 2C"), domains.charges("TJU D3_NCM_NCA")
    assert one.sample.columns == other.sample.columns
    assert set(one.choices) == {"level", "change", "both"}
    assert len(one.early) == REFERENCE_ROWS * len(one.cells)
    assert len(one.sample.target) == 2331 - len(one.early)
    assert not np.isinf(one.sample.features).any()


@needs["pulsebat"]
def test_pulses_are_differences_of_voltages() -> None:
    lmo = domains.pulses("LMO_10Ah")
    assert lmo.sample.features.shape == (760, 17)
    place = lmo.sample.columns.index("pulse_5_end")
    worn = lmo.sample.target < 0.7
    moved = 10.0 ** lmo.sample.features[:, place]
    assert np.median(moved[worn]) > np.median(moved[~worn])

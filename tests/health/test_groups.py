import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from cellwarden import datasets
from cellwarden.errors import DataError, UsageError
from cellwarden.health.groups import UNLIKE_ANY, find_groups, k_medoids
from cellwarden.health.traits import TRAITS, traits

NAMES = tuple(TRAITS)


def fleet(seed: int = 0, each: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """Slow, fast and bending cells, and whose kind each is."""
    draw = np.random.default_rng(seed)
    cycle = np.arange(300.0)
    rows = []
    for rate, bend in ((1e-4, 0.0), (5e-4, 0.0), (1e-4, 4e-4)):
        for _ in range(each):
            soh = 1 - rate * draw.uniform(0.9, 1.1) * cycle - bend * np.maximum(cycle - 180, 0)
            rows.append(traits(soh + 2e-4 * draw.normal(size=300)))
    return np.array(rows), np.repeat([0, 1, 2], each)


def test_three_ways_of_ageing_are_three_groups_with_names_and_policies() -> None:
    rows, kind = fleet()
    told = find_groups(rows, NAMES)
    assert len(told.groups) >= 3
    assert told.stability >= 0.8
    inside = told.member != UNLIKE_ANY
    assert adjusted_rand_score(kind[inside], told.member[inside]) > 0.9
    names = [group.name for group in told.groups]
    assert len(set(names)) == len(names)
    bending = told.groups[np.bincount(told.member[kind == 2] + 1).argmax() - 1]
    assert "bending down" in bending.name
    assert "inspect" in [policy.action for policy in bending.policies]
    assert all(policy.reason for group in told.groups for policy in group.policies)


def test_cells_of_one_kind_are_one_group() -> None:
    draw = np.random.default_rng(4)
    rows = np.column_stack([draw.normal(size=(40, 4)), np.full((40, 4), np.nan)])
    told = find_groups(rows, NAMES)
    assert len(told.groups) == 1
    assert told.way == "none is steady"
    assert told.groups[0].policies[0].action == "go on"


def test_a_battery_like_none_is_said_to_be_so() -> None:
    rows, _ = fleet()
    told = find_groups(rows, NAMES)
    odd = np.array([traits(np.linspace(0.5, 0.52, 300)), rows[0]])
    odd[1, 0] = np.nan
    assert told.assign(odd).tolist() == [UNLIKE_ANY, UNLIKE_ANY]
    assert np.mean(told.assign(fleet(seed=1)[0]) == UNLIKE_ANY) < 0.1
    assert np.mean(told.member == UNLIKE_ANY) < 0.1


def test_groups_do_not_depend_on_the_order_of_cells_or_the_units() -> None:
    rows, _ = fleet()
    order = np.random.default_rng(0).permutation(len(rows))
    one = find_groups(rows, NAMES)
    other = find_groups(rows[order] * 10.0, NAMES)
    assert adjusted_rand_score(one.member[order], other.member) > 0.95


def test_medoids_of_two_heaps_are_found_whatever_the_seed() -> None:
    draw = np.random.default_rng(0)
    heaps = np.vstack([draw.normal(0, 1, (10, 2)), draw.normal(9, 1, (10, 2))])
    for seed in range(5):
        label = k_medoids(heaps, 2, seed)
        assert len(set(label[:10].tolist())) == len(set(label[10:].tolist())) == 1
        assert label[0] != label[-1]


def test_rates_are_told_per_hundred_cycles() -> None:
    told = dict(zip(NAMES, traits(1 - 1e-4 * np.arange(300.0)).tolist(), strict=True))
    assert told["fade_early_log10"] == pytest.approx(-2)
    assert told["bend_log10"] == pytest.approx(0, abs=1e-6)
    assert np.isnan(told["cv_share_fraction"])


def test_too_little_makes_neither_traits_nor_groups() -> None:
    with pytest.raises(DataError, match="3 cycles"):
        traits(np.ones(3))
    with pytest.raises(UsageError, match="cells make no groups"):
        find_groups(np.zeros((3, 8)), NAMES)
    with pytest.raises(UsageError, match="differ in nothing"):
        find_groups(np.zeros((9, 8)), NAMES)


@pytest.mark.skipif(
    not (datasets.data_folder() / "tbsi_nmc").is_dir(),
    reason="tbsi_nmc is not there: set CELLWARDEN_DATA",
)
def test_fade_alone_tells_hot_cells_from_cool_ones() -> None:
    table = datasets.rows("tbsi_nmc", "train")
    rows, warm = [], []
    for name in np.unique(table["cell"].astype(str)):
        own = table["cell"] == name
        rows.append(traits(table["capacity_Ah"][own].astype(np.float64) / 1.1))
        warm.append(int(table["temperature_C"][own][0]))
    told = find_groups(np.array(rows), NAMES)
    assert len(told.groups) > 1
    assert adjusted_rand_score(np.array(warm) >= 45, told.member) > 0.5

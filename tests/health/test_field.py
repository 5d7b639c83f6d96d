import dataclasses

import numpy as np
import pytest

from cellwarden import datasets
from cellwarden.domain import NotServed
from cellwarden.errors import DataError, UsageError
from cellwarden.features import cut, samples
from cellwarden.features.segment import Logger, Segment, log, part, segment_of
from cellwarden.health import field
from cellwarden.health.definitions import CAPACITY, ENERGY, RESISTANCE
from cellwarden.health.scoring import evaluate
from cellwarden.health.tuning import Tuned, tune
from health.aged import NOMINAL_AH, aged_record

CELLS = 11
ONE = dataclasses.replace(field.WINDOW_PROCESS, settings=({"length": 1.0},))


@pytest.fixture(scope="module")
def made() -> field.Parts:
    spread = np.linspace(-0.03, 0.03, CELLS)
    records = [aged_record(f"c{k:02}", spread=float(one)) for k, one in enumerate(spread)]
    return field.parts_of(records)


@pytest.fixture(scope="module")
def tuned(made: field.Parts) -> Tuned:
    few = dataclasses.replace(made.task, fit_row_count=300)
    return tune([ONE], few.training(few.folds[0]), few.choices, 0)


def charge(begin: float, end: float) -> Segment:
    """A part of a charge of the cell that was left out."""
    taken = samples(aged_record("c00", spread=-0.03), NOMINAL_AH)
    runs = cut(taken)
    run = int(np.flatnonzero(runs.charges)[12])
    return log(part(segment_of(taken, runs, run), begin, end), Logger(), 5)


def test_each_cell_is_told_by_fits_of_the_others(made: field.Parts) -> None:
    for fold in made.task.folds:
        assert len(fold.test) == 1
        sample = made.task.training(fold)
        assert not set(sample.cell.tolist()) & set(fold.test)
        assert len(sample.target) <= made.task.fit_row_count


def test_one_in_five_rows_saw_the_whole_charge_and_the_rest_saw_parts(made: field.Parts) -> None:
    assert np.mean(made.seen_fraction == 1) == pytest.approx(0.2)
    assert made.seen_fraction.min() >= 0.1
    narrow = made.seen_fraction < 0.3
    assert made.span_volt[narrow].mean() < made.span_volt[~narrow].mean()


def test_rows_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    records = [aged_record("a"), aged_record("b", spread=0.02)]
    one, again, other = (field.parts_of(records, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.task.features, again.task.features, equal_nan=True)
    assert not np.array_equal(one.task.features, other.task.features, equal_nan=True)


def test_the_first_capacity_is_carried_to_later_charges_alone(made: field.Parts) -> None:
    task = made.task
    first = task.carried["first capacity"]
    own = task.cell == 3
    cycle = task.features[own, task.columns.index("cycle_count")]
    assert np.isnan(first[own][cycle == 1]).all()
    assert (first[own][cycle > 1] == task.target[own][0]).all()


def test_a_part_of_a_charge_tells_the_cell_that_was_left_out(
    made: field.Parts, tuned: Tuned
) -> None:
    told = field.tell(tuned, charge(0.3, 0.8), coverage=0.8)
    assert isinstance(told, field.Part)
    truth = made.task.target[made.task.cell == 0]
    middle = (truth.min() + truth.max()) / 2
    assert told.soh_fraction == pytest.approx(middle, abs=0.03)
    assert told.interval.low <= told.soh_fraction <= told.interval.high
    assert str(told.definition) == "capacity/1"


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (charge(0.5, 0.505), "no window of voltage"),
        (dataclasses.replace(charge(0.3, 0.8), nominal_capacity_ah=20.0), "outside"),
    ],
)
def test_what_a_part_does_not_tell_is_refused_with_its_reason(
    tuned: Tuned, seen: Segment, reason: str
) -> None:
    told = field.tell(tuned, seen, coverage=0.9)
    assert isinstance(told, NotServed)
    assert reason in told.reason


def test_an_interval_that_says_nothing_is_refused(tuned: Tuned) -> None:
    told = field.tell(tuned, charge(0.3, 0.8), coverage=0.99)  # eleven cells cannot support it
    assert isinstance(told, NotServed)
    assert "too little" in told.reason


def test_energy_may_be_learnt_in_place_of_capacity() -> None:
    records = [aged_record("a"), aged_record("b", spread=0.02)]
    energy = field.parts_of(records, definition=ENERGY)
    capacity = field.parts_of(records, definition=CAPACITY)
    assert energy.task.target_name == "energy/1"
    assert not np.allclose(energy.task.target, capacity.task.target)
    with pytest.raises(UsageError, match="full discharges"):
        field.parts_of(records, definition=RESISTANCE)


def test_records_that_teach_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="no two records"):
        field.parts_of([aged_record("a", cycles=5), aged_record("b")])
    bare = dataclasses.replace(aged_record("a"), nominal_capacity_ah=None)
    with pytest.raises(UsageError, match="nominal capacity"):
        field.parts_of([bare])


def test_a_cell_of_no_known_programme_cannot_be_grouped() -> None:
    with pytest.raises(UsageError, match="no known programme"):
        field.parts_of([aged_record("a"), aged_record("b")], by_programme=True)


@pytest.mark.skipif(
    not (datasets.data_folder() / "nasa_pcoe").is_dir(),
    reason="nasa_pcoe is not there: set CELLWARDEN_DATA",
)
def test_real_parts_of_charges_are_told_better_than_by_the_mean() -> None:
    names = ("B0006", "B0025", "B0026", "B0042")
    records = [datasets.load("nasa_pcoe", f"{name}.parquet") for name in names]
    parts = field.parts_of(records, by_programme=True)
    assert [len(fold.test) for fold in parts.task.folds] == [1, 2, 1]
    alone = dataclasses.replace(parts.task, folds=parts.task.folds[1:2], fit_row_count=200)
    answer = evaluate(alone, [ONE])
    truth, mean = alone.target[answer.row], alone.training(alone.folds[0]).target.mean()
    assert np.abs(answer.mean - truth).mean() < 0.6 * np.abs(mean - truth).mean()

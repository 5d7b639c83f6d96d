import numpy as np
import pytest

from cellwarden import datasets
from cellwarden.errors import DataError
from cellwarden.features import Spectrum, circuit_impedance
from cellwarden.health import spectra
from cellwarden.health.algorithms import named
from cellwarden.health.scoring import carried, evaluate, score
from cellwarden.health.task import Fold

HERTZ = np.geomspace(2e4, 0.02, 60)
NEW = np.array([0.3, 0.4, 3e-4, 0.8, 0.3, 5e-3, 0.9, 0.1])


def made(growth: float = 0.0) -> Spectrum:
    values = NEW.copy()
    values[[1, 4]] *= 1 + growth
    whole = circuit_impedance(values, HERTZ, arc_count=2, inductive=False)
    return Spectrum(HERTZ, whole + 1e-6j * 2 * np.pi * HERTZ)


def cells(count: int, rows: int = 6) -> tuple[list[Spectrum], list[str], np.ndarray, np.ndarray]:
    """Cells of other size and resistance whose arcs grow as they fade."""
    growth = np.tile(np.linspace(0, 1, rows), count)
    size = np.repeat(np.linspace(0.9, 1.1, count), rows)
    seen = [
        Spectrum(one.frequency_hertz, one.impedance_ohm / each)
        for one, each in zip(map(made, growth), size, strict=True)
    ]
    names = [f"cell {k}" for k in range(count) for _ in range(rows)]
    return seen, names, np.tile(np.arange(1.0, rows + 1), count), 0.04 * size * (1 - 0.3 * growth)


def test_a_spectrum_tells_the_circuit_it_was_made_of() -> None:
    told = spectra.spectrum_features(made())
    assert tuple(told) == spectra.COLUMNS
    for name, value in zip(("series_ohm", "arc_1_ohm", "arc_2_ohm"), NEW[[0, 1, 4]], strict=True):
        assert told[name] == pytest.approx(value, rel=0.02)
    assert told["real_17.8_hertz_ohm"] == pytest.approx(
        np.interp(np.log(17.8), np.log(HERTZ[::-1]), made().impedance_ohm.real[::-1])
    )
    assert np.isfinite(list(told.values())).all()


def test_what_a_short_sweep_does_not_show_is_missing() -> None:
    whole = made()
    kept = whole.frequency_hertz > 1.0
    told = spectra.spectrum_features(Spectrum(HERTZ[kept], whole.impedance_ohm[kept]))
    assert np.isnan(told["real_0.2_hertz_ohm"])
    assert np.isnan(told["tail_slope_ohm_per_root_second"])
    assert np.isfinite(told["real_17.8_hertz_ohm"])
    none = spectra.spectrum_features(Spectrum(HERTZ[:0], whole.impedance_ohm[:0]))
    assert np.isnan(list(none.values())).all()


def test_later_spectra_change_nothing_that_was_told_before() -> None:
    numbers = np.random.default_rng(1).uniform(0.5, 2, (9, 4))
    told = spectra.against_first(numbers)
    for count in range(1, 9):
        assert spectra.against_first(numbers[:count]) == pytest.approx(told[:count])
    assert told[0] == pytest.approx(0)
    assert told[8] == pytest.approx(np.log(numbers[8] / np.median(numbers[:3], axis=0)))


def test_a_number_missing_from_the_first_spectra_stays_missing() -> None:
    numbers = np.ones((6, 2))
    numbers[:3, 1] = np.nan
    numbers[4, 0] = -1.0
    told = spectra.against_first(numbers)
    assert np.isnan(told[:, 1]).all()
    assert np.isnan(told[4, 0])
    assert np.isfinite(told[[0, 1, 2, 3, 5], 0]).all()


def test_the_size_of_a_cell_drops_out_of_what_is_learnt() -> None:
    task = spectra.task(*cells(3))
    rows = task.features[:, [task.columns.index(name) for name in spectra.CHOICES["spectrum"]]]
    assert rows[task.cell == 0] == pytest.approx(rows[task.cell == 2], abs=1e-9)
    row = score(task, "ridge", evaluate(task, [named("ridge")]))
    assert row.mae < 0.02 < score(task, "first", carried(task, "first capacity")).mae


def test_folds_may_be_given_so_that_other_cells_can_be_told() -> None:
    seen, names, cycle, capacity = cells(3)
    task = spectra.task(seen, names, cycle, capacity, folds=(Fold("last", (0, 1), (2,)),))
    assert task.folds[0].test == (2,)
    absolute = spectra.task(seen, names, cycle, capacity, absolute=True)
    assert absolute.target == pytest.approx(1000 * capacity)


def test_rows_that_do_not_fit_are_refused() -> None:
    seen, names, cycle, capacity = cells(2)
    with pytest.raises(DataError, match="one length"):
        spectra.task(seen, names[1:], cycle, capacity)
    with pytest.raises(DataError, match="above zero"):
        spectra.task(seen, names, cycle, 0 * capacity)


@pytest.mark.skipif(
    not (datasets.data_folder() / "eis_lco").is_dir(),
    reason="eis_lco is not there: set CELLWARDEN_DATA",
)
def test_real_cells_are_told_better_against_their_own_first_spectra_than_by_the_mean() -> None:
    table = datasets.load("eis_lco", "eis.parquet")
    told = spectra.task_of(table.rows(np.arange(len(table)) % 10 == 0))
    ridge, mean = (score(told, name, evaluate(told, [named(name)])) for name in ("ridge", "mean"))
    assert ridge.mae < 0.8 * mean.mae
    assert np.isnan(ridge.width)  # three training cells support no interval

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from cellwarden.errors import UsageError
from cellwarden.health.soc_identify import Shape, bounded, identify, predict_volt
from cellwarden.health.soc_model import CellModel, Record, look_up, observability
from health.soc_cell import cell_model, drive


@pytest.fixture(scope="module")
def drives() -> list[Record]:
    true = cell_model()
    return [drive(true, seed, celsius=c) for seed in range(4) for c in (0.0, 25.0)]


@pytest.fixture(scope="module")
def found(drives: list[Record]) -> CellModel:
    return identify(drives, 3.0)


def test_the_circuit_behind_the_drives_is_found(found: CellModel) -> None:
    true = cell_model()
    assert found.knot_celsius == pytest.approx([0.0, 25.0])
    soc = np.linspace(0.45, 0.9, 10)
    for celsius in (0.0, 12.0, 25.0):
        ours, theirs = (look_up(m, soc, np.full(10, celsius)) for m in (found, true))
        assert np.abs(ours[0] - theirs[0]).max() < 0.01
        assert ours[1:5].sum(axis=0) == pytest.approx(theirs[1:5].sum(axis=0), rel=0.1)
    assert np.all(found.table >= 0.0)


def test_a_drive_it_has_not_seen_is_predicted_to_three_millivolts(found: CellModel) -> None:
    unseen = drive(cell_model(), 99, celsius=25.0, second_count=3600)
    error = unseen.voltage_volt - predict_volt(found, unseen)
    assert np.sqrt(np.mean(error**2)) < 0.003


def test_without_hysteresis_the_error_is_larger(drives: list[Record], found: CellModel) -> None:
    unseen = drive(cell_model(), 99, celsius=25.0, second_count=3600)
    plain = identify(drives, 3.0, Shape(has_hysteresis=False))
    assert np.all(plain.table[:, :, 5] == 0.0)
    errors = [np.std(unseen.voltage_volt - predict_volt(m, unseen)) for m in (plain, found)]
    assert errors[0] > errors[1]


def test_one_drive_is_no_circuit(drives: list[Record]) -> None:
    with pytest.raises(UsageError, match="two drives"):
        identify(drives[:1], 3.0)
    with pytest.raises(UsageError, match="two drives"):
        identify(drives, 0.0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_bounded_least_squares_agrees_with_lawson_and_hanson(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    matrix, right = rng.normal(size=(size + 5, size)), rng.normal(size=size + 5)
    ours = bounded(matrix.T @ matrix, matrix.T @ right)
    np.testing.assert_allclose(ours, nnls(matrix, right)[0], atol=1e-6)


def test_a_flat_curve_tells_less_than_a_steep_one() -> None:
    soc, warm = np.array([0.0, 0.5, 1.0]), np.full(3, 25.0)
    steep = observability(cell_model(), soc, warm)
    flat = observability(cell_model(flat=True), soc, warm)
    assert steep[1] == pytest.approx(0.9 / 0.005, rel=0.01)
    assert flat[1] < steep[1] / 20.0
    assert flat[2] > flat[1]
    cold = observability(cell_model(), soc, warm - 25.0)
    assert cold[1] < steep[1]

import numpy as np
import pytest

from cellwarden.errors import DataError
from cellwarden.registry.agreement import agree, difference, draw_rows, tolerance
from registry.portable_models import model


def test_rows_reach_beyond_training_and_have_gaps_and_are_the_same_for_a_seed() -> None:
    plain = model("ridge")
    rows = draw_rows(plain, 500, 0)
    own = plain.prepared
    assert np.isnan(rows).mean() == pytest.approx(0.05, abs=0.02)
    assert (rows < own.low).any()
    assert (rows > own.high).any()
    assert np.array_equal(rows, draw_rows(plain, 500, 0), equal_nan=True)


def test_what_differs_by_more_than_rounding_is_refused() -> None:
    for name in ("ridge", "random forest"):  # the second is of a logarithmic target
        plain = model(name)
        rows = draw_rows(plain, 20, 0)
        told = np.array(plain.trimmed().tell(rows))
        assert agree(plain, told, rows, onnx=False) == 0.0
        told[2, 7] *= 1 + 1e-8
        told[2, 7] += 1e-7
        with pytest.raises(DataError, match="differs from Python"):
            agree(plain, told, rows, onnx=False)
        told[2, 7] = np.nan
        assert np.isnan(difference(plain, told, rows))
        with pytest.raises(DataError):
            agree(plain, told, rows, onnx=False)


def test_only_a_sum_of_single_precision_may_differ_by_more_in_onnx() -> None:
    assert tolerance(model("XGBoost"), onnx=True) == 1e-5
    assert tolerance(model("XGBoost"), onnx=False) == 1e-9
    assert tolerance(model("LightGBM"), onnx=True) == 1e-9

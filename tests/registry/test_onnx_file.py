import json
from dataclasses import replace

import numpy as np
import pytest

from cellwarden.health.portable import Portable, Trees
from cellwarden.registry import digest, encode_portable
from cellwarden.registry.agreement import difference, tolerance, with_onnx
from cellwarden.registry.onnx_file import encode_onnx
from registry.portable_models import KINDS, LABEL, model, rows

onnx = pytest.importorskip("onnx", reason="needs the extra export")
pytest.importorskip("onnxruntime", reason="needs the extra export")

TREES = ("bagging", "random forest", "extra trees", "LightGBM", "XGBoost")


@pytest.mark.parametrize("name", KINDS)
def test_the_runtime_tells_what_python_tells(name: str) -> None:
    plain = model(name)
    features = rows()[:, plain.prepared.taken]
    found = with_onnx(encode_onnx(plain, LABEL), features)
    assert len(found) == 3
    assert difference(plain, found, features) < tolerance(plain, onnx=True)


@pytest.mark.parametrize("name", TREES)
def test_no_branch_turns_at_a_threshold(name: str) -> None:
    from cellwarden.registry.tree_layout import lay_out

    plain = model(name)
    layout = lay_out(plain.prepared, plain.body)  # type: ignore[arg-type]
    inner = np.flatnonzero(layout.feature >= 0)
    features = np.tile(plain.prepared.fill, (2 * len(inner), 1))
    edges = layout.number[inner]
    at = np.arange(len(inner))
    features[at, layout.feature[inner]] = edges
    features[len(inner) + at, layout.feature[inner]] = np.nextafter(edges, np.inf)
    found = with_onnx(encode_onnx(plain, LABEL), features)
    assert difference(plain, found, features) < (1e-5 if name == "XGBoost" else 1e-12)


def test_the_file_passes_the_checker_and_says_what_it_is() -> None:
    plain = model("LightGBM")
    content = encode_onnx(plain, LABEL)
    assert encode_onnx(plain, LABEL) == content
    whole = onnx.load_from_string(content)
    onnx.checker.check_model(whole, full_check=True)
    props = {one.key: one.value for one in whole.metadata_props}
    assert json.loads(props["columns"]) == ["slope", "mean_volt", "spread */ of ??/ charge"]
    assert json.loads(props["column_units"]) == ["V/Ah", "V", "Ah"]
    assert json.loads(props["coverage"]) == 0.8
    assert props["portable_sha256"] == digest(encode_portable(plain, LABEL))


def test_trees_of_one_leaf_are_told_too() -> None:
    place = np.arange(4)
    body = Trees(
        3, np.array([0, 1]), np.zeros(4, dtype=np.int64), np.zeros(4), np.array([0, 2, 2, 3]),
        np.array([0, 3, 2, 3]), 1.0 * place,
    )  # fmt: skip
    plain = model("ridge")
    plain = Portable(plain.columns, replace(plain.prepared, fitted=body, least=-9.0, most=9.0))
    found = with_onnx(encode_onnx(plain, LABEL), rows()[:, plain.prepared.taken])
    assert len(found) == 1
    assert found[0].tolist() == plain.tell(rows())[0].tolist()
    assert set(found[0].tolist()) == {2.0, 3.0}

import ctypes
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cellwarden.errors import UnavailableError, UsageError
from cellwarden.health.portable import Portable, Trees
from cellwarden.registry.c_source import CFiles, write_c
from cellwarden.registry.compiled import Compiled, compile_c, compilers, footprint
from registry.portable_models import KINDS, LABEL, model, rows

TREES = ("bagging", "random forest", "extra trees", "LightGBM", "XGBoost")
COMPILERS = ["gcc", "clang"]


def build(plain: Portable, folder: Path, compiler: str = "gcc", name: str = "made") -> Compiled:
    if compiler not in compilers():
        pytest.skip(f"there is no {compiler} on this machine")
    return compile_c(write_c(plain, LABEL, name), folder, compiler)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", KINDS)
def test_c_tells_what_python_tells(name: str, compiler: str, tmp_path: Path) -> None:
    plain = model(name)
    expected = np.array(plain.tell(rows()))
    found = build(plain, tmp_path, compiler).predict(rows()[:, plain.prepared.taken])
    if name in TREES and not plain.logarithmic:
        assert found.tolist() == expected.tolist()  # to the last bit
    away = np.abs(found - expected) / np.maximum(np.abs(expected), 1e-3)
    assert away.max() < 1e-9


@pytest.mark.parametrize("name", TREES)
def test_no_branch_turns_at_a_threshold(name: str, tmp_path: Path) -> None:
    from cellwarden.registry.tree_layout import lay_out

    plain = replace(model(name), logarithmic=False)
    layout = lay_out(plain.prepared, plain.body)  # type: ignore[arg-type]
    inner = np.flatnonzero(layout.feature >= 0)
    features = np.tile(plain.prepared.fill, (2 * len(inner), 1))
    at, edges = np.arange(len(inner)), layout.number[inner]
    features[at, layout.feature[inner]] = edges
    features[len(inner) + at, layout.feature[inner]] = np.nextafter(edges, np.inf)
    found = build(plain, tmp_path).predict(features)
    assert found.tolist() == np.array(plain.trimmed().tell(features)).tolist()


def test_a_null_pointer_is_answered_by_a_code_and_nothing_is_written(tmp_path: Path) -> None:
    built = build(model("ridge"), tmp_path)
    features, told = (ctypes.c_double * 3)(), (ctypes.c_double * 3)(7.0, 7.0, 7.0)
    assert built.linked.made_predict(None, told) == -1
    assert built.linked.made_predict(features, None) == -1
    assert built.linked.made_outside(None) == -1
    assert list(told) == [7.0, 7.0, 7.0]
    assert built.linked.made_predict(features, told) == 0


@pytest.mark.parametrize("name", ["ridge", "LightGBM"])
def test_features_that_are_missing_or_beyond_training_are_counted(
    name: str, tmp_path: Path
) -> None:
    plain = model(name)
    built = build(plain, tmp_path)
    for row in rows(50):
        few = np.ascontiguousarray(row[plain.prepared.taken])
        count = built.linked.made_outside(ctypes.c_void_p(few.ctypes.data))
        assert count == round(3 * float(plain.prepared.outside(row[None, :])[0]))


def test_the_header_says_columns_units_and_what_is_told() -> None:
    files = write_c(model("LightGBM"), LABEL, "made")
    assert "[0] slope [V/Ah]" in files.header
    assert "[1] mean_volt [V]" in files.header
    assert "[0] a made number [1]" in files.header
    assert "80 % interval" in files.header
    assert write_c(model("LightGBM"), LABEL, "made") == files


def test_no_name_can_leave_its_comment(tmp_path: Path) -> None:
    bad = replace(LABEL, name='*/ #error "out" /*', target="a\nb\\", unit="??/", licence="/**/")
    if not compilers():
        pytest.skip("there is no C compiler on this machine")
    compile_c(write_c(model("ridge"), bad, "made"), tmp_path, compilers()[0])


def test_a_name_that_is_none_and_a_model_that_is_too_large_are_refused() -> None:
    for name in ("Made", "2x", "a-b", "", "int main(", "a" * 60):
        with pytest.raises(UsageError, match="no name"):
            write_c(model("ridge"), LABEL, name)
    place = np.arange(2**18 + 1)
    huge = Trees(3, place, 0 * place, 0.0 * place, place, place, 0.0 * place)
    plain = model("ridge")
    plain = replace(plain, prepared=replace(plain.prepared, fitted=huge))
    with pytest.raises(UsageError, match="too many"):
        write_c(plain, LABEL, "made")


def test_the_footprint_grows_with_the_model_and_nothing_is_written_to(tmp_path: Path) -> None:
    if "gcc" not in compilers():
        pytest.skip("there is no gcc on this machine")
    line, trees = (
        footprint(write_c(model(name), LABEL, "made"), tmp_path) for name in ("ridge", "LightGBM")
    )
    assert line.static_bytes == trees.static_bytes == 0
    assert line.flash_bytes < 4000 < trees.flash_bytes
    assert 0 < trees.stack_bytes < 1000


def test_what_a_compiler_does_not_take_is_said(tmp_path: Path) -> None:
    if not compilers():
        pytest.skip("there is no C compiler on this machine")
    with pytest.raises(UnavailableError, match="does not take"):
        compile_c(CFiles("made", "", "int x = ;"), tmp_path, compilers()[0])
    with pytest.raises(UnavailableError):
        compile_c(CFiles("made", "", ""), tmp_path, "no-such-compiler")

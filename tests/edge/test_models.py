"""A device uses a model only with its grant, byte for byte; else it says why not."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from cellwarden.edge.models import Models, Regressor, install_model, load_models
from cellwarden.health import Model
from cellwarden.health.portable import Portable
from cellwarden.registry import digest, encode_portable
from cellwarden.registry.onnx_file import encode_onnx
from cellwarden.trust.identity import Identity
from cellwarden.wire.grant import Grant, sign_grant
from edge.lines import label, line
from trust.making import NOW, Certified, certify, fleet

SHIPPED = Path(str(resources.files("cellwarden.health"))) / "models"
BAND = line(("current_ampere", "soc_fraction"), [0.001, 1.0], 3.2)


@pytest.fixture(scope="module")
def chief() -> Certified:
    return certify(fleet().authority, Identity("operator", "chief", "administrator"))


def let_in(  # noqa: PLR0917  what is let in, by whom, for what
    folder: Path, by: Certified, name: str, purpose: str, content: bytes, end: str = ".cbor",
    at: float = NOW,
) -> None:  # fmt: skip
    grant = Grant(name, digest(content), purpose, at, folder.name)
    kept = None if purpose == "order" else content
    install_model(folder, name, sign_grant(grant, by.key, by.certificate), kept, end)


def loaded(folder: Path) -> Models:
    return load_models(folder, fleet().roots, NOW)


def test_shipped_models_and_portable_ones_are_let_in(tmp_path: Path, chief: Certified) -> None:
    circuit = (SHIPPED / "soc-lg-hg2.cbor").read_bytes()
    let_in(tmp_path, chief, "circuit", "soc", circuit)
    let_in(tmp_path, chief, "soh", "soh", (SHIPPED / "soh.cbor").read_bytes())
    let_in(tmp_path, chief, "band", "anomaly", encode_portable(BAND, label("band")))
    let_in(tmp_path, chief, "planner", "order", b"a model that runs elsewhere")
    told = loaded(tmp_path)
    assert told.troubles == ()
    assert told.soc is not None
    assert isinstance(told.soh, Model)
    assert told.anomaly is not None
    assert told.names == {"soc": "circuit", "soh": "soh", "anomaly": "band"}
    assert told.obeyed == {digest(b"a model that runs elsewhere")}
    assert not (tmp_path / "models" / "planner.cbor").exists()


def test_a_model_as_onnx_tells_what_the_portable_one_tells(
    tmp_path: Path, chief: Certified
) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    let_in(tmp_path, chief, "band", "anomaly", encode_onnx(BAND, label("band")), ".onnx")
    told = loaded(tmp_path)
    assert told.troubles == ()
    assert told.anomaly is not None
    row = np.array([10.0, 0.5])
    plain = Regressor(BAND.columns, "", BAND)
    assert told.anomaly.tell(row) == pytest.approx(plain.tell(row))
    assert told.anomaly.columns == BAND.columns


def spoil(path: Path, at: int = 100) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("what", ["grant", "cbor"])
def test_a_model_with_a_turned_bit_is_not_used_and_said_so(
    tmp_path: Path, chief: Certified, what: str
) -> None:
    let_in(tmp_path, chief, "band", "anomaly", encode_portable(BAND, label("band")))
    spoil(tmp_path / "models" / f"band.{what}")
    told = loaded(tmp_path)
    assert told.anomaly is None
    assert len(told.troubles) == 1
    (found,) = told.findings(NOW)
    assert found.kind == "model"
    assert "band" in found.message


def test_a_model_that_is_missing_foreign_or_of_another_kind_is_not_used(
    tmp_path: Path, chief: Certified
) -> None:
    let_in(tmp_path, chief, "gone", "soc", b"x")
    (tmp_path / "models" / "gone.cbor").unlink()
    ann = certify(fleet().authority, Identity("operator", "ann", "operator"))
    let_in(tmp_path, ann, "anns", "soc", (SHIPPED / "soc-lg-hg2.cbor").read_bytes())
    let_in(tmp_path, chief, "table", "soc", encode_portable(BAND, label("band")))
    strange = line(("moon_phase",), [1.0], 0.0)
    let_in(tmp_path, chief, "moon", "anomaly", encode_portable(strange, label("moon")))
    told = loaded(tmp_path)
    assert (told.soc, told.anomaly) == (None, None)
    assert len(told.troubles) == 4
    assert any("moon_phase" in trouble for trouble in told.troubles)
    assert any("may not grant" in trouble for trouble in told.troubles)


def test_a_file_without_a_grant_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "soc.cbor").write_bytes((SHIPPED / "soc-lg-hg2.cbor").read_bytes())
    assert loaded(tmp_path) == Models()
    assert loaded(tmp_path / "nowhere") == Models()


def test_of_two_for_one_purpose_the_one_granted_last_is_used(
    tmp_path: Path, chief: Certified
) -> None:
    for name, at in (("a-new", NOW), ("b-old", NOW - 60)):
        content = encode_portable(BAND, label(name))
        let_in(tmp_path, chief, name, "anomaly", content, at=at)
    assert loaded(tmp_path).names == {"anomaly": "a-new"}


def test_only_columns_that_a_charge_gives_are_taken_for_health(
    tmp_path: Path, chief: Certified
) -> None:
    own = line(("window_fraction", "taper_hour"), [1.0, 0.1], 0.2)
    let_in(tmp_path, chief, "own", "soh", encode_portable(own, label("own", "soh")))
    told = loaded(tmp_path)
    assert told.troubles == ()
    assert isinstance(told.soh, Regressor)
    assert isinstance(told.soh.rows, Portable)

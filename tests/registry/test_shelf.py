import subprocess
import sys
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from cellwarden.domain import Health
from cellwarden.errors import DataError, Error, SealError, TrustError, UsageError
from cellwarden.registry import assess, digest, encode, load, load_card, read_model
from cellwarden.registry.page import page

ROOT = Path(__file__).parents[2]
SHIPPED = resources.files("cellwarden.health") / "models"


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    for name in ("soh.cbor", "SHA256SUMS"):
        (tmp_path / name).write_bytes((SHIPPED / name).read_bytes())
    return tmp_path


def test_a_model_is_read_with_its_card_and_the_digest_of_its_file(shelf: Path) -> None:
    model, card = read_model(shelf, "soh")
    assert model.digest == card.digest == digest((shelf / "soh.cbor").read_bytes())


def test_a_file_with_one_bit_changed_is_refused(shelf: Path) -> None:
    content = bytearray((shelf / "soh.cbor").read_bytes())
    content[-1] ^= 1
    (shelf / "soh.cbor").write_bytes(content)
    with pytest.raises(SealError):
        read_model(shelf, "soh")


@pytest.mark.parametrize(
    ("sums", "kind"), [("", TrustError), ("abc other.cbor\n", TrustError), ("\n\n", TrustError)]
)
def test_a_file_that_no_digest_names_is_refused(shelf: Path, sums: str, kind: type[Error]) -> None:
    (shelf / "SHA256SUMS").write_text(sums)
    with pytest.raises(kind):
        read_model(shelf, "soh")


def test_a_model_that_is_not_there_is_a_wrong_call(shelf: Path) -> None:
    with pytest.raises(UsageError):
        read_model(shelf, "rul")
    (shelf / "SHA256SUMS").unlink()
    with pytest.raises(UsageError):
        read_model(shelf, "soh")


def test_an_empty_file_with_its_right_digest_is_no_model(shelf: Path) -> None:
    (shelf / "soh.cbor").write_bytes(b"")
    (shelf / "SHA256SUMS").write_text(f"{digest(b'')}  soh.cbor\n")
    with pytest.raises(DataError):
        read_model(shelf, "soh")


def test_a_verified_model_that_does_not_beat_its_baselines_is_not_served(shelf: Path) -> None:
    card = load_card()
    poor = tuple(
        replace(row, mae_fraction=0.2) if row.who == "model" else row for row in card.scores
    )
    content = encode(load(), replace(card, scores=poor))
    (shelf / "soh.cbor").write_bytes(content)
    (shelf / "SHA256SUMS").write_text(f"{digest(content)}  soh.cbor\n")
    with pytest.raises(UsageError, match="does not beat"):
        read_model(shelf, "soh")


def test_sha256sum_agrees_with_the_shipped_digest() -> None:
    with resources.as_file(SHIPPED) as folder:
        subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True)


def test_assessing_needs_no_machine_learning_library() -> None:
    code = (
        "import sys; from cellwarden.registry import load; load();"
        "heavy = {'sklearn', 'lightgbm', 'scipy', 'duckdb', 'pandas'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_assess_takes_the_shipped_model_unless_one_is_given(cell: Any, record: Any) -> None:
    series = record(cell.cycle())
    verdict = assess(series)
    assert isinstance(verdict.health, Health)
    assert verdict.model_digest == load().digest
    other = assess(series, model=replace(load(), name="other"))
    assert other.model_name == "other"


def test_the_page_in_the_documentation_is_that_of_the_shipped_card() -> None:
    assert (ROOT / "docs/models/soh.md").read_text("utf-8") == page(load_card())

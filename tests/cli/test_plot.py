"""One command draws one picture of one file."""

from pathlib import Path

import numpy as np
import pytest

from cellwarden.cli.plot import Wish, named_cycles, plot_command
from cellwarden.domain import Series
from cellwarden.errors import DataError, UsageError
from cellwarden.readers import write_bdf


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two discharges and charges between 3 V and 4.2 V, without cycle numbers."""
    share = np.linspace(0, 1, 60)
    voltage = np.concatenate([4.2 - 1.2 * share, 3.0 + 1.2 * share] * 2)
    current = np.concatenate([np.full(60, -1.0), np.full(60, 1.0)] * 2)
    series = Series("cell", 60.0 * np.arange(240), voltage, current)
    path = tmp_path / "cell.bdf.csv"
    write_bdf(series, path)
    return path


@pytest.mark.parametrize("picture", ["fan", "fade", "dqdv", "histogram"])
def test_each_picture_comes_from_one_command(file: Path, tmp_path: Path, picture: str) -> None:
    target = plot_command(picture, file, tmp_path / f"{picture}.png", Wish())
    assert target.read_bytes().startswith(b"\x89PNG")


def test_a_record_has_no_spectra_to_draw(file: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a record in time"):
        plot_command("nyquist", file, tmp_path / "n.png", Wish())
    assert not (tmp_path / "n.png").exists()


def test_a_picture_that_is_none_is_answered_with_those_that_are(file: Path) -> None:
    with pytest.raises(UsageError) as caught:
        plot_command("pie", file, None, Wish())
    assert "fan, fade, dqdv, nyquist, histogram" in caught.value.hint


def test_cycles_are_named_by_number() -> None:
    assert named_cycles("1, 100,5") == (1, 100, 5)
    with pytest.raises(UsageError, match="one"):
        named_cycles("one")

"""The shipped model is what its command makes of the data."""

import os
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from cellwarden.cli.models import DATA_SETS, build, make
from cellwarden.errors import UsageError
from cellwarden.readers import read
from cellwarden.registry import load_card, read_model

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
needs_data = pytest.mark.skipif(
    not all((DATA / name).is_dir() for name in DATA_SETS),
    reason="needs nasa_pcoe and calce_cs2 under CELLWARDEN_DATA",
)


@needs_data
def test_building_again_gives_the_shipped_scores_and_a_model_that_loads(tmp_path: Path) -> None:
    build(DATA, tmp_path, tmp_path / "page.md")
    _, card = read_model(tmp_path, "soh")
    shipped = load_card()
    assert card.sources == shipped.sources
    assert card.features == shipped.features
    # Another processor's linear algebra may differ in the last bits, not in the scores.
    for row, expected in zip(card.scores, shipped.scores, strict=True):
        assert (row.who, row.data) == (expected.who, expected.data)
        assert row.mae_fraction == pytest.approx(expected.mae_fraction, abs=2e-4)
        assert row.rmse_fraction == pytest.approx(expected.rmse_fraction, abs=2e-4)
    assert card.digest in (tmp_path / "page.md").read_text("utf-8")


@needs_data
def test_making_a_model_twice_gives_the_same_bytes() -> None:
    names = {
        "NASA PCoE": ("nasa_pcoe/B0005", "nasa_pcoe/B0007"),
        "CALCE CS2": ("calce_cs2/CS2_35", "calce_cs2/CS2_36", "calce_cs2/CS2_37"),
    }
    records = {
        group: [read(DATA / f"{file}.parquet") for file in files] for group, files in names.items()
    }
    with threadpool_limits(1):
        (one, _), (other, _) = make(records), make(records)
    assert one == other


def test_a_folder_without_the_data_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"B0005\.parquet is not there"):
        build(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()

"""Small files of a lake are merged and forgotten, and everything still holds."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cellwarden.hub.upkeep import Upkeep
from hub.lakes import Site, batches, lake_site, postgres

pytestmark = pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR is not set")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    with postgres(tmp_path_factory.mktemp("catalog")) as create:
        yield create


@pytest.fixture
def site(
    server: Callable[[str], str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Site]:
    with lake_site(server, tmp_path, request.node.name) as made:
        yield made


def test_small_files_become_large_ones_and_everything_holds(site: Site) -> None:
    writer, maker = site.office(), site.place.maker("pack-1")
    for _ in range(40):
        assert writer.ingest.submit(batches(maker, 1), maker.peer).result(60)[1] is None
    files = Path(site.lake.data_path)
    before = len(list(files.rglob("*.parquet")))
    upkeep = Upkeep(site.open(), kept="0 seconds")
    merged = set()
    while (table := upkeep.merge()) is not None:
        merged.add(table)
    assert {"sample", "leaf", "batch", "checkpoint"} <= merged
    upkeep.forget()
    left = list(files.rglob("*.parquet"))
    assert len(left) < before / 4
    assert {file.read_bytes()[:4] for file in left} == {b"PARE"}
    site.holds(40)
    assert writer.ingest.submit(batches(maker, 1), maker.peer).result(60)[1] is None
    site.holds(41)

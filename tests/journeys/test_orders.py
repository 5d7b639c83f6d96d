"""Orders under attack: each forgery is refused, reported to the hub, and moves no limit.

Hub, device, loop and batches are the real ones in one process; between them stands whoever can
send a device what they like: a hub that has been taken over.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from copy import copy, deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from cellwarden.domain import FREE, Curb, Request
from cellwarden.edge.agent import Agent, Device, Sender
from cellwarden.edge.clock import TrustedClock
from cellwarden.edge.control_loop import ControlLoop
from cellwarden.edge.device_config import Described, DeviceConfig, DriverPart, PackPart
from cellwarden.edge.drivers import Live
from cellwarden.edge.frame_queue import FrameQueue
from cellwarden.edge.inference import ChargeSense, senses
from cellwarden.edge.journal import Journal
from cellwarden.edge.live import open_live
from cellwarden.edge.models import Models
from cellwarden.edge.orders import OrderDesk
from cellwarden.edge.outbox import Outbox
from cellwarden.edge.transport import CallCourier, CallTransport
from cellwarden.trust.identity import Identity, utc
from cellwarden.wire.obedience import Reason, Rules
from cellwarden.wire.order import Delivery, Order, Post, Wish, sign_order
from edge.live import Hands, Recorded
from hub.fleet import NOW, Site, site
from trust.making import YEAR, Certified, authority, certify

HOUR = 3600.0
ANN = Identity("operator", "ann", "operator")
HUB = Identity("hub", "test")
MODEL = "ab" * 32
START_CYCLES = 220  # until the limits have come up to those of the table


@dataclass
class Scene:
    """A pack under control, its hub, and the wires between them in an attacker's hands."""

    device: str
    client: httpx.Client
    site: Site
    desk: OrderDesk
    loop: ControlLoop
    pack: Recorded
    hands: Hands
    agent: Agent
    queue: FrameQueue
    sender: Sender
    wall: list[float]
    ann: Certified
    hub: Certified
    kept: list[Delivery] = field(default_factory=list)

    def order(self, sequence: int = 1, by: Certified | None = None, **more: Any) -> Delivery:
        """Ann's order, or something like it."""
        plain = Order(
            self.device,
            ANN.uri(),
            ANN.role,
            ANN.name,
            sequence,
            NOW,
            NOW,
            NOW + HOUR,
            "",
            Curb(20.0),
        )
        signer = by or self.ann
        told = sign_order(replace(plain, **more), signer.key, signer.certificate)
        return Delivery.of(told, signer.certificate)

    def post(self, *deliveries: Delivery, now: float = NOW, revoked: bytes = b"") -> None:
        """What reaches the device."""
        self.desk.poll(CallCourier(lambda _seen: Post(now, deliveries, revoked)))

    def limits(self) -> tuple[float, float]:
        """What the pack is told in the next cycle."""
        self.hands.sleep(0.1)
        self.loop.cycle()
        told = self.pack.last
        assert told is not None
        assert told.contactors.closed, self.loop.state
        return told.high_charge_current_ampere, told.high_discharge_current_ampere

    def report(self) -> dict[str, Any]:
        """A batch goes to the hub; gives what its pages then show."""
        for _ in range(12):
            self.hands.sleep(0.1)
            self.loop.cycle()
        assert self.agent.step()
        assert self.sender.step() == 1
        told: dict[str, Any] = self.client.get(f"/api/batteries/{self.device}/orders").json()
        return told


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, httpx.Client]]:
    with site(tmp_path_factory.mktemp("hub")) as here:
        here.add_people()
        yield here, here.sign_in("operator")


@dataclass(frozen=True)
class Served:
    """A pack that is connected, whose limits have come up; each test gets a copy of it."""

    live: Live
    told: Described


@pytest.fixture(scope="module")
def served() -> Served:
    driver = DriverPart(options={"soc_fraction": 0.5, "start_unix_time_second": NOW})
    config = DeviceConfig(PackPart("NMC", 50.0, 12), driver=driver)
    told = config.described("pack")
    live, charge = open_live(config, told), ChargeSense(told.pack)
    for _ in range(START_CYCLES):
        reading = live.read()
        live.write(told.control(reading, charge.step(reading.frame), FREE).command)
    return Served(live, told)


@pytest.fixture
def scene(
    tmp_path: Path,
    running: tuple[Site, httpx.Client],
    served: Served,
    request: pytest.FixtureRequest,
) -> Iterator[Scene]:
    """A device of its own for each test, at one hub."""
    here, client = running
    name = "pack-" + re.sub(r"[^a-z]+", "-", request.node.name)[-40:].strip("-")
    with ExitStack() as stack:
        root = here.installation.authority
        maker = here.installation.maker(name)
        outbox = stack.enter_context(closing(Outbox(tmp_path / "outbox.sqlite", bytes(32))))
        journal = stack.enter_context(closing(Journal(tmp_path / "journal.sqlite", bytes(32))))
        hands, wall = Hands(), [NOW]
        clock = TrustedClock(0.0, lambda: wall[0], lambda: hands.now)
        told = served.told
        rules = Rules(name, told.room, frozenset({MODEL}))
        desk = OrderDesk(outbox, rules, root.certificate, clock)
        table = Recorded(deepcopy(served.live))
        queue = FrameQueue(journal, flush_second=0.0, batch_second=0.0, steady=lambda: 0.0)
        loop = ControlLoop(
            table, copy(told.control), queue, senses(told.pack, Models()), ordered=desk.in_force,
            steady=hands.steady, sleep=hands.sleep,
        )  # fmt: skip
        key = here.installation.note_key
        device = Device(name, maker.key, maker.certificate, maker.sealer, key)
        agent = Agent(device, queue, outbox, batch_frames=1, beside=desk)
        sender = Sender(
            device, outbox,
            CallTransport(lambda bodies: here.hub.ingest.submit(bodies, maker.peer).result(30)),
        )  # fmt: skip
        ann = certify(root, ANN, at=NOW)
        yield Scene(
            name, client, here, desk, loop, table, hands, agent, queue, sender, wall, ann,
            here.installation.hub,
        )  # fmt: skip


def flipped(delivery: Delivery) -> Delivery:
    """The last bit of the signature is another."""
    return replace(delivery, order=delivery.order[:-1] + bytes([delivery.order[-1] ^ 1]))


def replayed(scene: Scene) -> None:
    one = scene.order()
    scene.post(one)
    scene.wall[0] += HOUR + 1
    scene.hands.now += HOUR + 1  # it is over; somebody sends it again
    scene.post(one)


def reordered(scene: Scene) -> None:
    wide, tight = scene.order(1, body=Curb()), scene.order(2, body=Curb())
    scene.post(tight, wide)


def after_the_clock_jumped_back(scene: Scene) -> None:
    scene.post()
    scene.hands.now += 2 * HOUR
    scene.wall[0] = NOW - HOUR  # set back by somebody at the device
    scene.post(scene.order())


def flood(scene: Scene) -> None:
    for number in range(20):
        scene.post(*(Delivery(b"%d %d" % (number, k), b"") for k in range(1000)))


def revoked(scene: Scene) -> None:
    serial = scene.ann.certificate.serial_number
    listed = scene.site.installation.authority.revocations([serial], utc(NOW))
    scene.post(scene.order(), revoked=listed)


def foreign() -> Certified:
    return certify(authority("Somebody else", NOW), ANN, at=NOW)


def viewer(scene: Scene) -> Delivery:
    eve = Identity("operator", "eve", "viewer")
    by = certify(scene.site.installation.authority, eve, at=NOW)
    return scene.order(by=by, issuer=eve.uri(), role="viewer", actor="eve")


def model(scene: Scene, digest: str) -> Delivery:
    return scene.order(by=scene.hub, issuer=HUB.uri(), role="model", actor="", model_digest=digest)


def old(scene: Scene) -> Certified:
    root = scene.site.installation.authority
    return certify(root, ANN, at=NOW - 2 * YEAR.total_seconds())


ATTACKS: dict[str, tuple[Callable[[Scene], None], Reason]] = {
    "replayed": (replayed, Reason.REPLAYED),
    "expired": (
        lambda s: s.post(s.order(expires_unix_time_second=NOW - 1)), Reason.EXPIRED,
    ),
    "foreign issuer": (lambda s: s.post(s.order(by=foreign())), Reason.FOREIGN_ISSUER),
    "issuer whose certificate is over": (
        lambda s: s.post(s.order(by=old(s))), Reason.FOREIGN_ISSUER,
    ),
    "revoked issuer": (revoked, Reason.FOREIGN_ISSUER),
    "foreign device": (lambda s: s.post(s.order(device="pack-2")), Reason.FOREIGN_DEVICE),
    "wrong role": (lambda s: s.post(viewer(s)), Reason.WRONG_ROLE),
    "in a person's name by the hub": (lambda s: s.post(s.order(by=s.hub)), Reason.WRONG_ROLE),
    "unknown model": (lambda s: s.post(model(s, "cd" * 32)), Reason.UNKNOWN_MODEL),
    "more charge current": (lambda s: s.post(s.order(body=Curb(50.1))), Reason.LOOSENING),
    "closing": (lambda s: s.post(s.order(body=Wish(Request.CONNECT))), Reason.LOOSENING),
    "forgetting the faults": (
        lambda s: s.post(s.order(body=Wish(Request.RESET))), Reason.LOOSENING,
    ),
    "altered bit": (lambda s: s.post(flipped(s.order())), Reason.ALTERED),
    "cut short": (
        lambda s: s.post(replace(s.order(), order=s.order().order[:-1])), Reason.MALFORMED,
    ),
    "reordered": (reordered, Reason.REPLAYED),
    "after the clock jumped back": (after_the_clock_jumped_back, Reason.EXPIRED),
    "for ever": (
        lambda s: s.post(s.order(expires_unix_time_second=NOW + 30 * 86_400)), Reason.TOO_LONG,
    ),
    "from the future": (
        lambda s: s.post(
            s.order(
                issued_unix_time_second=NOW + HOUR, expires_unix_time_second=NOW + 2 * HOUR
            )
        ),
        Reason.FROM_THE_FUTURE,
    ),
    "flood": (flood, Reason.TOO_MANY),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_each_attack_is_refused_and_reported_and_the_pack_keeps_its_own_limits(
    scene: Scene, name: str
) -> None:
    attack, reason = ATTACKS[name]
    local = scene.limits()
    assert min(local) > 20.0
    attack(scene)
    assert scene.limits() == pytest.approx(local, rel=0.01)
    assert scene.desk.in_force() == FREE
    told = scene.report()
    assert reason in {one["event"] for one in told["strange"]}
    trail = {
        row[2:] for row in scene.site.audit() if row[:2] == (f"device:{scene.device}", "order")
    }
    assert f"refused: {reason}" in {outcome for _, outcome in trail}
    battery = scene.client.get(f"/api/batteries/{scene.device}").json()
    found = {one["signal"] for one in battery["findings"] if one["kind"] == "order"}
    assert reason in found
    assert battery["battery"]["worst_finding"] is not None
    # And whoever may order still can.
    scene.post(scene.order(sequence=9, by=None, **later(scene)), now=scene.desk.clock.now())
    charge, discharge = scene.limits()
    assert charge == pytest.approx(local[0] if name == "revoked issuer" else 20.0, rel=0.01)
    assert discharge == pytest.approx(local[1], rel=0.01)


def later(scene: Scene) -> dict[str, float]:
    now = scene.desk.clock.now()
    return {
        "issued_unix_time_second": now,
        "starts_unix_time_second": now,
        "expires_unix_time_second": now + HOUR,
    }


def test_a_genuine_order_tightens_until_it_is_over_though_the_hub_is_silent(scene: Scene) -> None:
    local = scene.limits()
    scene.post(scene.order(body=Curb(20.0, 30.0)))
    assert scene.limits() == (20.0, 30.0)
    scene.hands.now += HOUR - 10
    assert scene.limits() == (20.0, 30.0)
    scene.hands.now += 10
    # The pack's own limits come back slowly, as after any other hold.
    for _ in range(600):
        scene.limits()
    assert scene.limits() == pytest.approx(local, rel=0.01)


def test_an_allowed_models_order_is_obeyed(scene: Scene) -> None:
    scene.post(model(scene, MODEL))
    assert scene.limits()[0] == 20.0


def test_an_order_to_stand_by_opens_the_pack(scene: Scene) -> None:
    scene.limits()
    assert scene.loop.state == "connected"
    scene.post(scene.order(body=Wish(Request.STANDBY)))
    for _ in range(50):
        scene.hands.sleep(0.1)
        scene.loop.cycle()
    assert scene.loop.state == "standby"
    assert scene.pack.last is not None
    assert not scene.pack.last.contactors.any_closed


def test_what_the_hub_gives_is_obeyed_and_its_pages_say_so(scene: Scene) -> None:
    scene.report()  # the hub knows the battery by its first batch
    local = scene.limits()
    body = {"limits": {"high_discharge_current_ampere": 30}, "lasts_second": 60}
    given = scene.client.post(f"/api/batteries/{scene.device}/orders", json=body)
    assert given.status_code == 200, given.text
    scene.desk.poll(CallCourier(lambda seen: scene.site.book.post(scene.device, seen)))
    assert scene.limits() == (pytest.approx(local[0], rel=0.01), 30.0)
    told = scene.report()
    assert [one["state"] for one in told["orders"]] == ["obeyed"]
    assert told["strange"] == []
    scene.desk.poll(CallCourier(lambda seen: scene.site.book.post(scene.device, seen)))
    assert scene.desk.notes().outcomes == (), "an honest hub sends nothing twice"

"""Orders at the hub: who may give them, what is kept, what a device gets, what comes back."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cellwarden.domain import Curb, Request
from cellwarden.errors import IdentityError, ReplayError, UsageError
from cellwarden.hub.orders import OrderBook, Signer
from cellwarden.hub.problems import Declined
from cellwarden.hub.roles import Role
from cellwarden.trust.identity import Identity, utc
from cellwarden.wire.notes import Notes
from cellwarden.wire.obedience import Book, Outcome, Reason, judge
from cellwarden.wire.order import Delivery, Order, Wish, digest_of, open_order, sign_order
from hub.fleet import NOW, Clock, Site, installation, open_hub, site, sound_frames
from hub.lakes import Site as Lake
from hub.lakes import lake_site, postgres, until
from trust.making import Certified, certify
from wire.orders import RULES

DEVICE = "pack-1"
PATH = f"/api/batteries/{DEVICE}/orders"
ANN = Identity("operator", "ann", "operator")
LIMITS = {"limits": {"high_charge_current_ampere": 20}, "lasts_second": 3600}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("orders")) as running:
        running.add_people()
        running.fill(DEVICE, sound_frames())
        running.fill("pack-2", sound_frames())
        yield running


@pytest.fixture(scope="module")
def operator(here: Site) -> httpx.Client:
    return here.sign_in("operator")


@pytest.fixture(scope="module")
def ann(here: Site) -> Certified:
    return certify(here.installation.authority, ANN, at=NOW)


def signed(by: Certified, sequence: int, **more: Any) -> dict[str, str]:
    plain = {
        "device": DEVICE, "issuer": ANN.uri(), "role": ANN.role, "actor": ANN.name,
        "issued_unix_time_second": NOW, "starts_unix_time_second": NOW,
        "expires_unix_time_second": NOW + 60, "model_digest": "", "body": Curb(5.0),
    }  # fmt: skip
    told = Order(sequence=sequence, **(plain | more))
    sent = Delivery.of(sign_order(told, by.key, by.certificate), by.certificate)
    return {name: base64.b64encode(getattr(sent, name)).decode() for name in Delivery.__slots__}


def judged(site: Site, device: str = DEVICE) -> list[Outcome]:
    """What a device makes of what it gets."""
    book, outcomes = Book(), []
    for delivery in site.book.post(device, {}).deliveries:
        book, outcome = judge(book, delivery, RULES, site.hub.ingest.roots, NOW)
        outcomes.append(outcome)
    return outcomes


def test_an_order_from_the_pages_is_signed_by_the_hub_in_the_persons_role(
    here: Site, operator: httpx.Client
) -> None:
    told = operator.post(PATH, json=LIMITS)
    assert told.status_code == 200, told.text
    body = told.json()
    assert (body["role"], body["actor"], body["kind"]) == ("operator", "operator", "limits")
    assert body["expires_unix_time_second"] == NOW + 3600
    (delivery,) = here.book.post(DEVICE, {}).deliveries
    _, order = open_order(delivery.order)
    assert order.body == Curb(20.0)
    assert order.issuer == Identity("hub", "test").uri()
    assert [one.reason for one in judged(here)] == [Reason.OBEYED]
    actor, action, subject, outcome = here.audit()[-1]
    assert (actor, action, outcome) == ("operator", "order", "done")
    assert subject.startswith("pack-1 limits 1 ")
    assert here.book.post("pack-2", {}).deliveries == ()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"lasts_second": 60}, 400),
        ({**LIMITS, "request": "standby"}, 400),
        ({**LIMITS, "lasts_second": 8 * 86_400}, 422),
        ({**LIMITS, "starts_unix_time_second": NOW - 7200}, 400),
        ({"request": "reset", "lasts_second": 60}, 422),
        ({"limits": {"high_charge_current_ampere": -1}, "lasts_second": 60}, 422),
        ({"limits": {"low_soc_fraction": 0.9, "high_soc_fraction": 0.1}, "lasts_second": 60}, 422),
        (
            {
                "plan": {
                    "start_unix_time_second": [2, 1],
                    "charge_watt": [1, 1],
                    "discharge_watt": [0, 0],
                },
                "lasts_second": 60,
            },
            400,
        ),
        (
            {
                "plan": {
                    "start_unix_time_second": [1],
                    "charge_watt": [-1],
                    "discharge_watt": [0],
                },
                "lasts_second": 60,
            },
            400,
        ),
    ],
)
def test_what_is_no_order_is_not_given_and_says_why(
    here: Site, operator: httpx.Client, body: dict[str, Any], status: int
) -> None:
    before = here.hub.store.rows("SELECT count(*) FROM ordered")
    told = operator.post(PATH, json=body)
    assert told.status_code == status, told.text
    assert told.json()["hint"]
    assert here.hub.store.rows("SELECT count(*) FROM ordered") == before


def test_an_order_to_an_unknown_battery_is_not_given(operator: httpx.Client) -> None:
    assert operator.post("/api/batteries/nothing/orders", json=LIMITS).status_code == 404


def test_roles_that_may_not_give_orders_see_them(here: Site) -> None:
    for role in (Role.VIEWER, Role.ANALYST, Role.AUDITOR):
        client = here.sign_in(str(role))
        assert client.post(PATH, json=LIMITS).status_code == 403
        assert client.get(PATH).status_code == 200


def test_what_a_person_has_signed_is_kept_as_it_is_and_numbered_by_them(
    here: Site, ann: Certified
) -> None:
    client = here.certified(ann)
    number = client.get(PATH).json()["next_sequence"]
    told = signed(ann, number)
    answer = client.post(f"{PATH}/signed", json=told)
    assert answer.status_code == 200, answer.text
    kept = here.hub.store.rows(
        "SELECT encoded FROM ordered WHERE issuer = ? AND sequence = ?", [ANN.uri(), number]
    )
    assert bytes(kept[0][0]) == base64.b64decode(told["order"])
    assert client.get(PATH).json()["next_sequence"] == number + 1
    again = client.post(f"{PATH}/signed", json=told)
    assert again.status_code == 409
    assert "sign again" in again.json()["hint"]


def test_what_somebody_else_signed_or_somebody_without_a_certificate_is_not_taken(
    here: Site, ann: Certified, operator: httpx.Client
) -> None:
    client = here.certified(ann)
    number = client.get(PATH).json()["next_sequence"]
    eve = certify(here.installation.authority, Identity("operator", "eve", "operator"), at=NOW)
    assert operator.post(f"{PATH}/signed", json=signed(ann, number)).status_code == 403
    for told in (
        signed(eve, number),  # in Ann's name
        signed(eve, number, issuer=Identity("operator", "eve", "operator").uri(), actor="eve"),
        signed(ann, number, role="administrator"),
        {**signed(ann, number), "certificate": signed(eve, number)["certificate"]},
    ):
        assert client.post(f"{PATH}/signed", json=told).status_code == 403
    other = signed(ann, number, device="pack-2")
    assert client.post(f"{PATH}/signed", json=other).status_code == 400
    for broken in ({"order": "?", "certificate": ""}, {"order": "AAAA", "certificate": "AAAA"}):
        assert client.post(f"{PATH}/signed", json=broken).status_code == 422
    assert here.book.post("pack-2", {}).deliveries == ()


def test_what_a_device_has_seen_is_not_sent_again_and_what_is_over_neither(
    here: Site, operator: httpx.Client
) -> None:
    issuer = Identity("hub", "test").uri()
    for _ in range(3):
        operator.post("/api/batteries/pack-2/orders", json=LIMITS)
    numbers = [
        open_order(one.order)[1].sequence
        for one in here.book.post("pack-2", {issuer: 1}).deliveries
    ]
    assert numbers == [2, 3]
    here.clock.now = NOW + 3600
    try:
        assert here.book.post("pack-2", {}).deliveries == ()
        states = {one["state"] for one in operator.get(PATH.replace("1", "2")).json()["orders"]}
        assert states == {"never obeyed"}
    finally:
        here.clock.now = NOW


def test_what_a_device_says_of_orders_is_shown_and_a_refusal_is_on_record(
    tmp_path: Path,
) -> None:
    with site(tmp_path) as own:
        own.add_people()
        own.fill(DEVICE, sound_frames())
        client = own.sign_in("operator")
        client.post(PATH, json=LIMITS)
        client.post(PATH, json=LIMITS)
        assert [one["state"] for one in client.get(PATH).json()["orders"]] == ["waiting"] * 2
        post = own.book.post(DEVICE, {}).deliveries
        assert {one["state"] for one in client.get(PATH).json()["orders"]} == {"delivered"}
        issuer = Identity("hub", "test").uri()
        outcomes = (
            Outcome(Reason.OBEYED, issuer, 1, digest_of(post[0].order), "limits", NOW),
            Outcome(Reason.LOOSENING, issuer, 2, digest_of(post[1].order), "too much", NOW),
            Outcome(Reason.REPLAYED, issuer, 1, digest_of(post[0].order), "again", NOW + 1, 7),
            Outcome(Reason.MALFORMED, "", 0, bytes(32), "noise", NOW + 1),
        )
        own.fill(DEVICE, sound_frames(begin=NOW), Notes(outcomes=outcomes))
        told = client.get(PATH).json()
        states = {one["sequence"]: (one["state"], one["message"]) for one in told["orders"]}
        assert states == {1: ("obeyed", ""), 2: ("loosening", "too much")}
        strange = {(one["event"], one["issuer"], one["count"]) for one in told["strange"]}
        assert strange == {("replayed", issuer, 7), ("malformed", "", 1)}
        trail = {row[2:] for row in own.audit() if row[0] == "device:pack-1"}
        assert trail == {
            (f"{issuer} 2", "refused: loosening"),
            (f"{issuer} 1", "refused: replayed"),
            ("? 0", "refused: malformed"),
        }
        found = client.get(f"/api/batteries/{DEVICE}").json()["findings"]
        signals = {one["signal"] for one in found if one["kind"] == "order"}
        assert signals == {"loosening", "replayed", "malformed"}
        own.clock.now = NOW + 3600
        states = {one["sequence"]: one["state"] for one in client.get(PATH).json()["orders"]}
        assert states == {1: "over", 2: "loosening"}


def test_a_hub_without_a_key_gives_no_orders_and_an_order_survives_a_restart(
    tmp_path: Path,
) -> None:
    installed, clock = installation(), Clock()
    maker = installed.maker(DEVICE)
    signer = Signer(installed.hub.key, installed.hub.certificate)
    times = {"starts_unix_time_second": NOW, "expires_unix_time_second": NOW + 60}
    hub = open_hub(tmp_path, clock)
    try:
        assert hub.ingest.submit([maker.next(sound_frames()).encode()], maker.peer).result(30)[0]
        book = OrderBook(hub.store, clock)
        with pytest.raises(UsageError, match="signs no orders"):
            book.issue(DEVICE, Curb(1.0), role="operator", actor="ann", **times)
        book = OrderBook(hub.store, clock, signer)
        with pytest.raises(IdentityError):
            book.issue(DEVICE, Wish(Request.STANDBY), role="model", actor="", **times)
        with pytest.raises(UsageError):
            book.issue(DEVICE, Curb(), role="model", actor="", starts_unix_time_second=NOW,
                       expires_unix_time_second=NOW)  # fmt: skip
        for _ in range(64):
            book.issue(DEVICE, Curb(1.0), role="operator", actor="ann", **times)
        with pytest.raises(Declined):
            book.issue(DEVICE, Curb(1.0), role="operator", actor="ann", **times)
    finally:
        hub.close()
    hub = open_hub(tmp_path, clock)
    try:
        book = OrderBook(hub.store, clock, signer, lambda: b"list")
        post = book.post(DEVICE, {})
        assert len(post.deliveries) == 32, "the rest when these are seen"
        assert post.revoked == b"list"
        assert book.next_sequence(DEVICE, Identity("hub", "test").uri()) == 65
    finally:
        hub.close()


# --- several hubs on one lake -----------------------------------------------------------------


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    folder = tmp_path_factory.mktemp("lake")
    with postgres(folder) as create, lake_site(create, folder, "orders") as made:
        yield made


@pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR is not set")
def test_two_hubs_never_give_one_number_twice_and_hand_out_each_others_orders(lake: Lake) -> None:
    import threading

    worker = lake.worker()
    until(lambda: worker.writer is not None)
    maker = lake.place.maker(DEVICE)
    assert worker.submit([maker.next(sound_frames()).encode()], maker.peer).result(60)[0]
    signer = Signer(lake.place.hub.key, lake.place.hub.certificate)
    books = [OrderBook(lake.open(), lambda: NOW, signer) for _ in range(2)]
    errors: list[BaseException] = []

    def give(book: OrderBook) -> None:
        try:
            for _ in range(3):
                book.issue(
                    DEVICE, Curb(1.0), role="operator", actor="ann",
                    starts_unix_time_second=NOW, expires_unix_time_second=NOW + 60,
                )  # fmt: skip
        except BaseException as error:  # noqa: BLE001  seen below
            errors.append(error)

    threads = [threading.Thread(target=give, args=(book,)) for book in books]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    for book in books:
        book.refresh()
        given = [open_order(one.order)[1].sequence for one in book.post(DEVICE, {}).deliveries]
        assert given == [1, 2, 3, 4, 5, 6]


def test_a_number_that_was_used_is_refused(here: Site, ann: Certified) -> None:
    number = here.book.next_sequence(DEVICE, ANN.uri())
    told = Order(DEVICE, ANN.uri(), ANN.role, ANN.name, number, NOW, NOW, NOW + 60, "", Curb(5.0))
    sent = Delivery.of(sign_order(told, ann.key, ann.certificate), ann.certificate)
    here.book.admit(DEVICE, sent, ANN, here.hub.ingest.roots)
    with pytest.raises(ReplayError):
        here.book.admit(DEVICE, sent, ANN, here.hub.ingest.roots)
    listed = here.installation.authority.revocations([ann.certificate.serial_number], utc(NOW))
    with pytest.raises(IdentityError, match="revoked"):
        here.book.admit(DEVICE, sent, ANN, here.hub.ingest.roots.renewed(listed))

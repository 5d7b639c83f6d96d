"""Who is not to be believed is refused for the right reason and put on record; others go on."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import numpy as np
import pytest

from cellwarden.drills import forge
from cellwarden.edge.agent import Agent
from cellwarden.edge.config import open_device, open_outbox, open_transport, read_address
from cellwarden.errors import EXIT_CODE, IdentityError, TrustError
from cellwarden.physics.twin import Twin, TwinConfig
from cellwarden.trust.envelope import to_cbor
from cellwarden.trust.identity import Authority, load_certificate, load_key, new_key, utc
from cellwarden.trust.keys import FileKeyStore
from cellwarden.trust.tls import client_context
from cellwarden.wire import Refusal, decode_reply
from journeys.system import System, twin, wait_for

DAY_SECOND = 86_400.0
REFUSED = EXIT_CODE[TrustError]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One hub that all of them try; a healthy device sends all the time."""
    system = System(tmp_path_factory.mktemp("refused"))
    system.start_hub()
    yield system
    system.close()


def made(system: System, name: str, batch_count: int = 3) -> list[bytes]:
    """Genuine messages of a new device, in its outbox and not sent yet."""
    source = twin(name, 5 * batch_count)
    folder = system.enrol(name, source)
    with closing(open_outbox(folder)) as outbox:
        agent = Agent(open_device(folder), Twin(TwinConfig(**source.twin)), outbox, batch_frames=5)
        while agent.step():
            pass
        return [message for _, message in outbox.after(0, 1 << 20)]


def send(system: System, name: str, *messages: bytes) -> Refusal | None:
    """What the hub says against these messages."""
    with closing(open_transport(system.home.device(name))) as transport:
        return transport.send(messages)[1]


def on_record(system: System, kind: str, *, peer: str, reason: str = "") -> bool:
    """Whether the hub lists a refusal; one in a handshake is written a moment later."""
    return bool(
        wait_for(
            lambda: [
                row
                for row in system.listed()
                if (row["kind"], row["peer"]) == (kind, peer) and reason in row["message"]
            ],
            f"{kind} of {peer} to be listed",
            10,
        )
    )


def refused_as(town: System, name: str, reason: str, listed: str) -> None:
    """A device that tries is refused and listed, and the healthy one beside it is not."""
    town.reads(name, twin(name, 10))
    healthy = f"beside-{name}"
    town.enrol(healthy, twin(healthy, 10))
    edge = town.edge(name, healthy)
    assert edge.wait() == REFUSED, edge.said()
    assert reason in edge.said()
    assert "what to do: " in edge.said()
    assert edge.last(healthy)["sent_count"] == 2
    assert not edge.troubles(healthy)
    assert on_record(town, "IdentityError", peer="?", reason=listed)


def test_every_forgery_of_a_certified_sender_is_refused_for_its_reason(town: System) -> None:
    folder = town.enrol("forger")
    town.enrol("victim")
    with closing(open_transport(folder)) as transport:
        attempts = forge(open_device(folder), "victim", transport, time.time())
    assert [attempt.name for attempt in attempts if not attempt.refused] == []
    assert len(attempts) >= 6
    for kind in ("IdentityError", "SealError", "ReplayError", "DecodeError"):
        assert on_record(town, kind, peer="forger")
    named = {row["claimed_device"] for row in town.listed() if row["peer"] == "forger"}
    assert "victim" in named, "who was impersonated, and by whom"


def test_one_flipped_bit_anywhere_is_refused_and_the_genuine_message_is_not(town: System) -> None:
    message = made(town, "flipped", 1)[0]
    rng = np.random.default_rng(3)
    for place in rng.integers(0, 8 * len(message), 40):
        spoilt = bytearray(message)
        spoilt[place // 8] ^= 1 << (place % 8)
        refusal = send(town, "flipped", bytes(spoilt))
        assert refusal is not None, f"bit {place} flipped and taken in"
        assert refusal.kind in {"DecodeError", "SealError", "IdentityError", "ReplayError"}, refusal
    assert send(town, "flipped", message) is None


def test_a_message_cut_short_is_refused_wherever_it_is_cut(town: System) -> None:
    message = made(town, "cut", 1)[0]
    for length in (0, 1, 100, len(message) // 2, len(message) - 1):
        refusal = send(town, "cut", message[:length])
        assert refusal is not None
        assert refusal.kind == "DecodeError"
    assert on_record(town, "DecodeError", peer="cut")
    assert send(town, "cut", message) is None


def test_a_replayed_batch_is_acknowledged_again_and_stored_once(town: System) -> None:
    messages = made(town, "replayed")
    for _ in range(3):
        assert send(town, "replayed", *messages) is None
    assert send(town, "replayed", messages[0]) is None


def test_a_batch_replayed_by_somebody_else_is_refused(town: System) -> None:
    message = made(town, "overheard", 1)[0]
    town.enrol("replayer")
    refusal = send(town, "replayer", message)
    assert refusal is not None
    assert refusal.kind == "IdentityError"
    assert on_record(town, "IdentityError", peer="replayer", reason="in the name of overheard")


def test_a_skipped_batch_is_missed_and_asked_for(town: System) -> None:
    first, second, third = made(town, "skipping")
    assert send(town, "skipping", first) is None
    refusal = send(town, "skipping", third)
    assert refusal is not None
    assert (refusal.kind, refusal.expected) == ("ReplayError", 2)
    assert on_record(town, "ReplayError", peer="skipping", reason="2 is missing")
    assert send(town, "skipping", second, third) is None


def test_a_request_that_is_no_list_of_messages_is_refused(town: System) -> None:
    folder = town.enrol("babbler")
    answers = {}
    with closing(_client(folder)) as client:
        rng = np.random.default_rng(5)
        for name, body in {
            "empty": b"",
            "random": rng.bytes(5_000),
            "no messages": to_cbor([]),
            "not bytes": to_cbor([1, "two"]),
            "deep": b"\x81" * 100_000,
            "long": bytes(33 << 20),
        }.items():
            answers[name] = client.post("/v1/batches", content=body)
    for name, answer in answers.items():
        assert answer.status_code == 422, name
        refusal = decode_reply(answer.content)[1]
        assert refusal is not None
        assert refusal.kind == "DecodeError", name
        assert refusal.hint, name
    assert on_record(town, "DecodeError", peer="babbler")


def test_an_operator_cannot_send_batches(town: System) -> None:
    messages = made(town, "impersonated", 1)
    certificate = load_certificate((town.home.operator / "operator.crt").read_bytes())
    key = load_key(FileKeyStore(town.home.operator / "keys").get("identity"))
    authority = load_certificate((town.home.hub / "ca.crt").read_bytes())
    url = read_address(town.home.device("impersonated")).url
    context = client_context(certificate, key, authority)
    with httpx.Client(base_url=url, verify=context, trust_env=False) as client:
        answer = client.post("/v1/batches", content=to_cbor(messages))
    refusal = decode_reply(answer.content)[1]
    assert refusal is not None
    assert refusal.kind == "IdentityError"
    assert on_record(town, "IdentityError", peer="local")


def test_an_expired_certificate_is_refused(town: System) -> None:
    town.enrol_at("expired", time.time() - 30 * DAY_SECOND, days=29)
    refused_as(town, "expired", "refuses this device's certificate: certificate expired", "expired")


def test_a_certificate_that_is_not_valid_yet_is_refused(town: System) -> None:
    town.enrol_at("early", time.time() + DAY_SECOND, days=29)
    refused_as(town, "early", "refuses this device's certificate", "not yet valid")


def test_a_certificate_of_another_authority_is_refused(town: System) -> None:
    foreign = Authority.create("Cellwarden authority", utc(time.time()), new_key())
    town.enrol_at("foreign", time.time(), days=29, authority=foreign)
    refused_as(town, "foreign", "refuses this device's certificate: unknown ca", "local issuer")


def test_a_flood_of_strangers_leaves_a_bounded_record(town: System) -> None:
    foreign = Authority.create("Nobody", utc(time.time()), new_key())
    folder = town.enrol_at("flood", time.time(), days=29, authority=foreign)
    before = len(town.listed())
    with closing(open_transport(folder)) as transport:
        for _ in range(200):
            with pytest.raises(IdentityError):
                transport.send([b"knock"])
    town.enrol("unmoved", twin("unmoved", 10))
    town.send_all("unmoved")
    assert 0 < len(town.listed()) - before < 40


def test_a_device_refuses_a_hub_that_its_authority_did_not_certify(
    town: System, tmp_path: Path
) -> None:
    other = System(tmp_path)
    other.enrol("stray", twin("stray", 10))
    address = other.home.device("stray") / "hub.toml"
    wrong = read_address(town.enrol("misled")).url
    right = read_address(other.home.device("stray")).url
    address.write_text(address.read_text().replace(right, wrong))
    edge = other.edge("stray")
    assert edge.wait() == REFUSED
    assert "the hub's certificate is refused" in edge.said()
    assert edge.last("stray")["sent_count"] == 0
    other.close()
    assert on_record(town, "IdentityError", peer="?", reason="alert")


def test_a_revoked_device_is_refused_within_seconds_on_the_connection_it_has(town: System) -> None:
    messages = made(town, "revoked", 40)
    folder = town.home.device("revoked")
    with closing(open_transport(folder)) as transport:
        assert transport.send(messages[:1])[1] is None
        assert town.cli("revoke", "revoked").returncode == 0
        revoked = time.monotonic()
        for message in messages[1:]:
            refusal = transport.send([message])[1]
            if refusal is not None:
                break
            time.sleep(0.25)
        assert refusal is not None
        assert refusal.kind == "IdentityError"
        assert "revoked" in refusal.message
        assert time.monotonic() - revoked < 5.0
    assert on_record(town, "IdentityError", peer="revoked", reason="is revoked")


def test_in_the_end_each_batch_stands_once_and_the_whole_ledger_holds(town: System) -> None:
    messages = made(town, "last")
    town.enrol("healthy", twin("healthy", 100))
    for _ in range(2):
        assert send(town, "last", *messages) is None
    town.send_all("healthy")
    assert town.stop_hub() == 0, town.hub_said()
    town.check_stored("healthy", "last")
    town.verify()
    assert "Traceback" not in town.hub_said()
    town.start_hub()


def _client(folder: Path) -> httpx.Client:
    device = open_device(folder)
    authority = load_certificate((folder / "ca.crt").read_bytes())
    key = load_key(FileKeyStore(folder / "keys").get("identity"))
    context = client_context(device.certificate, key, authority)
    return httpx.Client(
        base_url=read_address(folder).url, verify=context, trust_env=False, timeout=30.0
    )

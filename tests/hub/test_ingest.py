"""What a hub takes in: everything that continues a chain, once; everything else is refused."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cellwarden.domain import Finding, Frames, Severity
from cellwarden.errors import UnavailableError
from cellwarden.hub.audit import StoreView
from cellwarden.hub.ingest import Ingest, Peer
from cellwarden.hub.ledger import Ledger
from cellwarden.hub.rows import read_batches
from cellwarden.trust.envelope import Opener
from cellwarden.trust.identity import Identity, Roots, utc
from cellwarden.wire import Message, Notes, Refusal, encode_columns
from cellwarden.wire.audit import audit
from trust.making import NOW, ORIGIN, Maker, Running, certify, fleet, frames


def holds(hub: Running) -> bool:
    report = audit(StoreView(hub.store), fleet().roots, fleet().note_key)
    assert report.first_bad is None, report.first_bad
    return report.ok


def refused(hub: Running) -> list[tuple[str, str, str]]:
    """Claimed device, peer and kind of each refusal on record."""
    return hub.store.rows("SELECT claimed_device, peer, kind FROM refusal")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Running]:
    with fleet().open(tmp_path) as running:
        running.ingest.enrol(fleet().hub.certificate)
        yield running


def test_what_continues_the_chain_is_stored_and_proved(hub: Running) -> None:
    maker = fleet().maker("a")
    told = [frames(seed=n) for n in range(3)]
    messages = [maker.next(part) for part in told]
    ack, refusal = hub.send(maker, *messages)
    assert refusal is None
    assert ack is not None
    assert ack.sequence == 3
    ack.check(messages[2].manifest, fleet().note_key)
    kept = read_batches(hub.store, 2, 4)
    assert [encode_columns(kept[n]) for n in (2, 3, 4)] == [encode_columns(part) for part in told]
    assert hub.ingest.expected("a") == 4
    assert holds(hub)


def test_what_is_stored_is_acknowledged_again_and_stored_once(hub: Running) -> None:
    maker = fleet().maker("a")
    messages = [maker.next() for _ in range(4)]
    hub.send(maker, *messages)
    for sent in (messages, messages[:1], messages[1:3], [*messages, *messages]):
        ack, refusal = hub.send(maker, *sent)
        assert refusal is None
        assert ack is not None
        ack.check(maker.sent[ack.sequence - 1].manifest, fleet().note_key)
    ack, _ = hub.send(maker, messages[3], maker.next())
    assert ack is not None
    assert ack.sequence == 5
    assert hub.store.rows("SELECT count(*) FROM batch") == [(5,)]
    assert holds(hub)


Send = Callable[[Running, Maker], tuple[object, Refusal | None]]


def _gap(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    maker.next()
    return hub.send(maker, maker.next())


def _a_skipped_number(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    maker.sequence += 1
    return hub.send(maker, maker.next())


def _an_old_number_again(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    hub.send(maker, maker.next(), maker.next())
    maker.sequence = 0
    return hub.send(maker, maker.next(frames(seed=99)))


def _second_history(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    twin = replace(maker, sent=[])
    maker.next()
    hub.send(maker, maker.sent[-1])
    return hub.send(twin, twin.next(frames(seed=99)))


def _older_second_history(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    twin = replace(maker, sent=[])
    hub.send(maker, maker.next(), maker.next())
    return hub.send(twin, twin.next(frames(seed=99)))


def _second_history_in_one_request(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    twin = replace(maker, sent=[])
    return hub.send(maker, maker.next(), maker.next(), twin.next(frames(seed=99)))


def _broken_link(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    maker.previous = bytes(31) + b"\x01"
    return hub.send(maker, maker.next())


def _boot_before_the_last(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    maker.boot = 3
    hub.send(maker, maker.next())
    maker.boot = 2
    return hub.send(maker, maker.next())


def _in_anothers_name(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    other = fleet().maker("b")
    hub.send(maker, maker.next())
    return hub.ingest.submit([maker.next().encode()], other.peer).result(30)


def _as_an_operator(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    hub.send(maker, maker.next())
    person = certify(fleet().authority, Identity("operator", maker.name, "administrator"))
    peer = Peer(Identity("operator", maker.name, "administrator"), person.certificate)
    return hub.ingest.submit([maker.next().encode()], peer).result(30)


def _under_another_key(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    other = fleet().renewed(maker)
    mixed = replace(maker, key=other.key)
    return hub.send(maker, mixed.next())


def _under_a_certificate_never_seen(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    return hub.send(maker, fleet().renewed(maker).next())


def _under_another_devices_certificate(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    other = fleet().maker("b")
    hub.send(other, other.next())
    mixed = replace(maker, key=other.key, certificate=other.certificate)
    return hub.send(maker, mixed.next())


def _under_the_hubs_certificate(hub: Running, _maker: Maker) -> tuple[object, Refusal | None]:
    """A device that is called as the hub is, and a batch that the hub's key signed."""
    maker = fleet().maker(Identity.of(fleet().hub.certificate).name)
    mixed = replace(maker, key=fleet().hub.key, certificate=fleet().hub.certificate)
    return hub.send(maker, mixed.next())


def _under_a_revoked_certificate(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    hub.send(maker, maker.next())
    fresh = fleet().renewed(maker)
    listed = fleet().authority.revocations([maker.certificate.serial_number], utc(NOW))
    hub.ingest.roots = Roots(fleet().authority.certificate, listed)
    return hub.ingest.submit([maker.next().encode()], fresh.peer).result(30)


def _misstated(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    told = frames()
    content = maker.content(told)
    manifest = replace(maker.manifest(told, content), frame_count=7)
    return hub.send(maker, maker.message(content, manifest))


def _altered_seal(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    message = maker.next()
    return hub.send(maker, Message(message.manifest, message.sealed[:-1] + b"\x00"))


def _noise(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    return hub.send_bytes(maker, bytes(100))


def _nothing(hub: Running, maker: Maker) -> tuple[object, Refusal | None]:
    return hub.send_bytes(maker, b"")


ATTACKS: tuple[tuple[Send, str], ...] = (
    (_gap, "ReplayError"),
    (_a_skipped_number, "ReplayError"),
    (_an_old_number_again, "ReplayError"),
    (_second_history, "ReplayError"),
    (_older_second_history, "ReplayError"),
    (_second_history_in_one_request, "ReplayError"),
    (_broken_link, "ReplayError"),
    (_boot_before_the_last, "ReplayError"),
    (_in_anothers_name, "IdentityError"),
    (_as_an_operator, "IdentityError"),
    (_under_another_key, "SealError"),
    (_under_a_certificate_never_seen, "IdentityError"),
    (_under_another_devices_certificate, "IdentityError"),
    (_under_the_hubs_certificate, "IdentityError"),
    (_under_a_revoked_certificate, "IdentityError"),
    (_misstated, "SealError"),
    (_altered_seal, "SealError"),
    (_noise, "DecodeError"),
    (_nothing, "DecodeError"),
)


@pytest.mark.parametrize(
    ("attack", "kind"), ATTACKS, ids=lambda value: getattr(value, "__name__", None)
)
def test_what_must_be_refused_is_refused_and_on_record(
    hub: Running, attack: Send, kind: str
) -> None:
    maker = fleet().maker("a")
    before = hub.ingest.refused_count
    _, refusal = attack(hub, maker)
    assert refusal is not None, "it was taken in"
    assert refusal.kind == kind
    assert refusal.hint
    assert hub.ingest.refused_count == before + 1
    assert [row[2] for row in refused(hub)] == [kind]
    assert hub.store.rows("SELECT count(*) FROM leaf WHERE kind = 'batch'") == hub.store.rows(
        "SELECT count(*) FROM batch"
    )
    assert holds(hub)


def test_a_renewed_device_goes_on_and_its_old_batches_are_still_believed(hub: Running) -> None:
    maker = fleet().maker("a")
    hub.send(maker, maker.next())
    waiting = maker.next()
    fresh = fleet().renewed(maker)
    # What was signed before the renewal arrives on the new connection.
    ack, refusal = hub.ingest.submit([waiting.encode(), fresh.next().encode()], fresh.peer).result(
        30
    )
    assert refusal is None
    assert ack is not None
    assert ack.sequence == 3
    assert holds(hub)


def test_one_bad_sender_spoils_nothing_for_the_others_of_its_group(hub: Running) -> None:
    good, bad, late = (fleet().maker(name) for name in "abc")
    with hub.store.alone():  # all of them are judged and committed together
        futures = [
            hub.ingest.submit([good.next().encode()], good.peer),
            hub.ingest.submit([bad.next().encode(), b"noise", bad.next().encode()], bad.peer),
            hub.ingest.submit([late.next().encode()], late.peer),
        ]
    replies = [future.result(30) for future in futures]
    assert [ack.sequence if ack else None for ack, _ in replies] == [1, 1, 1]
    assert [refusal.kind if refusal else None for _, refusal in replies] == [
        None,
        "DecodeError",
        None,
    ]
    assert holds(hub)


def test_who_gives_up_waiting_takes_no_answer_from_the_others(hub: Running) -> None:
    first, second = fleet().maker("a"), fleet().maker("b")
    with hub.store.alone():
        stranger = fleet().maker("c")
        busy = hub.ingest.submit([fleet().maker("d").next().encode()], stranger.peer)
        time.sleep(0.5)  # it is being written now, and waits for the lock that is held here
        gone = hub.ingest.submit([first.next().encode()], first.peer)
        stays = hub.ingest.submit([second.next().encode()], second.peer)
        assert gone.cancel()
    assert busy.result(30)[1] is not None
    ack, refusal = stays.result(30)
    assert refusal is None
    assert ack is not None
    assert ack.sequence == 1
    # What the one that gave up had sent is there all the same; it asks again and hears so.
    ack, _ = hub.send(first, first.sent[0])
    assert ack is not None
    assert holds(hub)


def test_a_hub_that_is_closed_says_so_at_once(tmp_path: Path) -> None:
    maker = fleet().maker("a")
    with fleet().open(tmp_path) as hub:
        hub.send(maker, maker.next())
    with pytest.raises(UnavailableError):
        hub.ingest.submit([maker.next().encode()], maker.peer)


def test_more_than_the_disk_takes_is_put_off(hub: Running) -> None:
    maker = fleet().maker("a")
    with hub.store.alone():
        futures = [hub.ingest.submit([bytes(30 << 20)], maker.peer) for _ in range(2)]
        with pytest.raises(UnavailableError):
            hub.ingest.submit([bytes(30 << 20)], maker.peer)
    for future in futures:
        assert future.result(30)[1] is not None
    assert hub.send(maker, maker.next())[0] is not None


def test_batches_that_unpack_to_much_are_taken_in_a_few_at_a_time(tmp_path: Path) -> None:
    # Zeros pack a thousand to one: the size on the wire says nothing of the memory they take.
    maker = fleet().maker("a")
    many = 3000
    told = Frames(
        unix_time_second=np.full(many, NOW),
        voltage_volt=np.zeros(many, dtype=np.float32),
        current_ampere=np.zeros(many, dtype=np.float32),
        cell_voltage_volt=np.zeros((many, 16), dtype=np.float32),
        cell_temperature_celsius=np.zeros((many, 0), dtype=np.float32),
    )
    size = len(encode_columns(told))
    with fleet().store(tmp_path) as store:
        ledger = Ledger(store, fleet().ledger_secret, ORIGIN)
        opener = Opener(fleet().seal_secret)
        ingest = Ingest(store, ledger, opener, fleet().roots, lambda: NOW, unpacked_bytes=3 * size)
        try:
            bodies = [maker.next(told).encode() for _ in range(8)]
            assert sum(map(len, bodies)) < size
            done = []
            while not done or done[-1] < 8:
                ack, refusal = ingest.submit(bodies[done[-1] if done else 0 :], maker.peer).result(
                    60
                )
                assert refusal is None
                assert ack is not None
                done.append(ack.sequence)
            assert done == [3, 6, 8]
        finally:
            ingest.close()


def test_what_a_hub_knew_it_knows_after_a_restart(tmp_path: Path) -> None:
    maker = fleet().maker("a")
    for count in range(1, 5):
        with fleet().open(tmp_path) as hub:
            assert hub.ingest.expected("a") == count
            ack, refusal = hub.send(maker, *maker.sent, maker.next())
            assert refusal is None
            assert ack is not None
            assert ack.sequence == count
            assert (hub.ingest.accepted_count, hub.ingest.refused_count) == (count, 0)
            assert holds(hub)


def test_many_senders_at_once_get_each_its_own_proof(hub: Running) -> None:
    makers = [fleet().maker(f"pack-{n}") for n in range(6)]
    failures: list[BaseException] = []

    def send(maker: Maker) -> None:
        try:
            for _ in range(10):
                message = maker.next(frames(2))
                ack, refusal = hub.send(maker, message)
                assert refusal is None
                assert ack is not None
                ack.check(message.manifest, fleet().note_key)
        except BaseException as error:  # noqa: BLE001  told in the main thread
            failures.append(error)

    threads = [threading.Thread(target=send, args=(maker,)) for maker in makers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert hub.store.rows("SELECT count(*) FROM batch") == [(60,)]
    assert holds(hub)


def test_findings_of_a_device_are_rows_and_a_clock_that_is_ahead_is_one_too(hub: Running) -> None:
    maker = fleet().maker("a")
    finding = Finding("bounds", Severity.ALARM, "voltage_volt", NOW, "too high", 0, {"limit": 4.2})
    told = frames(2)
    late = replace(told, unix_time_second=np.array([NOW, NOW + 301.0]))
    hub.send(maker, maker.next(told, Notes(findings=(finding,))), maker.next(late))
    rows = hub.store.rows("SELECT kind, origin, sequence FROM finding ORDER BY sequence")
    assert rows == [("bounds", "edge", 1), ("clock", "hub", 2)]

"""Many workers on one lake in a real PostgreSQL: one writes, nothing is lost, nothing is twice."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cellwarden.errors import UnavailableError
from cellwarden.hub.handing import WriterDuty
from cellwarden.hub.ingest import Peer, Reply
from cellwarden.hub.ledger import Entry, Ledger
from cellwarden.hub.store import Store
from hub.fleet import NOW, Clock
from hub.lakes import Site, batches, lake_site, postgres, psycopg, until, workers
from trust.making import ORIGIN, Maker

pytestmark = pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR is not set")

Follower = workers.Follower
HOLDER = """
import sys, time
from cellwarden.hub.workers import CatalogLock
lock = CatalogLock(sys.argv[1])
print(lock.try_take(), flush=True)
time.sleep(600)
"""
WRITER = """
import json, sys, time
from cryptography.hazmat.primitives.asymmetric import ed25519
from cellwarden.hub.roles import Role
from cellwarden.hub.store import LakeStore, Store
from cellwarden.hub.upkeep import Upkeep
from cellwarden.hub.workers import CatalogLock, Secrets, Worker
from cellwarden.trust.envelope import Opener
from cellwarden.trust.identity import Roots, load_certificate
told = json.load(sys.stdin)
key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(told["ledger"]))
worker = Worker(
    Store(LakeStore(told["catalog"], told["files"])),
    CatalogLock(told["catalog"]),
    Secrets(key, told["origin"], Opener(bytes.fromhex(told["seal"]))),
    Roots(load_certificate(told["authority"].encode())),
    lambda: told["now"],
)
while worker.writer is None:
    time.sleep(0.01)
print("writes", flush=True)
time.sleep(600)
"""


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


def writer_and_follower(site: Site) -> tuple["workers.Worker", "workers.Worker"]:
    first = site.worker()
    until(lambda: first.writer is not None)
    return first, site.worker()


def proved(site: Site, maker: Maker, reply: Reply) -> int:
    """The sequence that a reply acknowledges, with a proof that holds."""
    ack, refusal = reply
    assert ack is not None, refusal
    signed = maker.sent[ack.sequence - 1].manifest
    ack.check(signed, site.place.note_key)
    return ack.sequence


def test_one_of_many_gets_the_lock_and_the_next_when_it_lets_go(site: Site) -> None:
    locks = [site.lock() for _ in range(4)]
    taken = [lock.try_take() for lock in locks]
    assert taken == [True, False, False, False]
    assert [lock.still_held() for lock in locks] == taken
    assert locks[0].try_take(), "its holder asks again"
    locks[0].release()
    assert not locks[0].still_held()
    assert locks[2].try_take()
    assert not locks[0].try_take()


def test_a_follower_is_answered_with_a_proof_that_holds(site: Site) -> None:
    writer, follower = writer_and_follower(site)
    maker = site.place.maker("pack-1")
    reply = follower.submit(batches(maker, 3), maker.peer).result(60)
    assert follower.writer is None
    assert proved(site, maker, reply) == 3
    assert follower.expected("pack-1") == writer.expected("pack-1") == 4
    again = follower.submit([maker.sent[0].encode()], maker.peer).result(60)
    assert proved(site, maker, again) == 1
    site.holds(3)


def test_what_a_follower_can_refuse_it_does_not_hand_over(site: Site) -> None:
    _, follower = writer_and_follower(site)
    maker, other = site.place.maker("pack-1"), site.place.maker("pack-2")
    ack, refusal = follower.submit(batches(other, 1), maker.peer).result(60)
    assert ack is None
    assert refusal is not None
    assert (refusal.kind, refusal.expected) == ("IdentityError", 1)
    assert site.count("handed") == 0
    assert site.store.rows("SELECT kind, peer FROM refusal") == [("IdentityError", "pack-1")]


def test_what_stands_before_a_bad_message_is_stored(site: Site) -> None:
    _, follower = writer_and_follower(site)
    maker = site.place.maker("pack-1")
    bodies = batches(maker, 3)
    bodies[2] = bodies[2][:-1]
    ack, refusal = follower.submit(bodies, maker.peer).result(60)
    assert ack is not None
    assert refusal is not None
    assert (ack.sequence, refusal.kind, refusal.expected) == (2, "DecodeError", 3)
    site.holds(2)


def test_a_row_that_somebody_put_among_the_handed_is_judged_like_a_device(site: Site) -> None:
    writer, _ = writer_and_follower(site)
    maker = site.place.maker("pack-1")
    with site.store.transaction() as store:
        for mark, certificate in (("a", b"no certificate"), ("b", b"")):
            store.add(
                "handed",
                hand_id=mark,
                device="pack-1",
                certificate=certificate,
                bodies=b"\x81" + b"\x41x",
                unix_time_second=NOW,
            )
    until(lambda: site.count("answered") == 2)
    assert site.count("refusal") == 2
    assert writer.writer is not None, "it goes on writing"
    assert proved(site, maker, writer.submit(batches(maker, 1), maker.peer).result(60)) == 1


def test_two_workers_at_once_store_all_of_many_devices_once(site: Site) -> None:
    both = writer_and_follower(site)
    makers = [site.place.maker(f"pack-{number}") for number in range(12)]
    told: list[int] = []

    def send(worker: "workers.Worker", mine: list[Maker]) -> None:
        for _ in range(3):
            asked = [(maker, worker.submit(batches(maker, 2), maker.peer)) for maker in mine]
            told.extend(proved(site, maker, reply.result(60)) for maker, reply in asked)

    # Every other device changes the worker half way, as behind a balancer.
    for turn in (0, 1):
        threads = [
            threading.Thread(target=send, args=(both[n ^ turn], makers[n::2])) for n in (0, 1)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(told) == sorted([2, 4, 6, 8, 10, 12] * 12)
    assert sum(worker.writer is not None for worker in both) == 1
    site.holds(144)


def test_who_takes_over_from_a_killed_writer_stores_what_was_handed(site: Site) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, site.lake.catalog], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        follower = site.worker()
        makers = [site.place.maker(f"pack-{number}") for number in range(3)]
        asked = [(maker, follower.submit(batches(maker, 2), maker.peer)) for maker in makers]
        until(lambda: site.count("handed") == 3)
        assert follower.writer is None
        process.kill()
        assert [proved(site, maker, reply.result(60)) for maker, reply in asked] == [2, 2, 2]
        assert follower.writer is not None
        site.holds(6)
    finally:
        process.kill()
        process.communicate()


def test_a_writer_killed_in_the_midst_of_its_work_loses_nothing(site: Site) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(told_to_a_worker(site)))
        process.stdin.close()
        assert any(line == "writes\n" for line in process.stdout), "it ended"
        follower = site.worker()
        makers = [site.place.maker(f"pack-{number}") for number in range(4)]
        told: list[int] = []

        def send(maker: Maker) -> None:
            for _ in range(6):
                reply = insisting(follower, batches(maker, 2), maker.peer)
                told.append(proved(site, maker, reply))

        threads = [threading.Thread(target=send, args=(maker,)) for maker in makers]
        for thread in threads:
            thread.start()
        until(lambda: len(told) >= 6)
        assert follower.writer is None
        process.kill()
        for thread in threads:
            thread.join()
        assert sorted(told) == sorted([2, 4, 6, 8, 10, 12] * 4)
        assert follower.writer is not None
        site.holds(48)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def told_to_a_worker(site: Site) -> dict[str, object]:
    """What a worker in another process needs to know."""
    place = site.place
    return {
        "catalog": site.lake.catalog,
        "files": site.lake.data_path,
        "origin": ORIGIN,
        "ledger": place.ledger_secret.private_bytes_raw().hex(),
        "seal": place.seal_secret.hex(),
        "authority": place.authority.certificate.public_bytes(Encoding.PEM).decode(),
        "now": NOW,
    }


def test_what_was_stored_and_not_answered_is_answered_and_not_stored_again(site: Site) -> None:
    dying, maker = site.office(), site.place.maker("pack-1")
    bodies = batches(maker, 2)
    follower = Follower(site.open(), lambda: NOW)
    reply = follower.submit(bodies, maker.peer)
    until(lambda: site.count("handed") == 1)
    # As if it had died between the two commits.
    dying.ingest.submit(bodies, maker.peer).result(60)
    site.cut()
    next_one = site.office()
    assert next_one.duty.step() == 1
    assert proved(site, maker, reply.result(60)) == 2
    assert next_one.duty.step() == 0
    follower.close()
    site.holds(2)


def test_without_a_writer_a_device_is_told_to_try_again_and_nothing_is_lost(site: Site) -> None:
    follower = Follower(site.open(), lambda: NOW, answer_second=0.2)
    maker = site.place.maker("pack-1")
    bodies = batches(maker, 1)
    with pytest.raises(UnavailableError, match="not answered"):
        follower.submit(bodies, maker.peer).result(30)
    site.office().duty.step()
    patient = Follower(site.open(), lambda: NOW)
    reply = patient.submit(bodies, maker.peer)
    until(lambda: site.count("handed") == 2)
    patient.close()
    with pytest.raises(UnavailableError):
        reply.result(0)
    follower.close()
    site.holds(1)


def test_what_was_answered_long_ago_is_swept_and_what_waits_is_not(site: Site) -> None:
    clock, maker, other = Clock(), site.place.maker("pack-1"), site.place.maker("pack-2")
    writer = site.office()
    duty = WriterDuty(site.store, writer.ingest, clock, sweep_second=0.0)
    follower = Follower(site.open(), clock)
    reply = follower.submit(batches(maker, 1), maker.peer)
    until(lambda: site.count("handed") == 1)
    assert duty.step() == 1
    assert proved(site, maker, reply.result(60)) == 1
    assert (site.count("handed"), site.count("answered")) == (1, 1)
    clock.now += 301
    later = follower.submit(batches(other, 1), other.peer)
    until(lambda: site.count("handed") == 2)
    assert duty.step() == 1
    assert (site.count("handed"), site.count("answered")) == (1, 1)
    assert proved(site, other, later.result(60)) == 1
    follower.close()


def test_a_writer_whose_lock_is_gone_refuses_to_write(site: Site) -> None:
    writer, maker = site.office(), site.place.maker("pack-1")
    writer.ingest.submit(batches(maker, 1), maker.peer).result(60)
    before = writer.ledger.head()
    site.cut()
    with pytest.raises(UnavailableError, match="any more"):
        writer.ingest.submit(batches(maker, 1), maker.peer).result(60)
    assert writer.ledger.head() == before
    assert not writer.office.held()
    site.holds(1)


def test_a_commit_that_was_late_by_a_moment_is_in_conflict_with_the_next_writer(
    site: Site,
) -> None:
    maker = site.place.maker("pack-1")
    # A ledger that never looks: what a pause between the look and the commit comes to.
    late = Ledger(site.store, site.place.ledger_secret, ORIGIN)

    def commit_late() -> None:
        with late.appending([Entry("batch", "pack-1", b"late")], NOW):
            new = site.office()
            new.ingest.submit(batches(maker, 1), maker.peer).result(60)

    with pytest.raises(UnavailableError, match="commit"):
        commit_late()
    assert late.tree.size == 0
    site.holds(1)


def test_after_a_commit_in_doubt_the_ledger_is_taken_up_from_the_lake(site: Site) -> None:
    writer, maker = site.office(), site.place.maker("pack-1")
    size = writer.ledger.tree.size
    writer.office.may_write(size)
    # The commit that followed failed, so the tree is where it was: stored or not, who knows.
    with pytest.raises(UnavailableError, match="any more"):
        writer.ingest.submit(batches(maker, 1), maker.peer).result(60)
    assert not writer.office.held()


def test_a_worker_that_loses_its_lock_takes_up_again_and_devices_go_on(site: Site) -> None:
    worker, other = writer_and_follower(site)
    maker = site.place.maker("pack-1")
    assert proved(site, maker, worker.submit(batches(maker, 1), maker.peer).result(60)) == 1
    site.cut()
    until(lambda: (worker.writer is None) != (other.writer is None) and _held_by_one(site))
    bodies = batches(maker, 1)
    assert proved(site, maker, insisting(worker, bodies, maker.peer)) == 2
    assert proved(site, maker, insisting(other, batches(maker, 1), maker.peer)) == 3
    site.holds(3)


def _held_by_one(site: Site) -> bool:
    with psycopg.connect(site.lake.catalog, autocommit=True) as session:
        found = session.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        ).fetchone()
    return found == (1,)


def insisting(worker: "workers.Worker", bodies: list[bytes], peer: Peer) -> Reply:
    """As a device does: told that nobody serves now, it comes again."""
    for _ in range(20):
        try:
            return worker.submit(bodies, peer).result(60)
        except UnavailableError:
            time.sleep(0.1)
    raise AssertionError("never served")


def test_a_follower_knows_within_a_moment_what_the_writer_has_stored(site: Site) -> None:
    writer, follower = writer_and_follower(site)
    makers = [site.place.maker(f"pack-{number}") for number in range(3)]
    for _ in range(2):
        for maker in makers:
            assert writer.submit(batches(maker, 2), maker.peer).result(60)[1] is None
        until(lambda: follower.head() == writer.head())
        assert follower.writer is None
        assert follower.latest == writer.latest
        assert follower.accepted_count == writer.accepted_count
    assert follower.accepted_count == 12
    other = makers[0]
    assert follower.submit([b"noise"], other.peer).result(60)[1] is not None
    until(lambda: writer.refused_count == follower.refused_count == 1)


def test_what_goes_with_the_office_begins_and_ends_with_it(site: Site) -> None:
    told: list[tuple[str, int]] = []

    def term(_store: Store, ledger: Ledger, _ingest: object) -> Callable[[], None]:
        told.append(("begins", ledger.tree.size))
        return lambda: told.append(("ends", ledger.tree.size))

    worker, maker = site.worker(term=term), site.place.maker("pack-1")
    until(lambda: worker.writer is not None)
    assert worker.submit(batches(maker, 1), maker.peer).result(60)[1] is None
    site.cut()
    until(lambda: len(told) == 3)
    until(lambda: worker.writer is not None)
    worker.close()
    # The first leaf is the device's certificate, the second its batch.
    assert told == [("begins", 0), ("ends", 2), ("begins", 2), ("ends", 2)]


def test_a_term_that_was_left_does_not_write_under_the_next_ones_lock(site: Site) -> None:
    lock = site.lock()
    assert lock.try_take()
    office = workers.Office(lock)
    office.may_write(0)
    office.leave()
    assert lock.still_held()
    with pytest.raises(UnavailableError, match="any more"):
        office.may_write(1)

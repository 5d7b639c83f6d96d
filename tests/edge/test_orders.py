"""Orders at the device: kept through a power loss, reported, over when they are over."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cellwarden.domain import FREE, Curb
from cellwarden.edge.clock import TrustedClock
from cellwarden.edge.orders import JUDGED_COUNT, REPORT_COUNT, OrderDesk, kept_roots
from cellwarden.edge.outbox import Outbox
from cellwarden.edge.transport import CallCourier
from cellwarden.errors import UnavailableError
from cellwarden.trust.identity import utc
from cellwarden.wire.notes import Notes
from cellwarden.wire.obedience import Reason
from cellwarden.wire.order import Delivery, Post
from trust.making import NOW, Certified, authority, fleet
from wire.orders import HOUR, RULES, delivered, order, signer

KEY = bytes(range(32))


@pytest.fixture(scope="module")
def ann() -> Certified:
    return signer()


class Hands:
    """The clocks of a device."""

    def __init__(self) -> None:
        self.wall, self.steady = NOW, 0.0

    def clock(self) -> TrustedClock:
        return TrustedClock(0.0, lambda: self.wall, lambda: self.steady)

    def wait(self, second: float) -> None:
        self.wall, self.steady = self.wall + second, self.steady + second


@contextmanager
def desk(folder: Path, hands: Hands | None = None) -> Iterator[OrderDesk]:
    """A device that has just been switched on."""
    with closing(Outbox(folder / "outbox.sqlite", KEY)) as outbox:
        clock = (hands or Hands()).clock()
        yield OrderDesk(outbox, RULES, fleet().authority.certificate, clock)


def post(*deliveries: Delivery, now: float = NOW, revoked: bytes = b"") -> Post:
    return Post(now, deliveries, revoked)


def test_an_order_is_in_force_after_a_power_loss_and_is_not_taken_twice(
    tmp_path: Path, ann: Certified
) -> None:
    told = delivered(order(), ann)
    with desk(tmp_path) as here:
        (outcome,) = here.hear(post(told))
        assert outcome.reason is Reason.OBEYED
    with desk(tmp_path) as here:
        assert here.in_force().curb == Curb(20.0, 30.0)
        assert [one.reason for one in here.notes().outcomes] == [Reason.OBEYED]
        (outcome,) = here.hear(post(told))
        assert outcome.reason is Reason.REPLAYED


def test_what_was_seen_is_told_to_the_hub_so_that_it_does_not_send_it_again(
    tmp_path: Path, ann: Certified
) -> None:
    asked = []
    with desk(tmp_path) as here:
        here.hear(post(delivered(order(sequence=7), ann)))
        here.poll(CallCourier(lambda seen: asked.append(dict(seen)) or post()))
    assert asked == [{order().issuer: 7}]


def test_a_silent_hub_leaves_orders_to_run_out_and_then_the_pack_is_free(
    tmp_path: Path, ann: Certified
) -> None:
    def silent(_seen: object) -> Post:
        raise UnavailableError("no way")

    hands = Hands()
    with desk(tmp_path, hands) as here:
        here.hear(post(delivered(order(), ann)))
        hands.wait(HOUR - 1)
        with pytest.raises(UnavailableError):
            here.poll(CallCourier(silent))
        assert here.in_force().curb == Curb(20.0, 30.0)
        hands.wait(1)
        assert here.in_force() == FREE
        with pytest.raises(UnavailableError):
            here.poll(CallCourier(silent))
    # Over is over: a clock that is set back before the next start does not bring it back.
    hands.wall -= 2 * HOUR
    with desk(tmp_path, hands) as here:
        assert here.in_force() == FREE


def test_a_clock_that_is_set_back_brings_no_old_order_in(tmp_path: Path, ann: Certified) -> None:
    hands = Hands()
    with desk(tmp_path, hands) as here:
        here.hear(post(now=NOW))
        hands.wait(2 * HOUR)
        hands.wall -= 2 * HOUR
        (outcome,) = here.hear(post(delivered(order(), ann), now=NOW))
        assert outcome.reason is Reason.EXPIRED
        (found,) = here.notes().findings
        assert (found.kind, round(found.evidence["behind_second"])) == ("clock", 7200)
        here.told(here.notes())
        assert here.notes().findings == (), "said once"


def test_a_device_whose_clock_has_died_forgets_orders_and_believes_the_hub(
    tmp_path: Path, ann: Certified
) -> None:
    hands = Hands()
    with desk(tmp_path, hands) as here:
        here.hear(post(delivered(order(), ann)))
    hands.wall, hands.steady = 0.0, 0.0
    with desk(tmp_path, hands) as here:
        assert here.in_force() == FREE, "nobody knows how long the power was off"
        held_back = delivered(order(sequence=2), ann)
        (outcome,) = here.hear(post(held_back, now=NOW + 2 * HOUR))
        assert outcome.reason is Reason.EXPIRED


def test_a_hub_cannot_set_the_clock_beyond_the_devices_own_certificate(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path / "outbox.sqlite", KEY)) as outbox:
        root = fleet().authority.certificate
        clock = Hands().clock()
        here = OrderDesk(outbox, RULES, root, clock, latest_unix_time_second=NOW + HOUR)
        here.hear(post(now=NOW + 1e9))
        assert clock.now() == NOW + HOUR


def test_reports_are_kept_until_a_batch_has_told_them(tmp_path: Path, ann: Certified) -> None:
    with desk(tmp_path) as here:
        here.hear(post(delivered(order(), ann)))
        told = here.notes()
        here.hear(post(delivered(order(), ann)))  # while the batch is being made
        here.told(told)
        assert [one.reason for one in here.notes().outcomes] == [Reason.REPLAYED]
    with desk(tmp_path) as here:
        assert [one.reason for one in here.notes().outcomes] == [Reason.REPLAYED]
        assert Notes.decode(here.notes().encode()) == here.notes()


def test_of_a_flood_some_are_judged_and_all_are_counted(tmp_path: Path, ann: Certified) -> None:
    noise = [Delivery(b"%d" % number, b"") for number in range(5000)]
    with desk(tmp_path) as here:
        for _ in range(20):
            outcomes = here.hear(post(*noise))
            assert len(outcomes) == JUDGED_COUNT + 1
        reports = here.notes().outcomes
        assert len(reports) <= REPORT_COUNT
        assert sum(one.count for one in reports) == 20 * len(noise)
        assert {one.reason for one in reports} == {Reason.MALFORMED, Reason.TOO_MANY}
        (outcome,) = here.hear(post(delivered(order(), ann)))
        assert outcome.reason is Reason.OBEYED
        assert (tmp_path / "outbox.sqlite").stat().st_size < 200_000


def test_reports_of_many_issuers_stay_few(tmp_path: Path) -> None:
    with desk(tmp_path) as here:
        by = signer()
        for number in range(1, 3 * REPORT_COUNT):
            told = order(sequence=number, device="pack-2", issuer=f"somebody {number}")
            here.hear(post(delivered(told, by)))
        reports = here.notes().outcomes
        assert len(reports) <= REPORT_COUNT
        assert sum(one.count for one in reports) == 3 * REPORT_COUNT - 1


def test_a_revoked_issuer_is_known_as_soon_as_the_list_comes_and_stays_known(
    tmp_path: Path, ann: Certified
) -> None:
    own = fleet().authority
    fresh = own.revocations([ann.certificate.serial_number], utc(NOW))
    older = own.revocations([], utc(NOW - 86_400))
    foreign = authority("Other").revocations([], utc(NOW + 86_400))
    told = delivered(order(), ann)
    with desk(tmp_path) as here:
        here.hear(post(revoked=fresh))
        for listed in (older, foreign, b"no list", b""):
            (outcome,) = here.hear(post(told, revoked=listed))
            assert outcome.reason is Reason.FOREIGN_ISSUER
    with desk(tmp_path) as here:
        (outcome,) = here.hear(post(told))
        assert outcome.reason is Reason.FOREIGN_ISSUER


def test_what_is_read_at_the_start_knows_of_the_revocations_that_were_heard(
    tmp_path: Path, ann: Certified
) -> None:
    authority = fleet().authority
    listed = authority.revocations([ann.certificate.serial_number], utc(NOW))
    with desk(tmp_path) as here:
        here.hear(post(revoked=listed))
    with closing(Outbox(tmp_path / "outbox.sqlite", KEY)) as outbox:
        roots = kept_roots(outbox, authority.certificate)
        assert ann.certificate.serial_number in roots.revoked
        with closing(Outbox(tmp_path / "new.sqlite", KEY)) as fresh:
            assert not kept_roots(fresh, authority.certificate).revoked


def test_an_order_counts_only_when_it_is_on_disk(tmp_path: Path, ann: Certified) -> None:
    with desk(tmp_path) as here:
        here._outbox._db.execute("PRAGMA query_only = ON")  # a disk that takes nothing more
        with pytest.raises(UnavailableError):
            here.hear(post(delivered(order(), ann)))
        assert here.in_force() == FREE
        here._outbox._db.execute("PRAGMA query_only = OFF")
        (outcome,) = here.hear(post(delivered(order(), ann)))
        assert outcome.reason is Reason.OBEYED


def test_asking_what_is_in_force_does_not_wait_for_a_slow_disk(
    tmp_path: Path, ann: Certified
) -> None:
    with desk(tmp_path) as here:
        here.hear(post(delivered(order(), ann)))
        with here._outbox._lock:  # a write that takes its time
            waiting = threading.Thread(
                target=here.hear, args=(post(delivered(replace(order(), sequence=2), ann)),)
            )
            waiting.start()
            time.sleep(0.05)
            answers: list[object] = []
            asking = threading.Thread(target=lambda: answers.append(here.in_force()))
            asking.start()
            asking.join(5)
            assert answers
        waiting.join(5)


def test_what_the_hub_answers_in_a_known_time_is_a_word_on_the_clock(tmp_path: Path) -> None:
    hands = Hands()

    def slow(_seen: object) -> Post:
        hands.wait(0.6)
        return post(now=NOW + 40.0)

    with desk(tmp_path, hands) as here:
        here.hear(post(now=NOW + 40.0))
        assert here.clock.word is None  # nobody knows how old it is
        here.poll(CallCourier(slow))
        word = here.clock.word
        assert word is not None
        assert word.unix_time_second == pytest.approx(NOW + 40.3)
        assert word.steady_second == hands.steady
        assert word.std_second == pytest.approx(0.2, abs=0.02)
    # What was kept is a floor for the next start, and no word on its clock.
    with desk(tmp_path, hands) as again:
        assert again.clock.word is None


def test_a_time_beyond_the_devices_certificate_is_no_word_on_the_clock(tmp_path: Path) -> None:
    hands = Hands()
    with closing(Outbox(tmp_path / "outbox.sqlite", KEY)) as outbox:
        here = OrderDesk(
            outbox,
            RULES,
            fleet().authority.certificate,
            hands.clock(),
            latest_unix_time_second=NOW + HOUR,
        )
        here.hear(post(now=NOW + 10 * HOUR), 0.1)
        assert here.clock.word is None

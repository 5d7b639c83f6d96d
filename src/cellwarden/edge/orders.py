"""Orders at the device: asked for, judged, kept through a power loss, reported.

Rules
- What a post holds is judged in its order, at most so many orders; the rest is refused unread.
- The book (last sequences, what is in force) and the reports are on disk before an order counts.
- A report is kept until a batch that tells it is in the outbox. There are at most so many: of more
  of one kind the number is told.
- `in_force` waits for nothing: the control loop asks it ten times a second.
- The hub being silent changes nothing: each order runs to its end, and then the pack has its own
  limits again.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace
from math import inf, nan
from typing import Any, Final

from cryptography import x509

from cellwarden.domain import FREE, Finding, Ordered, Severity
from cellwarden.edge.clock import TrustedClock
from cellwarden.edge.outbox import Outbox
from cellwarden.edge.transport import Courier
from cellwarden.errors import DecodeError, TrustError
from cellwarden.trust.envelope import from_cbor, to_cbor
from cellwarden.trust.identity import Roots
from cellwarden.wire.notes import Notes
from cellwarden.wire.obedience import (
    Book,
    Outcome,
    Reason,
    Rules,
    drop_expired,
    in_force,
    judge,
)
from cellwarden.wire.order import Delivery, Order, Post, digest_of

__all__ = ["JUDGED_COUNT", "REPORT_COUNT", "OrderDesk", "kept_roots"]

JUDGED_COUNT: Final = 32  # of one post
REPORT_COUNT: Final = 64
_NAME: Final = "orders"


def kept_roots(outbox: Outbox, authority: x509.Certificate) -> Roots:
    """Whom to believe, with the revocations that this device has heard of.

    Raises:
        DecodeError: what was kept is not ours.
    """
    kept = outbox.kept(_NAME)
    return Roots(authority, b"" if kept is None else _hear(kept)[2])


class OrderDesk:
    """Takes orders in for one device; safe to ask from the control loop at any time."""

    def __init__(
        self,
        outbox: Outbox,
        rules: Rules,
        authority: x509.Certificate,
        clock: TrustedClock,
        *,
        latest_unix_time_second: float = inf,
    ) -> None:
        """Take up what was kept.

        `latest_unix_time_second` is how far a hub may set the clock ahead: the end of the device's
        certificate, after which it has no hub anyway.

        Raises:
            DecodeError: what was kept is not ours.
        """
        self._outbox, self._rules, self.clock = outbox, rules, clock
        self._latest = latest_unix_time_second
        self._lock = threading.Lock()
        kept = outbox.kept(_NAME)
        self._book, self._reports, revoked, witnessed = (
            (Book(), (), b"", 0.0) if kept is None else _hear(kept)
        )
        self._roots = Roots(authority, revoked)
        if witnessed:
            clock.witness(witnessed)
        if clock.set_back_second():
            # How long the power was off nobody knows: what was ordered before is over.
            self._book = replace(self._book, held=())
        self._told_set_back = False

    @property
    def roots(self) -> Roots:
        """Whom to believe, with the newest revocation list that was heard."""
        return self._roots

    def poll(self, courier: Courier) -> tuple[Outcome, ...]:
        """Let go of what is over, ask for orders and judge them.

        Raises:
            UnavailableError: no answer now, or the disk did not take what was judged.
            TrustError: the other end is not our hub.
        """
        self.settle()
        asked = self.clock.steady()
        post = courier.orders(dict(self._book.seen))
        return self.hear(post, self.clock.steady() - asked)

    def settle(self) -> None:
        """What is over is over for good, whatever a clock says after a restart.

        Raises:
            UnavailableError: the disk did not take it.
        """
        now = self.clock.now()
        with self._lock:
            book = drop_expired(self._book, now)
            if book is not self._book:
                self._keep(book, self._reports, self._roots)

    def hear(self, post: Post, took_second: float = nan) -> tuple[Outcome, ...]:
        """Judge what came, so long after it was asked for; gives what became of each.

        Raises:
            UnavailableError: the disk did not take it; nothing has changed.
        """
        told = post.hub_unix_time_second
        self.clock.witness(min(told, self._latest), took_second if told <= self._latest else nan)
        now = self.clock.now()
        with self._lock:
            roots = self._listed(post.revoked)
            before = drop_expired(self._book, now)
            book, outcomes = before, []
            for delivery in post.deliveries[:JUDGED_COUNT]:
                book, outcome = judge(book, delivery, self._rules, roots, now)
                outcomes.append(outcome)
            outcomes += _unread(post.deliveries[JUDGED_COUNT:], now)
            reports = _gather(self._reports, outcomes)
            if outcomes or book is not self._book or roots is not self._roots:
                self._keep(book, reports, roots)
        return tuple(outcomes)

    def in_force(self) -> Ordered:
        """All that is ordered for now, taken together."""
        book = self._book  # no lock: whoever holds it may be waiting for a disk
        return in_force(book, self.clock.now()) if book.held else FREE

    def notes(self) -> Notes:
        """Reports for the next batch, and a word on a clock that was set back."""
        with self._lock:
            return Notes(findings=self._clock_findings(), outcomes=self._reports)

    def told(self, notes: Notes) -> None:
        """These reports are in the outbox."""
        with self._lock:
            self._told_set_back = bool(self.clock.set_back_second())
            if not notes.outcomes:
                return
            left = tuple(one for one in self._reports if one not in notes.outcomes)
            self._keep(self._book, left, self._roots)

    def _listed(self, revoked: bytes) -> Roots:
        """Whom to believe; a list that is not the authority's changes nothing."""
        try:
            return self._roots.renewed(revoked)
        except (TrustError, DecodeError):
            return self._roots

    def _clock_findings(self) -> tuple[Finding, ...]:
        behind = self.clock.set_back_second()
        if not behind or self._told_set_back:
            return ()
        return (
            Finding(
                kind="clock",
                severity=Severity.WARNING,
                signal="unix_time_second",
                unix_time_second=self.clock.now(),
                message=f"this device's clock is {behind:.0f} s behind what it has been; orders"
                " expire as if it were not",
                evidence={"behind_second": behind},
            ),
        )

    def _keep(self, book: Book, reports: tuple[Outcome, ...], roots: Roots) -> None:
        told = _tell(book, reports, roots.revocation_list, self.clock.witnessed())
        self._outbox.keep(_NAME, told)
        self._book, self._reports, self._roots = book, reports, roots


def _unread(deliveries: Sequence[Delivery], now: float) -> list[Outcome]:
    """One report of all that was too much."""
    if not deliveries:
        return []
    said = "more orders came at once than are looked at"
    digest = digest_of(deliveries[0].order)
    return [Outcome(Reason.TOO_MANY, "", 0, digest, said, now, len(deliveries))]


def _gather(reports: tuple[Outcome, ...], fresh: Sequence[Outcome]) -> tuple[Outcome, ...]:
    """Reports with some more; when there are too many, those of one kind become one."""
    found = [*reports, *fresh]
    if len(found) <= REPORT_COUNT:
        return tuple(found)
    gathered: dict[tuple[Reason, str], Outcome] = {}
    for one in found:
        key = (one.reason, one.issuer)
        if key not in gathered and len(gathered) >= REPORT_COUNT - 1:
            key = (Reason.TOO_MANY, "")
        before = gathered.get(key)
        count = one.count + (before.count if before else 0)
        gathered[key] = replace(one, reason=key[0], issuer=key[1], count=count)
    return tuple(gathered.values())


def _tell(
    book: Book, reports: Sequence[Outcome], revoked: bytes, witnessed_unix_time_second: float
) -> bytes:
    return to_cbor(
        [
            dict(book.seen),
            [order.payload() for order in book.held],
            Notes(outcomes=tuple(reports)).encode(),
            revoked,
            float(witnessed_unix_time_second),
        ]
    )


def _hear(kept: bytes) -> tuple[Book, tuple[Outcome, ...], bytes, float]:
    told: Any = from_cbor(kept, "what was kept of orders")
    match told:
        case [{**seen}, [*held], bytes(reports), bytes(revoked), float(witnessed)]:
            orders = tuple(Order.decode(payload) for payload in held)
            numbers: dict[Any, Any] = seen
            return Book(numbers, orders), Notes.decode(reports).outcomes, revoked, witnessed
        case _:
            raise DecodeError("not what was kept of orders", hint="Restore the outbox.")

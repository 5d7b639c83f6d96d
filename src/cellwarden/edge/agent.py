"""The loop on the device: read, look, estimate, sign, seal, keep; and beside it: send.

`Agent` makes batches and `Sender` brings them to the hub; they meet in the outbox only, so a lost
network never stops the reading and a power loss never loses what was read.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from cryptography import x509

from cellwarden.domain import Finding, Frames, Severity
from cellwarden.edge.drivers.seam import Driver
from cellwarden.edge.outbox import ChainState, LastAck, Outbox
from cellwarden.edge.transport import Transport, refusal_error
from cellwarden.errors import (
    EDGE_REACTION,
    Error,
    LedgerError,
    ReplayError,
    UnavailableError,
    look_up,
)
from cellwarden.trust.envelope import Sealer, SigningKey, sign
from cellwarden.trust.identity import thumbprint
from cellwarden.trust.ledger import NoteKey
from cellwarden.wire import (
    BATCH_TYPE,
    Ack,
    Content,
    Message,
    Notes,
    Refusal,
    encode_columns,
    link,
    make_manifest,
    seal_content,
)
from cellwarden.wire.notes import PackNote

__all__ = [
    "Agent",
    "Beside",
    "Device",
    "Sender",
    "Watch",
    "keep_sending",
    "refusal_error",
    "watch_nothing",
]

_SEND_BYTES: Final = 1 << 20
_LONGEST_PAUSE_SECOND: Final = 30.0

Watch = Callable[[Frames, bytes], tuple[Frames, tuple[Finding, ...], bytes]]
"""Looks at frames: gives them back with estimates, what it found, and its own state."""


@dataclass(frozen=True, slots=True)
class Device:
    """Who signs, and to whom it is sealed."""

    name: str
    key: SigningKey
    certificate: x509.Certificate
    sealer: Sealer
    ledger_key: NoteKey


class Beside(Protocol):
    """What else there is to tell with the next batch."""

    def notes(self) -> Notes:
        """What is to be told; its pack is not."""
        ...

    def told(self, notes: Notes) -> None:
        """The batch with these notes is kept: they need not be told again."""
        ...


def watch_nothing(frames: Frames, state: bytes) -> tuple[Frames, tuple[Finding, ...], bytes]:
    """Send frames as they are."""
    return frames, (), state


class Agent:
    """Turns what a driver reads into signed and sealed batches in the outbox."""

    def __init__(
        self,
        device: Device,
        driver: Driver,
        outbox: Outbox,
        *,
        pack: PackNote | None = None,
        batch_frames: int = 60,
        watch: Watch = watch_nothing,
        beside: Beside | None = None,
        report: Callable[[Error], None] = lambda _error: None,
    ) -> None:
        self._beside = beside
        self._held: Frames | None = None
        self._device = device
        self._driver = driver
        self._outbox = outbox
        self._pack = pack
        self._batch_frames = batch_frames
        self._watch = watch
        self._report = report
        self._thumbprint = thumbprint(device.certificate)
        self.stage_second: dict[str, float] = {}
        outbox.begin_boot()

    def step(self) -> bool:
        """Make the next batch; False when the driver has no more.

        Raises:
            UnavailableError: the pack does not serve; call again later.
        """
        if self._held is None:  # else a try before this one failed: it cannot be read twice
            self._held = self._driver.read(self._batch_frames)
        frames = self._held
        if frames is None:
            return False
        started = time.thread_time()
        state = self._outbox.state
        frames, findings, estimator = self._watch(frames, state.estimator)
        started = self._spent("watch", started)
        more = Notes() if self._beside is None else self._beside.notes()
        found = (*findings, *more.findings, *self._losses(frames))
        notes = Notes(self._pack, found, more.outcomes, more.status)
        message, state = self._make(frames, notes, state)
        started = self._spent("sign and seal", started)
        state = replace(state, position=self._driver.position(), estimator=estimator)
        self._keep(message, state)
        self._held = None
        self._spent("outbox", started)
        self._pack = None  # told once a boot
        if self._beside is not None:
            self._beside.told(more)
        return True

    def _losses(self, frames: Frames) -> list[Finding]:
        lost = self._outbox.loss()
        if lost is None:
            return []
        return [
            Finding(
                kind="ledger",
                severity=Severity.ALARM,
                signal="sequence",
                unix_time_second=float(frames.unix_time_second[0]),
                message=f"the hub had lost batches {lost[0]} to {lost[1]}, which it had"
                " acknowledged; they were sent again",
                evidence={"first_sequence": float(lost[0]), "last_sequence": float(lost[1])},
            )
        ]

    def _spent(self, stage: str, started: float) -> float:
        now = time.thread_time()
        self.stage_second[stage] = self.stage_second.get(stage, 0.0) + now - started
        return now

    def _make(self, frames: Frames, notes: Notes, state: ChainState) -> tuple[bytes, ChainState]:
        content = Content(os.urandom(16), encode_columns(frames), notes.encode())
        manifest = make_manifest(
            frames,
            content,
            device=self._device.name,
            boot=state.boot,
            sequence=state.sequence + 1,
            previous=state.previous,
        )
        signed = sign(
            manifest.payload(),
            self._device.key,
            content_type=BATCH_TYPE,
            thumbprint=self._thumbprint,
        )
        sealed = seal_content(content, signed, self._device.sealer)
        following = replace(state, sequence=manifest.sequence, previous=link(signed))
        return Message(signed, sealed).encode(), following

    def _keep(self, message: bytes, state: ChainState) -> None:
        """Keep what was read, however long the disk takes: it can't be read a second time."""
        pause = 0.1
        while True:
            try:
                self._outbox.append(message, state)
            except UnavailableError as error:
                self._report(error)
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECOND)
            else:
                return


class Sender:
    """Brings the outbox to the hub, in order, and checks what the hub binds itself to.

    `ask` gives the sequence that the hub waits for. It is asked once: a hub that was set back to a
    backup then gets what it lost, even from a device that has nothing new to say.
    """

    def __init__(
        self,
        device: Device,
        outbox: Outbox,
        transport: Transport,
        ask: Callable[[], int] | None = None,
    ) -> None:
        self._device = device
        self._outbox = outbox
        self._transport = transport
        self._ask = ask
        ack = outbox.last_ack()
        self._sent = ack.sequence if ack else 0

    def step(self) -> int:
        """Send what waits, as much as fits one request; gives the number of batches taken in.

        Raises:
            UnavailableError: no way to the hub now; call again later.
            TrustError: the hub refuses for good, or its proof does not hold.
        """
        if self._ask is not None:
            self._go_back(self._ask())
            self._ask = None
        waiting = self._outbox.after(self._sent, _SEND_BYTES)
        if not waiting:
            return 0
        ack, refusal = self._transport.send([message for _, message in waiting])
        taken = 0
        if ack is not None:
            taken = self._settle(ack, dict(waiting))
        if refusal is not None:
            self._hear(refusal)
        return taken

    def waits(self) -> bool:
        """Whether there is something that the hub has not taken in."""
        return self._outbox.state.sequence > self._sent

    def _settle(self, ack: Ack, messages: dict[int, bytes]) -> int:
        if ack.sequence not in messages:
            raise LedgerError(
                f"the hub acknowledges batch {ack.sequence}, which was not sent",
                hint="Check that this is the right hub.",
            )
        manifest = Message.decode(messages[ack.sequence]).manifest
        ack.check(manifest, self._device.ledger_key)
        self._outbox.acknowledge(LastAck(ack.sequence, ack.leaf_index, manifest, ack.checkpoint))
        taken = sum(1 for sequence in messages if sequence <= ack.sequence)
        self._sent = ack.sequence
        return taken

    def _hear(self, refusal: Refusal) -> None:
        """Go back to what the hub waits for, or stop."""
        known = refusal.kind == ReplayError.__name__ and refusal.expected is not None
        if not (known and self._go_back(refusal.expected or 0)):
            raise refusal_error(refusal)

    def _go_back(self, wanted: int) -> bool:
        """Begin again with a batch that the hub has acknowledged and lost, if it is kept."""
        if not 1 <= wanted <= self._sent:
            return False
        held = self._outbox.after(wanted - 1, 1)
        if not held or held[0][0] != wanted:
            return False
        self._outbox.note_loss(wanted, self._sent)
        self._sent = wanted - 1
        return True


def keep_sending(
    sender: Sender,
    finished: Callable[[], bool],
    report: Callable[[Error], None],
    moved: Callable[[], None] = lambda: None,
) -> None:
    """Send until everything is made and taken in; waits out a lost network.

    Raises:
        Error: the hub refuses for good.
    """
    pause = 0.05
    while True:
        done = finished()
        try:
            taken = sender.step()
        except Error as error:
            if look_up(EDGE_REACTION, error) != "retry":
                raise
            if done and not sender.waits():
                return
            report(error)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECOND)
            continue
        if taken:
            pause = 0.05
            moved()
        elif done and not sender.waits():  # a hub may take in nothing, or go back, and be willing
            return
        else:
            time.sleep(0.05)

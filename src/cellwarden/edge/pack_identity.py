"""Who the pack is that this device controls: asked at the start and from time to time.

Rules
- A device that was never paired asks nobody: it controls what it is wired to, as ever.
- The pairing, with the pack's last number, is on disk before an answer counts: a pack that answers
  twice with one number is found after a power loss too.
- The control loop asks `permission` each cycle and waits for nothing; asking the pack has a thread
  of its own. Before the first answer a paired pack is a silent one.
- How long a doubted pack has been in use is kept with each asking: a restart is no new hour.
- A key that has answered twice is not believed again, whatever it answers: which of the two packs
  is here nobody can tell. Only pairing anew ends that.
- Cells that answer as others (`edge.recognise`) make a genuine pack unlike; they make nothing
  better, whatever the key says. Pairing anew forgets what is known of the cells.
- Each change of mind is told once, as a finding.
"""

import secrets
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cellwarden.control.authentic import Doubt, permit
from cellwarden.domain import Authenticity, Finding, Permission, Severity
from cellwarden.edge.outbox import Outbox
from cellwarden.errors import DecodeError, Error, UsageError
from cellwarden.trust.envelope import from_cbor, to_cbor
from cellwarden.trust.identity import Roots, load_certificate
from cellwarden.trust.keys import FileKeyStore
from cellwarden.trust.pack_proof import (
    FileCounter,
    PackElement,
    Pairing,
    Question,
    Verdict,
    judge,
    read_answer,
)

__all__ = ["ASK_SECOND", "CELLS_KEPT", "ELEMENT_FOLDER", "PackIdentity", "element_of"]

ASK_SECOND: Final = 600.0
ELEMENT_FOLDER: Final = "pack"
CELLS_KEPT: Final = "cells"  # the name under which the outbox keeps how they answer
_KEPT: Final = "pairing"
_SEVERE: Final = frozenset({Authenticity.FOREIGN, Authenticity.CLONED, Authenticity.SWAPPED})

Ask = Callable[[bytes], bytes | None]


def element_of(folder: Path) -> Ask | None:
    """The part of an emulated pack that holds its key: it lies in the device's folder `pack`.

    Raises:
        Error: it is there and cannot be used.
    """
    place = folder / ELEMENT_FOLDER
    if not (place / "pack.crt").exists():
        return None
    certificate = load_certificate((place / "pack.crt").read_bytes())
    counter = FileCounter(place / "counter")
    return PackElement(FileKeyStore(place / "keys"), certificate, counter).answer


class PackIdentity:
    """Asks one device's pack who it is."""

    def __init__(
        self,
        device: str,
        ask: Ask | None,
        outbox: Outbox,
        roots: Callable[[], Roots],
        now: Callable[[], float],
    ) -> None:
        """Take up the pairing.

        Raises:
            DecodeError: what was kept is not ours.
        """
        self._device, self._ask, self._outbox = device, ask, outbox
        self._roots, self._now = roots, now
        self._lock = threading.Lock()
        self._pairing, self._cloned, used = self._safe = _hear(outbox.kept(_KEPT))
        self._authenticity = Authenticity.SILENT
        self._cells_unlike = False
        self._doubt = Doubt(self._authenticity, used)
        self._told: Authenticity | None = None
        self._findings: list[Finding] = []

    @property
    def pairing(self) -> Pairing | None:
        """The pack that belongs here; None where nobody has paired."""
        return self._pairing

    @property
    def known(self) -> tuple[str, str]:
        """What is known of the pack, in a word, and its name; empty where nobody asks."""
        return ("", "") if self._pairing is None else (str(self._believed), self._pairing.pack)

    @property
    def _believed(self) -> Authenticity:
        if self._cells_unlike and self._authenticity is Authenticity.GENUINE:
            return Authenticity.UNLIKE
        return self._authenticity

    def hear_cells(self, *, unlike: bool) -> None:
        """What the second witness says."""
        self._cells_unlike = unlike

    def pair(self) -> Pairing:
        """Pair with the pack that answers.

        Raises:
            UsageError: the pack gives no answer.
            Error: its answer does not prove a pack of our authority.
        """
        question = self._question()
        answer = self._answer(question)
        if answer is None:
            raise UsageError("the pack gives no answer", hint="Check its wire and its key.")
        with self._lock:
            pairing = read_answer(answer, question, self._roots(), self._now())
            self._outbox.keep(CELLS_KEPT, b"")
            self._keep(pairing, cloned=False)
            self._authenticity, self._cells_unlike = Authenticity.GENUINE, False
        assert self._pairing is not None  # noqa: S101  just kept
        return self._pairing

    def ask(self) -> Verdict | None:
        """Ask the pack now; None where nobody has paired.

        Raises:
            UnavailableError: the disk did not take the pack's number; the answer does not count.
        """
        if self._pairing is None:
            return None
        question = self._question()
        verdict = judge(self._answer(question), question, self._pairing, self._roots(), self._now())
        cloned = self._cloned or verdict.authenticity is Authenticity.CLONED
        with self._lock:
            if verdict.authenticity is not Authenticity.GENUINE:  # counts, whatever a disk does
                self._authenticity, self._cloned = verdict.authenticity, cloned
                self._tell(verdict)
            if (verdict.pairing, cloned, self._doubt.connected_second) != self._safe:
                self._keep(verdict.pairing, cloned=cloned)
            if cloned and verdict.authenticity is Authenticity.GENUINE:
                reason = "its key has answered twice, and nobody has paired anew"
                verdict = replace(verdict, authenticity=Authenticity.CLONED, reason=reason)
            self._authenticity = verdict.authenticity
            self._tell(verdict)
        return verdict

    def permission(self, elapsed_second: float, *, closed: bool) -> Permission | None:
        """What the pack may do in this cycle; None where nobody has paired."""
        if self._pairing is None:
            return None
        self._doubt, permission = permit(self._doubt, self._believed, elapsed_second, closed=closed)
        return permission

    def take_findings(self) -> list[Finding]:
        """What was found since this was asked last."""
        with self._lock:
            found, self._findings = self._findings, []
        return found

    def _question(self) -> Question:
        return Question(secrets.token_bytes(32), self._device, self._now())

    def _answer(self, question: Question) -> bytes | None:
        if self._ask is None:
            return None
        try:
            return self._ask(question.encode())
        except (Error, OSError):
            return None  # a pack whose element fails says nothing

    def _keep(self, pairing: Pairing, *, cloned: bool) -> None:
        used = self._doubt.connected_second
        told = to_cbor([pairing.pack, pairing.thumbprint, pairing.counter, cloned, used])
        self._outbox.keep(_KEPT, told)
        self._pairing, self._cloned, _ = self._safe = pairing, cloned, used

    def _tell(self, verdict: Verdict) -> None:
        if verdict.authenticity is self._told:
            return
        first, self._told = self._told is None, verdict.authenticity
        if verdict.authenticity is Authenticity.GENUINE and first:
            return
        severity = Severity.INFO
        if verdict.authenticity is not Authenticity.GENUINE:
            severity = Severity.ALARM if verdict.authenticity in _SEVERE else Severity.WARNING
        message = f"the pack is {verdict.authenticity}: {verdict.reason}"
        self._findings.append(Finding("identity", severity, "pack", self._now(), message))


def _hear(kept: bytes | None) -> tuple[Pairing | None, bool, float]:
    if kept is None:
        return None, False, 0.0
    told: Any = from_cbor(kept, "the pairing")
    match told:
        case [str(pack), bytes(thumbprint), int(counter), bool(cloned), float(used)]:
            return Pairing(pack, thumbprint, counter), cloned, used
        case _:
            raise DecodeError("not a pairing", hint="Pair the pack anew.")

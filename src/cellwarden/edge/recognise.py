"""Are the cells still those that were paired? Prints out of batches, compared day by day.

Rules
- It runs beside the control loop, on the frames that are sent, and only where a pack is paired
  that has cells enough for a print. Sums are kept of a day, and the frames that the next batch
  must go on from; no more.
- A print is made at the end of the first day by which every cell has answered `FEWEST_EDGES` edges
  of both kinds. The first `TEMPLATE_PRINTS` prints after pairing are the template, and nobody
  judges them: a pack that is changed before then is taken for the paired one.
- From then on a print that is alike moves the template. `RUN` prints in a row that are unlike make
  the pack unlike, as many in a row that are alike take that back. The template stands still
  meanwhile.
- What is known is kept beside the outbox each hour; after a restart it goes on. It belongs to one
  pairing, and begins anew with another. What is kept and cannot be read is begun anew, and told.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cellwarden.domain import Finding, Frames, Pack, Severity
from cellwarden.edge.outbox import Outbox
from cellwarden.edge.pack_identity import CELLS_KEPT, PackIdentity
from cellwarden.errors import DecodeError, UnavailableError
from cellwarden.features.response import ANSWERS, find_edges, open_tail
from cellwarden.guard import fingerprint
from cellwarden.guard.fingerprint import FEWEST_CELLS, Likeness, Prints, Template
from cellwarden.trust.envelope import from_cbor, to_cbor

__all__ = ["EDGE_RATE", "FEWEST_EDGES", "HOLD_SECOND", "RUN", "TEMPLATE_PRINTS", "Recogniser"]

EDGE_RATE: Final = 0.2  # of the capacity in an hour
HOLD_SECOND: Final = 8.0
FEWEST_EDGES: Final = 20
TEMPLATE_PRINTS: Final = 7
RUN: Final = 3
_DAY_SECOND: Final = 86_400.0
_HOUR_SECOND: Final = 3600.0
_LONGEST_PERIOD_SECOND: Final = 2.0
_SMALLEST_OHM: Final = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What is known of one pairing's cells; sums of the day that is not over, and the template."""

    pack: str
    thumbprint: bytes
    ohm: np.ndarray
    count: np.ndarray
    template: np.ndarray
    prints: int = 0
    run: int = 0
    unlike: bool = False
    hour: int = -1

    def encode(self) -> bytes:
        grids = [np.ascontiguousarray(g, "<f8").tobytes() for g in self._grids]
        rest = [self.prints, self.run, self.unlike, self.hour]
        return to_cbor([self.pack, self.thumbprint, *grids, *rest])

    @property
    def _grids(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.ohm, self.count, self.template


class Recogniser:
    """Learns how a pack's cells answer, and says when others do."""

    def __init__(
        self, pack: Pack, outbox: Outbox, identity: PackIdentity, now: Callable[[], float]
    ) -> None:
        self._pack, self._outbox, self._identity, self._now = pack, outbox, identity, now
        self._edge_ampere = EDGE_RATE * pack.nominal_capacity_ah
        self._findings: list[Finding] = []
        self._tail: Frames | None = None
        self._prints: Prints | None = None
        self._unsaved = False
        self._known = self._take_up()
        identity.hear_cells(unlike=self._known is not None and self._known.unlike)

    @property
    def template(self) -> Template | None:
        """How the paired cells answer, as far as it is known; None before the first print."""
        known = self._known
        return None if known is None or not known.prints else Template(known.template)

    @property
    def edge_count(self) -> int:
        """Edges that every cell has answered since the last print. [1]"""
        return 0 if self._known is None else int(self._known.count.min())

    @property
    def held_frame_count(self) -> int:
        """Frames that are held for the next batch. [1]"""
        return 0 if self._tail is None else len(self._tail)

    def look(self, frames: Frames) -> list[Finding]:
        """Take in a batch; gives what was found meanwhile."""
        known = self._of_this_pairing()
        count = self._pack.series_count
        if known is not None and len(frames) and frames.cell_voltage_volt.shape[1] == count:
            hour = int(frames.unix_time_second[0] // _HOUR_SECOND)
            self._unsaved |= hour != known.hour
            if known.hour >= 0 and _day(hour) != _day(known.hour):
                known = self._end_day(known)
            self._known = self._gathered(replace(known, hour=hour), frames)
            self._save()
        found, self._findings = self._findings, []
        return found

    def _of_this_pairing(self) -> _Known | None:
        pairing = self._identity.pairing
        if pairing is None or self._pack.series_count < FEWEST_CELLS:
            return None
        known = self._known
        if known is None or (known.pack, known.thumbprint) != (pairing.pack, pairing.thumbprint):
            none = np.zeros((self._pack.series_count, len(ANSWERS)))
            known = _Known(pairing.pack, pairing.thumbprint, none, none, none)
            self._identity.hear_cells(unlike=False)
        return known

    def _gathered(self, known: _Known, frames: Frames) -> _Known:
        whole = _joined(self._tail, frames)
        self._tail = open_tail(whole, HOLD_SECOND)
        edges = find_edges(
            whole,
            edge_ampere=self._edge_ampere,
            hold_second=HOLD_SECOND,
            longest_period_second=_LONGEST_PERIOD_SECOND,
        )
        if not len(edges.loaded):
            return known
        parts = [edges.ohm[edges.loaded], edges.ohm[~edges.loaded]]
        answered = [np.isfinite(part) for part in parts]
        count = np.concatenate([a.sum(axis=0) for a in answered], axis=1)
        sums = [np.where(a, part, 0.0).sum(axis=0) for a, part in zip(answered, parts, strict=True)]
        ohm = np.concatenate(sums, axis=1)
        return replace(known, ohm=known.ohm + ohm, count=known.count + count)

    def _end_day(self, known: _Known) -> _Known:
        if known.count.min() < FEWEST_EDGES:
            return known  # the next day goes on with it
        mean = known.ohm / known.count
        begun = replace(known, ohm=np.zeros_like(known.ohm), count=np.zeros_like(known.count))
        if np.any(mean <= _SMALLEST_OHM):
            return begun  # noise or a wrong wire: no resistance
        log_ohm = np.log(mean)
        if known.prints < TEMPLATE_PRINTS:
            prints = known.prints + 1
            found = fingerprint.enrol(log_ohm).log_ohm
            moved = known.template + (found - known.template) / prints
            return replace(begun, template=moved, prints=prints)
        return self._judged(begun, log_ohm)

    def _judged(self, known: _Known, log_ohm: np.ndarray) -> _Known:
        if self._prints is None:
            self._prints = fingerprint.typical(self._pack.series_count)
        template = Template(known.template)
        told = fingerprint.compare(fingerprint.fit(self._prints, template), template, log_ohm)
        if told.alike is not known.unlike:  # as it was believed to be
            if told.alike:
                template = fingerprint.follow(template, log_ohm)
            return replace(known, template=template.log_ohm, run=0)
        if known.run + 1 < RUN:
            return replace(known, run=known.run + 1)
        self._identity.hear_cells(unlike=not told.alike)
        self._findings.append(_said(told, self._now()))
        return replace(known, run=0, unlike=not told.alike)

    def _save(self) -> None:
        if not self._unsaved or self._known is None:
            return
        try:
            self._outbox.keep(CELLS_KEPT, self._known.encode())
        except UnavailableError:
            return  # tried again with the next batch; the outbox tells of its disk itself
        self._unsaved = False

    def _take_up(self) -> _Known | None:
        kept = self._outbox.kept(CELLS_KEPT)
        if not kept:
            return None
        try:
            return _hear(kept, self._pack.series_count)
        except DecodeError as error:
            message = f"what was known of the cells cannot be read: {error}"
            self._findings.append(
                Finding("identity", Severity.WARNING, "cells", self._now(), message[:400])
            )
            return None


def _day(hour: int) -> int:
    return int(hour * _HOUR_SECOND // _DAY_SECOND)


def _joined(tail: Frames | None, frames: Frames) -> Frames:
    """The last frames and a batch; what has no place in a row is left out."""
    time = frames.unix_time_second
    if tail is None or not len(tail):
        return frames
    if not 0.0 <= time[0] - tail.unix_time_second[-1] <= _LONGEST_PERIOD_SECOND:
        return frames

    def join(name: str) -> np.ndarray:
        return np.concatenate([getattr(tail, name), getattr(frames, name)])

    names = ("voltage_volt", "current_ampere", "cell_voltage_volt", "cell_temperature_celsius")
    found = [tail.cell_temperature_celsius, frames.cell_temperature_celsius]
    if found[0].shape[1] != found[1].shape[1]:
        return frames
    return Frames(join("unix_time_second"), **{name: join(name) for name in names})


def _said(told: Likeness, now: float) -> Finding:
    """A change of mind as people read it at the hub."""
    evidence = {
        "score": told.score,
        "limit": told.limit,
        "worst_score": told.worst_score,
        "worst_limit": told.worst_limit,
    }
    scores = (
        f"cell {told.worst_cell} is least like, {told.worst_score:.1f} where"
        f" {told.worst_limit:.1f} is the limit; all together {told.score:.1f}, limit"
        f" {told.limit:.1f}"
    )
    if told.alike:
        severity, word = Severity.INFO, "alike again: its cells answer as those that were paired"
    else:
        severity, word = (
            Severity.WARNING,
            "unlike: its key is right, and its cells answer as others",
        )
    message = f"the pack is {word}, on {RUN} prints in a row; {scores}"
    return Finding("identity", severity, "cells", now, message, told.worst_cell, evidence)


def _hear(kept: bytes, cells: int) -> _Known:
    shape = (cells, len(ANSWERS))
    size = 8 * shape[0] * shape[1]
    match from_cbor(kept, "what is known of the cells"):
        case [
            str(pack),
            bytes(thumbprint),
            bytes(ohm),
            bytes(count),
            bytes(template),
            int(prints),
            int(run),
            bool(unlike),
            int(hour),
        ] if len(ohm) == len(count) == len(template) == size:
            sums, counts, means = (
                np.frombuffer(grid, "<f8").reshape(shape) for grid in (ohm, count, template)
            )
            return _Known(pack, thumbprint, sums, counts, means, prints, run, unlike, hour)
        case _:
            raise DecodeError("not what is known of cells", hint="It is learnt anew.")

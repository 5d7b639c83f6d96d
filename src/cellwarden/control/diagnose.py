"""What is wrong with the pack: evidence judged by the fault table, cycle by cycle.

Rules
- `step` is pure. Rows and cells are worked out together; `advance` does the same for many packs
  at once, whose arrays have leading axes, and leaves out the words.
- The first fault that opens contactors or keeps them open stays named until a reset that finds it
  gone: what follows from it does not take its place.
- A reset ends latched faults that have been quiet for their hold, and nothing else.
- Nothing here loosens anything: a diagnosis can only ask for less.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int

from cellwarden.control import evidence
from cellwarden.control.evidence import Evidence, Measures, Remembered
from cellwarden.control.fault_rows import fault_rows
from cellwarden.control.fault_table import FaultRow
from cellwarden.control.senses import Senses, sensed
from cellwarden.domain import (
    Board,
    Charge,
    Contactors,
    Diagnosis,
    Pack,
    Reaction,
    Reading,
    Request,
    Trouble,
)

__all__ = [
    "Diagnostics",
    "DiagnosticsState",
    "Tally",
    "advance",
    "begin",
    "diagnostics_of",
    "step",
]

_NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True, eq=False)
class Diagnostics:
    """A table, and its columns as arrays."""

    rows: tuple[FaultRow, ...]
    measures: Measures
    cell_count: int
    signal: Int[np.ndarray, " row"]
    sign: Float[np.ndarray, " row"]
    limit: Float[np.ndarray, " row"]
    hysteresis: Float[np.ndarray, " row"]
    event_count: Int[np.ndarray, " row"]
    delay_second: Float[np.ndarray, " row"]
    hold_second: Float[np.ndarray, " row"]
    latched: Bool[np.ndarray, " row"]


def diagnostics_of(
    pack: Pack, board: Board, rows: tuple[FaultRow, ...] | None = None
) -> Diagnostics:
    """The table of a pack, ready to judge; `rows` replaces it.

    Raises:
        UsageError: the table is not sound, or slower than its allowances at this cycle.
    """
    table = fault_rows(pack, board) if rows is None else rows
    opens = [row.reaction is Reaction.OPEN for row in table]
    delays = np.array([row.delay_second for row in table])
    return Diagnostics(
        table,
        evidence.measures_of(pack, board),
        pack.series_count,
        np.array([row.signal for row in table], dtype=np.int64),
        np.array([-1.0 if row.low else 1.0 for row in table]),
        np.array([row.limit for row in table]),
        np.array([row.hysteresis for row in table]),
        np.array([row.event_count for row in table], dtype=np.int64),
        np.where(opens, delays, _NEVER),
        np.array([row.hold_second for row in table]),
        np.array([row.latched for row in table]),
    )


@dataclass(frozen=True, slots=True)
class Tally:
    """How far each row has come."""

    event_count: Int[np.ndarray, "*pack row"]
    active: Bool[np.ndarray, "*pack row"]
    since_second: Float[np.ndarray, "*pack row"]
    opens_second: Float[np.ndarray, "*pack row"]
    quiet_second: Float[np.ndarray, "*pack row"]
    value: Float[np.ndarray, "*pack row"]


@dataclass(frozen=True, slots=True)
class DiagnosticsState:
    """Everything that the next cycle depends on."""

    remembered: Remembered
    tally: Tally
    items: tuple[int, ...] = ()
    first: Trouble | None = None


def begin(
    diagnostics: Diagnostics, sensor_count: int, packs: tuple[int, ...] = ()
) -> DiagnosticsState:
    """Nothing seen, nothing held against the pack."""
    shape = (*packs, len(diagnostics.rows))
    return DiagnosticsState(
        evidence.begin(diagnostics.cell_count, sensor_count, packs),
        Tally(
            np.zeros(shape, dtype=np.int64),
            np.zeros(shape, dtype=bool),
            np.full(shape, np.nan),
            np.full(shape, _NEVER),
            np.zeros(shape),
            np.full(shape, np.nan),
        ),
        (-1,) * len(diagnostics.rows),
    )


def advance(
    diagnostics: Diagnostics, state: DiagnosticsState, senses: Senses
) -> tuple[DiagnosticsState, Evidence]:
    """The state after a cycle of one pack or of many, and what it was judged on."""
    remembered, found, second = evidence.gather(diagnostics.measures, state.remembered, senses)
    tally = _judge(
        diagnostics, state.tally, found.value[..., diagnostics.signal], remembered, second
    )
    return DiagnosticsState(remembered, tally, state.items, state.first), found


def _judge(
    table: Diagnostics,
    before: Tally,
    value: np.ndarray,
    remembered: Remembered,
    second: np.ndarray,
) -> Tally:
    """Count, raise, hold, end."""
    clock = remembered.clock_second[..., None]
    excess = table.sign * (value - table.limit)
    breach, unread = excess > 0.0, np.isnan(excess)
    count = np.where(breach, before.event_count + 1, np.where(unread, before.event_count, 0))
    since = np.where(
        breach & (before.event_count == 0) & ~before.active, clock, before.since_second
    )
    raised = count >= table.event_count
    calm = excess <= -table.hysteresis
    quiet = np.where(calm, before.quiet_second + second[..., None], 0.0)
    quiet = np.where(unread, before.quiet_second, quiet)
    ended = before.active & ~raised & ~table.latched & (quiet >= table.hold_second)
    fresh = raised & ~before.active
    active = (before.active | raised) & ~ended
    opens = np.where(fresh, clock + table.delay_second, before.opens_second)
    return Tally(
        count,
        active,
        since,
        np.where(active, opens, _NEVER),
        quiet,
        np.where(unread, before.value, value),
    )


def step(
    diagnostics: Diagnostics,
    state: DiagnosticsState,
    reading: Reading,
    driven: Contactors,
    charge: Charge | None = None,
    *,
    precharge_failed: bool = False,
) -> tuple[DiagnosticsState, Diagnosis]:
    """The state after a cycle, and what is held against the pack.

    `driven` is what the coils have been told last, `charge` the estimate of this cycle if there is
    one, `precharge_failed` whether the machine has given a precharge up for good.
    """
    senses = sensed(reading, driven, charge, precharge_failed=precharge_failed)
    was = state.tally.active
    after, found = advance(diagnostics, state, senses)
    tally, first, items = after.tally, state.first, state.items
    if reading.inputs.request is Request.RESET:
        tally, first = _forgive(diagnostics, tally, first)
    if not tally.active.any():
        return DiagnosticsState(after.remembered, tally, items, first), Diagnosis((), first)
    fresh = np.flatnonzero(tally.active & ~was)
    if len(fresh):
        items = _locate(diagnostics, found, items, fresh)
    troubles = tuple(
        _trouble(diagnostics, tally, items, int(row)) for row in np.flatnonzero(tally.active)
    )
    if first is None:
        first = _first(troubles)
    return DiagnosticsState(after.remembered, tally, items, first), Diagnosis(troubles, first)


def _forgive(
    table: Diagnostics, tally: Tally, first: Trouble | None
) -> tuple[Tally, Trouble | None]:
    """An operator has seen to it: what is latched and quiet ends."""
    gone = tally.active & table.latched & (tally.quiet_second >= table.hold_second)
    active = tally.active & ~gone
    names = {table.rows[row].name for row in np.flatnonzero(active)}
    opens = np.where(active, tally.opens_second, _NEVER)
    tally = Tally(
        tally.event_count, active, tally.since_second, opens, tally.quiet_second, tally.value
    )
    return tally, first if first is not None and first.name in names else None


def _locate(
    table: Diagnostics, found: Evidence, items: tuple[int, ...], fresh: np.ndarray
) -> tuple[int, ...]:
    """Name the item that each fresh fault was seen on."""
    named = list(items)
    for row in fresh:
        values = found.items.get(table.rows[row].signal)
        named[row] = -1
        if values is not None and values.size and not np.isnan(values).all():
            named[row] = int(np.nanargmax(values))
    return tuple(named)


def _trouble(table: Diagnostics, tally: Tally, items: tuple[int, ...], index: int) -> Trouble:
    row = table.rows[index]
    return Trouble(
        row.name,
        row.reaction,
        float(tally.since_second[index]),
        float(tally.value[index]),
        row.limit,
        items[index],
        row.latched,
        float(tally.opens_second[index]),
    )


def _first(troubles: tuple[Trouble, ...]) -> Trouble | None:
    """The earliest of those that open or keep open; of several at once the strongest."""
    grave = [trouble for trouble in troubles if trouble.reaction >= Reaction.FORBID_CLOSE]
    return min(grave, key=lambda trouble: (trouble.since_second, -trouble.reaction), default=None)

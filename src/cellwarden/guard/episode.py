"""One fault, one finding: what the rules saw, folded over time.

Rules
- Rows that break the same rule for the same item belong together until it has been quiet for
  `QUIET_SECOND`.
- A fault is told when it begins and once more when it has ended; both tellings carry the same
  kind, severity, signal, item and first time, and the later one replaces the earlier (`merge`).
- What has ended carries `over_unix_time_second`, when it was last seen; what lacks it still lasts.
- A row in which more than `SHARED_COUNT` items break a rule is told for the signal as a whole
  (item -1), with the worst item in the evidence.
- Evidence is in the unit of the signal, except names that carry their own.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from cellwarden.domain import Finding, Severity, quantity
from cellwarden.guard.window import middle

__all__ = ["QUIET_SECOND", "SHARED_COUNT", "Breach", "Episode", "Key", "fold", "merge", "tell"]

QUIET_SECOND: Final = 300.0
SHARED_COUNT: Final = 8

Key = tuple[str, Severity, str, int]


@dataclass(frozen=True, slots=True)
class Breach:
    """What one rule saw in one batch: where it was broken, by what, against which limit.

    `reading` is the signal itself, for the neighbours of a bad value; `value` is what the rule
    compared with `limit` (a step, a distance from the siblings), often the reading.
    """

    kind: str
    severity: Severity
    signal: str
    text: str
    time: Float64[np.ndarray, " time"]
    broken: Bool[np.ndarray, "time item"]
    reading: Float[np.ndarray, "time item"]
    value: Float[np.ndarray, "time item"]
    limit: Float[np.ndarray, "time item"]
    whole: bool = False  # the rule speaks of the signal, not of one of its items
    unit: str = ""  # of value and limit, where it is not that of the signal


@dataclass(frozen=True, slots=True)
class Episode:
    """A fault so far, and whether it has been told."""

    first_unix_time_second: float
    last_unix_time_second: float
    frame_count: int
    excess: float
    text: str
    evidence: Mapping[str, float]
    unit: str = ""
    told: bool = False


def fold(
    breaches: Iterable[Breach], episodes: Mapping[Key, Episode], decided_unix_time_second: float
) -> tuple[dict[Key, Episode], list[Finding]]:
    """Episodes still open after a batch, and what there is to tell of it.

    No rule can still be broken at or before `decided_unix_time_second` that was not given here.
    """
    still = dict(episodes)
    ended: list[tuple[Key, Episode]] = []
    for breach in breaches:
        for item, rows, columns in _by_item(breach):
            key = (breach.kind, breach.severity, breach.signal, item)
            for start, stop in _runs(breach.time[rows]):
                part = _episode(breach, rows[start:stop], columns[start:stop], item)
                before = still.get(key)
                if before is not None and _apart(before, part):
                    ended.append((key, before))
                    before = None
                still[key] = part if before is None else _join(before, part)
    for key, episode in list(still.items()):
        if decided_unix_time_second - episode.last_unix_time_second > QUIET_SECOND:
            ended.append((key, still.pop(key)))
    findings = [tell(key, episode, over=True) for key, episode in ended]
    for key, episode in still.items():
        if not episode.told:
            findings.append(tell(key, episode))
            still[key] = replace(episode, told=True)
    return still, sorted(findings, key=_order)


def merge(findings: Iterable[Finding]) -> list[Finding]:
    """The last word on each fault, in order of time."""
    last = {(f.kind, f.severity, f.signal, f.item, f.unix_time_second): f for f in findings}
    return sorted(last.values(), key=_order)


def tell(key: Key, episode: Episode, *, over: bool = False) -> Finding:
    """An episode as a finding, whose time is when the fault began."""
    kind, severity, signal, item = key
    unit = episode.unit or quantity(signal).unit
    where = signal if item < 0 else f"{signal}[{item}]"
    shown = [
        f"{name} {episode.evidence[name]:.6g} {unit}"
        for name in ("value", "limit")
        if name in episode.evidence
    ]
    detail = f" ({', '.join(shown)})" if shown else ""
    frames = "frames" if over else "frames so far"
    end = {"over_unix_time_second": episode.last_unix_time_second} if over else {}
    return Finding(
        kind=kind,
        severity=severity,
        signal=signal,
        unix_time_second=episode.first_unix_time_second,
        message=f"{where} {episode.text}{detail}, {frames}: {episode.frame_count}",
        item=item,
        evidence={
            **episode.evidence,
            "frame_count": float(episode.frame_count),
            "last_unix_time_second": episode.last_unix_time_second,
            **end,
        },
    )


def _order(finding: Finding) -> tuple[float, str, str, int, int]:
    return (
        finding.unix_time_second,
        finding.kind,
        finding.signal,
        finding.item,
        int(finding.severity),
    )


def _apart(before: Episode, part: Episode) -> bool:
    return part.first_unix_time_second - before.last_unix_time_second > QUIET_SECOND


def _join(before: Episode, part: Episode) -> Episode:
    """The longer fault; the evidence stays that of its worst frame."""
    worse = part if part.excess > before.excess else before
    return replace(
        worse,
        first_unix_time_second=before.first_unix_time_second,
        last_unix_time_second=max(before.last_unix_time_second, part.last_unix_time_second),
        frame_count=before.frame_count + part.frame_count,
        told=before.told,
    )


def _by_item(
    breach: Breach,
) -> Iterator[tuple[int, Int64[np.ndarray, " row"], Int64[np.ndarray, " row"]]]:
    """Item, rows and columns of each item's breaches; -1 speaks for the whole signal."""
    broken = breach.broken
    excess = _excess(breach)
    shared = broken.sum(axis=1) > SHARED_COUNT
    if breach.whole:
        shared = broken.any(axis=1)
    if shared.any():
        rows = np.flatnonzero(shared)
        yield -1, rows, np.argmax(np.where(broken[rows], excess[rows], -1.0), axis=1)
        broken = broken & ~shared[:, None]
    for item in np.flatnonzero(broken.any(axis=0)):
        rows = np.flatnonzero(broken[:, item])
        yield int(item), rows, np.full(len(rows), item)


def _excess(breach: Breach) -> Float64[np.ndarray, "time item"]:
    """How far beyond the limit; zero where nothing was read. [unit of the signal]"""
    excess = np.abs(breach.value.astype(np.float64) - breach.limit)
    return np.where(np.isfinite(excess), excess, 0.0)


def _runs(time: Float64[np.ndarray, " row"]) -> Iterator[tuple[int, int]]:
    """Stretches of rows without a quiet time between them."""
    cuts = np.flatnonzero(np.diff(time) > QUIET_SECOND) + 1
    edges = [0, *cuts.tolist(), len(time)]
    yield from pairwise(edges)


def _episode(
    breach: Breach,
    rows: Int64[np.ndarray, " row"],
    columns: Int64[np.ndarray, " row"],
    item: int,
) -> Episode:
    excess = _excess(breach)[rows, columns]
    worst = int(np.argmax(excess))
    row, column = int(rows[worst]), int(columns[worst])
    evidence = _evidence(breach, row, column)
    if item < 0 and not breach.whole:
        evidence["item_count"] = float(np.count_nonzero(breach.broken[row]))
        evidence["worst_item"] = float(column)
    return Episode(
        first_unix_time_second=float(breach.time[rows[0]]),
        last_unix_time_second=float(breach.time[rows[-1]]),
        frame_count=len(rows),
        excess=float(excess[worst]),
        text=breach.text,
        evidence=evidence,
        unit=breach.unit,
    )


def _evidence(breach: Breach, row: int, column: int) -> dict[str, float]:
    """The numbers a person needs; what was not read is left out."""
    reading = breach.reading[row]
    near = np.concatenate(([np.nan], reading, [np.nan]))
    found = {
        "value": float(breach.value[row, column]),
        "limit": float(breach.limit[row, column]),
        "reading": float(reading[column]),
        "item_before": float(near[column]),
        "item_after": float(near[column + 2]),
        "median": float(middle(reading[None])[0]) if len(reading) > 1 else np.nan,
    }
    return {name: number for name, number in found.items() if np.isfinite(number)}

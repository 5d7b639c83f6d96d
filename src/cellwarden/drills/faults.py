"""Every row of the fault table, injected, swept down to the threshold that is missed.

Rules
- A magnitude beyond the row's limit must raise the row within its allowance; the time counts from
  a cycle before the first bad reading, because a fault may begin right after one.
- Where the row opens, the reaction is that the contacts are really apart, not that it was asked.
- A magnitude that is not beyond the limit must not raise it.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

from cellwarden.domain import Reaction
from cellwarden.drills import scene as scenes
from cellwarden.drills.injection import Injection, Window
from cellwarden.drills.injections import injections
from cellwarden.drills.scene import CONDITIONS, Condition, Scene

__all__ = ["Outcome", "drill", "play", "sweep"]

_FOREVER: Final = 1e9
_SLACK: Final = 1e-6
_MORE_CYCLES: Final = 6


@dataclass(frozen=True, slots=True)
class Outcome:
    """One injection at one level: what had to come of it and what came."""

    row: str
    condition: str
    place: str
    level: float
    unit: str
    limit: float | None
    beyond: bool
    detected: bool
    reaction_second: float
    allowance_second: float

    @property
    def margin(self) -> float:
        """How far the level lies from the limit; the level itself where it has none. [unit]"""
        return self.level if self.limit is None else abs(self.level - self.limit)

    @property
    def late(self) -> bool:
        """Whether the reaction came, but not in time."""
        return self.detected and self.reaction_second > self.allowance_second + _SLACK


def drill(
    conditions: tuple[Condition, ...] = CONDITIONS,
    only: tuple[str, ...] = (),
    worker_count: int = 2,
) -> list[Outcome]:
    """Every row in every condition that it fits, or those rows `only`; one process a condition."""
    work = partial(sweep, only=only)
    with ProcessPoolExecutor(worker_count) as pool:
        found = list(pool.map(work, sorted(conditions, key=lambda one: -one.rested_second)))
    return [outcome for outcomes in found for outcome in outcomes]


def sweep(condition: Condition, only: tuple[str, ...] = ()) -> list[Outcome]:
    """Every injection that fits a condition, at all of its levels."""
    scene = scenes.begin(condition)
    return [
        play(scene, injection, level, beyond=index < injection.beyond_count)
        for injection in injections(scene)
        if not only or injection.row in only
        for index, level in enumerate(injection.levels)
    ]


def play(scene: Scene, injection: Injection, level: float, *, beyond: bool) -> Outcome:
    """Spoil a copy of the scene, and watch for the row."""
    scene = scene.fork()
    period = scene.period_second
    row = next(one for one in scene.diagnostics.rows if one.name == injection.row)
    start = scene.second + (injection.lead_count + 1) * period
    lasts = level if injection.lasts else _FOREVER
    injection.apply(scene, level, Window(start, start + lasts))
    # A cycle that comes late can be told when it has come.
    start = scene.second + (injection.lead_count + 1) * period
    for _ in range(injection.lead_count):
        scene.cycle()
    budget = injection.wait_second + row.allowance_second
    opens = row.reaction is Reaction.OPEN
    reacted = float("inf")
    for _ in range(round(budget / period) + _MORE_CYCLES):
        reading, diagnosis = scene.cycle()
        found = next((one for one in diagnosis.troubles if one.name == row.name), None)
        if found is None:
            continue
        if not opens:
            reacted = reading.clock_second
            break
        if found.opens_second <= reading.clock_second:
            after, _ = scene.cycle()
            if not scene.bytes_pack.contactors_really_closed:
                reacted = after.clock_second
            break
    began = start - period + injection.wait_second
    return Outcome(
        row.name,
        scene.condition.name,
        injection.place,
        injection.arrives(level),
        injection.unit,
        injection.limit,
        beyond,
        reacted < float("inf"),
        max(reacted - began, 0.0),
        row.allowance_second,
    )

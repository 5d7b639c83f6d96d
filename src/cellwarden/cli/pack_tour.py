"""A pack of the twin on a tour: as a story, as a table that moves, or as JSON."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cellwarden.control.balance import Levelling
from cellwarden.control.charge import Asked
from cellwarden.control.charge_settings import Phase
from cellwarden.control.diagram import diagram, settings_table, transition_table
from cellwarden.domain import Contactors, Restraint
from cellwarden.edge.mishaps import mishap_named
from cellwarden.edge.tour import Glance, TourPack, tour

__all__ = ["Story", "Told", "board", "follow", "pack_command", "print_diagram", "summary", "tell"]

_EVENT_COUNT: Final = 7  # shown under the table, on a screen of 24 lines
_TROUBLE_COUNT: Final = 4
_LARGEST_PAUSE: Final = 0.2


@dataclass(slots=True)
class Told:
    """One scene of the story: what happened in it, and how it ended."""

    name: str
    told: str
    start_second: float
    events: list[tuple[float, str]] = field(default_factory=list)
    end: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Story:
    """The scenes so far; it notes what changes and nothing else."""

    scenes: list[Told] = field(default_factory=list)
    _troubles: frozenset[str] = frozenset()
    _waits: str = ""
    _levels: bool = False
    _phases: frozenset[Phase] = frozenset({Phase.IDLE})  # told in this scene

    def hear(self, glance: Glance) -> list[str]:
        """Take in one cycle; gives what is new, a line each."""
        begun = not self.scenes or self.scenes[-1].name != glance.scene.name
        lines = []
        if begun:
            if self.scenes:
                lines.append(_ending(self.scenes[-1].end))
            self._phases &= {Phase.IDLE}
            self.scenes.append(Told(glance.scene.name, glance.scene.told, glance.second))
            lines.append(f"{glance.scene.name}: {glance.scene.told}")
        scene = self.scenes[-1]
        fresh = list(self._fresh(glance))
        scene.events += [(round(glance.second, 1), text) for text in fresh]
        scene.end = summary(glance)
        return lines + [f"  {glance.second:7.1f} s  {text}" for text in fresh]

    def _fresh(self, glance: Glance) -> Iterator[str]:
        decision = glance.decision
        for move in decision.moves:
            yield f"{move.source} -> {move.target}: {move.reason}"
        troubles = {trouble.name: trouble for trouble in decision.diagnosis.troubles}
        for name in sorted(troubles.keys() - self._troubles):
            trouble = troubles[name]
            item = f" at {trouble.item}" if trouble.item >= 0 else ""
            yield (
                f"{trouble.reaction.name.lower()}: {name}{item},"
                f" {trouble.value:.4g} against {trouble.limit:.4g}"
            )
        for name in sorted(self._troubles - troubles.keys()):
            yield f"over: {name}"
        self._troubles = frozenset(troubles)
        waits = decision.waits_for.partition(", in ")[0]
        if waits and waits != self._waits:
            yield f"waits for {waits}"
        self._waits = waits
        levelling = decision.levelling
        levels = levelling is not None and not levelling.reason and bool(levelling.hours)
        if levelling is not None and levels and not self._levels:
            yield _levelled(levelling)
        self._levels = levels
        asked = decision.asked
        if asked is not None and asked.phase not in self._phases:
            yield _charging(asked)
            self._phases |= {asked.phase}


def _levelled(levelling: Levelling) -> str:
    """How many cells give charge away, for how long, and what it costs."""
    count, band = int((levelling.debt_ah > 0.0).sum()), levelling.hours_band
    between = "" if band is None else f" ({band.low:.1f} to {band.high:.1f})"
    return (
        f"levels {count} cells: {levelling.hours:.1f} h{between} to go,"
        f" {levelling.cost_wh:.1f} Wh to lose"
    )


def _charging(asked: Asked) -> str:
    """What the charger is asked for, why not more, and how long it will take."""
    told = f"charge: {asked.phase}"
    if asked.reason:
        return f"{told}, {asked.reason}"
    if asked.current_ampere <= 0.0:
        return told
    by = f", held by {asked.by[0].name}" if asked.by else ""
    left = f", {asked.hours:.1f} h to go" if np.isfinite(asked.hours) else ""
    return f"{told}, {asked.current_ampere:.1f} A at {asked.voltage_volt:.1f} V{by}{left}"


def summary(glance: Glance) -> dict[str, Any]:
    """The pack at one moment, for a program."""
    frame, decision = glance.reading.frame, glance.decision
    cells, charge = frame.cell_voltage_volt, glance.charge
    command = decision.command
    return {
        "second": round(glance.second, 1),
        "mode": decision.mode.value,
        "contactors": _switches(command.contactors),
        "voltage_volt": _rounded(frame.voltage_volt, 1),
        "link_voltage_volt": _rounded(glance.reading.inputs.link_voltage_volt, 1),
        "current_ampere": _rounded(frame.current_ampere, 1),
        "low_cell_volt": _rounded(_least(cells), 2),
        "high_cell_volt": _rounded(_most(cells), 2),
        "hottest_celsius": _rounded(_most(frame.cell_temperature_celsius), 0),
        "soc_fraction": None if charge is None else _rounded(float(charge.soc_fraction.mean()), 2),
        "charge_limit_ampere": _rounded(command.high_charge_current_ampere, 1),
        "discharge_limit_ampere": _rounded(command.high_discharge_current_ampere, 1),
        "charge_held_by": _held(decision.allowance.charge_by),
        "discharge_held_by": _held(decision.allowance.discharge_by),
        "asked_of_charger": [
            _rounded(command.charge_voltage_volt, 1),
            _rounded(command.charge_current_ampere, 1),
        ],
        "bleeding_count": sum(command.balance),
        "troubles": [trouble.name for trouble in decision.diagnosis.troubles],
        "first": None if decision.diagnosis.first is None else decision.diagnosis.first.name,
        "waits_for": decision.waits_for,
    }


def _least(values: np.ndarray) -> float:
    return float(np.fmin.reduce(values)) if len(values) else float("nan")


def _most(values: np.ndarray) -> float:
    return float(np.fmax.reduce(values)) if len(values) else float("nan")


def _rounded(value: float, digits: int) -> float | None:
    """A number for a program; None where there is no reading."""
    return round(float(value), digits) + 0.0 if np.isfinite(value) else None


def _switches(contactors: Contactors) -> str:
    """Which are driven, as `plus minus`; `open` where none is."""
    driven = (
        ("plus", contactors.plus_closed),
        ("minus", contactors.minus_closed),
        ("precharge", contactors.precharge_closed),
    )
    return " ".join(name for name, closed in driven if closed) or "open"


def _held(rules: tuple[Restraint, ...]) -> str:
    return rules[0].name if rules else ""


def _ending(end: dict[str, Any]) -> str:
    """How a scene ended, in one line."""

    def text(name: str, unit: str) -> str:
        return "no reading" if end[name] is None else f"{end[name]:g} {unit}"

    soc = "" if end["soc_fraction"] is None else f", {100 * end['soc_fraction']:.0f} %"
    parts = [
        f"{end['mode']} ({end['contactors']})",
        f"{text('voltage_volt', 'V')}, {text('current_ampere', 'A')}{soc}",
        f"may charge {text('charge_limit_ampere', 'A')} ({end['charge_held_by']})",
        f"discharge {text('discharge_limit_ampere', 'A')} ({end['discharge_held_by']})",
    ]
    return f"  = {'; '.join(parts)}\n"


def tell(glances: Iterable[Glance]) -> Iterator[str]:
    """The story line by line."""
    story = Story()
    for glance in glances:
        yield from story.hear(glance)
    if story.scenes:
        yield _ending(story.scenes[-1].end)


def board(glance: Glance, events: Iterable[str] = ()) -> Group:
    """The pack as a table, and what happened last under it."""
    now, decision = summary(glance), glance.decision
    grid = Table(title=f"{glance.scene.name}: {glance.scene.told}", title_justify="left")
    for title, width in (("", 13), ("now", 26), ("why", 28)):
        grid.add_column(title, width=width, overflow="fold")
    asked = glance.scene.request
    grid.add_row("mode", now["mode"], f"asked for {asked}" if asked else "nobody asks")
    grid.add_row("contactors", now["contactors"], now["waits_for"] and f"waits: {now['waits_for']}")
    grid.add_row("pack", f"{now['voltage_volt']} V, {now['current_ampere']} A", "")
    grid.add_row("link", f"{now['link_voltage_volt']} V", "")
    grid.add_row("cells", f"{now['low_cell_volt']} to {now['high_cell_volt']} V", "")
    grid.add_row("hottest", f"{now['hottest_celsius']} °C", _cooling(glance))
    grid.add_row("charge", _charged(glance), f"{now['bleeding_count']} cells bleed")
    for way in ("charge", "discharge"):
        grid.add_row(f"may {way}", f"{now[f'{way}_limit_ampere']} A", now[f"{way}_held_by"])
    volt, ampere = now["asked_of_charger"]
    grid.add_row("charger", f"{volt} V, {ampere} A", "charging" if decision.charging else "")
    names, first = now["troubles"], f"first was {now['first']}" if now["first"] else ""
    more = f" and {len(names) - _TROUBLE_COUNT} more" if len(names) > _TROUBLE_COUNT else ""
    grid.add_row("troubles", ", ".join(names[:_TROUBLE_COUNT]) + more or "none", first)
    lines = [line.rstrip() for line in events if line.strip()][-_EVENT_COUNT:]
    return Group(grid, *(Text(line, overflow="ellipsis", no_wrap=True) for line in lines))


def _cooling(glance: Glance) -> str:
    part = glance.decision.command.cooling_fraction
    return f"cooling {100 * part:.0f} %" if part > 0.0 else ""


def _charged(glance: Glance) -> str:
    charge = glance.charge
    if charge is None:
        return "not known"
    mean, std = float(charge.soc_fraction.mean()), float(charge.soc_std_fraction.max())
    return f"{100 * mean:.1f} ± {200 * std:.1f} %"


def follow(glances: Iterable[Glance], console: Console, speed: float) -> None:
    """Show the board while time passes `speed` times as fast as in the pack; 0 does not wait."""
    story, lines = Story(), list[str]()
    began = time.monotonic()
    with Live(console=console, refresh_per_second=8, transient=False) as live:
        for glance in glances:
            lines += story.hear(glance)
            live.update(board(glance, lines))
            if speed > 0.0:
                ahead = glance.second / speed - (time.monotonic() - began)
                time.sleep(min(max(ahead, 0.0), _LARGEST_PAUSE))


def print_diagram() -> None:
    """The state machine as a diagram, as its table, and its settings."""
    parts = (f"```mermaid\n{diagram()}```\n", transition_table(), settings_table())
    print("\n".join(parts), end="")  # noqa: T201  the output


def pack_command(
    fault: str | None, *, whole: bool = True, cells: int, seed: int, speed: float, as_json: bool
) -> None:
    """Take a pack on the tour.

    Raises:
        UsageError: no such mishap, or a pack that cannot be.
    """
    mishap = None if fault is None else mishap_named(fault)
    glances = tour(TourPack(series_count=cells, seed=seed), mishap, whole=whole)
    if as_json:
        _print_json(glances, fault)
    elif sys.stdout.isatty():
        follow(glances, Console(), speed)
    else:
        for line in tell(glances):
            print(line)  # noqa: T201  the output


def _print_json(glances: Iterable[Glance], fault: str | None) -> None:
    story = Story()
    for glance in glances:
        story.hear(glance)
    rows = [
        {
            "scene": scene.name,
            "told": scene.told,
            "start_second": round(scene.start_second, 1),
            "events": [{"second": second, "text": text} for second, text in scene.events],
            "end": scene.end,
        }
        for scene in story.scenes
    ]
    print(json.dumps({"fault": fault, "rows": rows}))  # noqa: T201  one object for a program

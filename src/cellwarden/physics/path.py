"""The power path of a pack: two contactors, precharge, fuse and the link capacitor behind them.

Rules
- Plus and minus in series carry the load; precharge and its resistor lie beside plus.
- A contact follows its coil after a delay, unless it is welded or stuck; the auxiliary contact is
  part of the same mechanism and shows where the contact really is.
- The fuse warms up with the square of the current and cools with one time constant. It melts where
  the current stays above 1.6 times its rating (IEC 60269-1, conventional fusing current).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from cellwarden.domain import Board, Contactors

__all__ = ["NAMES", "Contact", "Damage", "Drive", "Path", "PathConfig", "follow", "step"]

NAMES: Final = ("plus", "minus", "precharge")
_FUSING: Final = 1.6
_NEVER: Final = float("inf")
_ROUNDING_SECOND: Final = 1e-12


@dataclass(frozen=True, slots=True)
class PathConfig:
    """Typical of 400 A relays with economiser, of a fuse of that size and of an inverter's link.

    `weld_ampere` is what a contact makes or breaks once and then sticks; `loop_ohm` is cables and
    cells together, as a closing contact sees them.
    """

    close_second: float = 0.025
    open_second: float = 0.015
    loop_ohm: float = 0.02
    weld_ampere: float = 1500.0
    fuse_lag_second: float = 20.0
    bleed_ohm: float = 10_000.0


@dataclass(frozen=True, slots=True)
class Damage:
    """What is broken, by hand: names are of `NAMES`, cells, sensors and chips count from 0."""

    welded: frozenset[str] = frozenset()
    stuck_open: frozenset[str] = frozenset()
    false_feedback: frozenset[str] = frozenset()
    precharge_ohm: float = 0.0  # zero: as the board says
    link_load_ampere: float = 0.0  # drawn from the link while it precharges
    insulation_ohm: float = _NEVER
    interlock_open: bool = False
    gas_per_second: float = 0.0
    pump_stopped: bool = False
    second_current_ampere: float = 0.0  # added to what the second sensor reads
    bleeding: frozenset[int] = frozenset()
    lost_sensors: frozenset[int] = frozenset()
    open_wires: frozenset[tuple[int, int]] = frozenset()  # chip, wire
    reference_error_fraction: tuple[tuple[int, float], ...] = ()  # chip, error
    board_reference_error_fraction: float = 0.0


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact: what its coil gets, where it is, when it moves, whether it still can."""

    driven: bool = False
    closed: bool = False
    left_second: float = _NEVER
    welded: bool = False


@dataclass(frozen=True, slots=True)
class Path:
    """Where the contacts are, what the link holds, how warm the fuse is."""

    plus: Contact = field(default_factory=Contact)
    minus: Contact = field(default_factory=Contact)
    precharge: Contact = field(default_factory=Contact)
    link_volt: float = 0.0
    fuse_heat: float = 0.0  # 1 melts
    fuse_intact: bool = True

    @property
    def contacts(self) -> tuple[Contact, Contact, Contact]:
        """In the order of `NAMES`."""
        return self.plus, self.minus, self.precharge

    @property
    def main_closed(self) -> bool:
        """Whether the whole current may flow."""
        return self.fuse_intact and self.minus.closed and self.plus.closed


@dataclass(frozen=True, slots=True)
class Drive:
    """What meets the path in a period: its coils, the pack's voltage, the current wanted."""

    asked: Contactors
    pack_volt: float
    wanted_ampere: float
    period_second: float


def follow(path: Path, pack_volt: float) -> Path:
    """The link behind closed contactors has the pack's voltage."""
    return replace(path, link_volt=pack_volt) if path.main_closed else path


def step(
    config: PathConfig, board: Board, path: Path, drive: Drive, damage: Damage
) -> tuple[Path, float]:
    """The path after a period, and the mean current through the pack. [A]"""
    path = _broken(_asked(config, path, drive.asked), damage)
    left, charge, last = drive.period_second, 0.0, 0.0
    while left > 0.0:
        stretch = min(left, *(contact.left_second for contact in path.contacts))
        piece = replace(drive, period_second=stretch)
        path, moved = _flow(config, board, path, piece, damage)
        last = moved / stretch if stretch > 0.0 else last
        path, inrush = _move(config, board, path, piece, last)
        charge += moved + inrush
        left -= stretch
    return path, charge / drive.period_second


def _asked(config: PathConfig, path: Path, asked: Contactors) -> Path:
    wanted = (asked.plus_closed, asked.minus_closed, asked.precharge_closed)
    if all(want == contact.driven for want, contact in zip(wanted, path.contacts, strict=True)):
        return path
    moved = (
        contact
        if want == contact.driven
        else replace(
            contact,
            driven=want,
            left_second=config.close_second if want else config.open_second,
        )
        for want, contact in zip(wanted, path.contacts, strict=True)
    )
    return _with(path, moved)


def _with(path: Path, contacts: Iterator[Contact]) -> Path:
    plus, minus, precharge = contacts
    return replace(path, plus=plus, minus=minus, precharge=precharge)


def _broken(path: Path, damage: Damage) -> Path:
    if not (damage.welded or damage.stuck_open):
        return path

    def spoil(name: str, contact: Contact) -> Contact:
        if name in damage.welded:
            return replace(contact, closed=True, welded=True)
        if name in damage.stuck_open:
            return replace(contact, closed=False, left_second=_NEVER)
        return contact

    return _with(path, (spoil(n, c) for n, c in zip(NAMES, path.contacts, strict=True)))


def _flow(
    config: PathConfig, board: Board, path: Path, drive: Drive, damage: Damage
) -> tuple[Path, float]:
    """A stretch without a movement, and the charge that went into the pack. [A s]"""
    second = drive.period_second
    if path.main_closed:
        return _warm(config, board, path, drive.wanted_ampere, second)
    if path.fuse_intact and path.minus.closed and path.precharge.closed:
        ohm = damage.precharge_ohm or board.precharge_ohm
        goal = drive.pack_volt - damage.link_load_ampere * ohm
        after = goal + (path.link_volt - goal) * math.exp(-second / (ohm * board.link_farad))
        moved = board.link_farad * (after - path.link_volt) + damage.link_load_ampere * second
        return replace(path, link_volt=max(after, 0.0)), -moved
    if path.link_volt == 0.0:
        return path, 0.0
    kept = math.exp(-second / (config.bleed_ohm * board.link_farad))
    return replace(path, link_volt=path.link_volt * kept), 0.0


def _warm(
    config: PathConfig, board: Board, path: Path, ampere: float, second: float
) -> tuple[Path, float]:
    goal = (ampere / (_FUSING * board.fuse_ampere)) ** 2
    heat = goal + (path.fuse_heat - goal) * math.exp(-second / config.fuse_lag_second)
    if heat < 1.0:
        return replace(path, fuse_heat=heat), ampere * second
    melted = config.fuse_lag_second * math.log((goal - path.fuse_heat) / (goal - 1.0))
    return replace(path, fuse_heat=heat, fuse_intact=False), ampere * min(melted, second)


def _move(
    config: PathConfig, board: Board, path: Path, drive: Drive, ampere: float
) -> tuple[Path, float]:
    """Contacts whose time has come move; gives the charge that closing takes at once. [A s]"""
    if all(contact.left_second == _NEVER for contact in path.contacts):
        return path, 0.0
    was_closed = path.main_closed
    second = drive.period_second
    path = _with(path, (_switch(config, contact, second, ampere) for contact in path.contacts))
    if was_closed or not path.main_closed:
        return path, 0.0
    gap = drive.pack_volt - path.link_volt
    path = replace(path, link_volt=drive.pack_volt)
    if abs(gap) / config.loop_ohm > config.weld_ampere:
        path = replace(path, plus=replace(path.plus, welded=True))
    return path, -board.link_farad * gap


def _switch(config: PathConfig, contact: Contact, second: float, ampere: float) -> Contact:
    left = contact.left_second - second
    if left > _ROUNDING_SECOND:
        return replace(contact, left_second=left)
    if contact.driven or contact.welded:
        closed, welded = contact.driven or contact.closed, contact.welded
    else:
        welded = contact.closed and abs(ampere) > config.weld_ampere
        closed = welded
    return Contact(contact.driven, closed, _NEVER, welded)

"""A pack of the twin on a tour: it wakes, drives, balances, charges, fails and is brought back.

The pack is emulated down to the bytes of its monitor chain and its board; driver, estimate and
control are those of a real one. Time is the pack's own: a tour of minutes takes seconds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cellwarden.control import Mode
from cellwarden.control.charge_settings import Phase
from cellwarden.control.decision import Decision
from cellwarden.control.step import Believed, begin, control_of, step
from cellwarden.domain import Board, Charge, Reading, Request
from cellwarden.edge.drivers.emulated import EmulatedPack, emulate
from cellwarden.edge.mishaps import Mishap
from cellwarden.health import charge as charges
from cellwarden.physics import TwinConfig
from cellwarden.physics.hardware import Hardware, Outside

__all__ = ["Glance", "Rig", "Scene", "TourPack", "scenes", "tour", "visit"]

_PERIOD: Final = 0.1
_CHARGE_EVERY: Final = 10  # cycles between two estimates
_TARGET: Final = 0.95  # of charge, of the fullest cell: the driver charges gently
_REMEMBERED_STD: Final = 0.01
_DRIVE: Final = ((5.0, -2.0), (13.0, -0.7), (16.0, 0.5), (20.0, 0.0))  # until [s], rate [1/h]


@dataclass(frozen=True, slots=True)
class TourPack:
    """The pack that goes on a tour."""

    series_count: int = 16
    chemistry: str = "NMC"
    nominal_capacity_ah: float = 5.0
    soc_fraction: float = 0.88
    soc_spread_fraction: float = 0.02
    seed: int = 7


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """One cycle as an onlooker sees it."""

    scene: "Scene"
    second: float
    reading: Reading
    charge: Charge | None
    decision: Decision


@dataclass(frozen=True, slots=True)
class Scene:
    """A stretch of the tour: what is asked, what is connected, and when it is over."""

    name: str
    told: str
    request: Request | None
    longest_second: float
    outside: Callable[[float], Outside] = lambda _second: Outside()
    over: Callable[[Glance], bool] = lambda _glance: False
    prepare: Callable[[EmulatedPack], None] = lambda _pack: None


class Rig:
    """The emulated pack with its driver, its estimate and its control."""

    def __init__(self, pack: TourPack) -> None:
        board = Board(has_gas_sensor=True, has_authentication=False, period_second=_PERIOD)
        twin = TwinConfig(
            "tour",
            pack.chemistry,
            pack.series_count,
            pack.nominal_capacity_ah,
            period_second=_PERIOD,
            seed=pack.seed,
            soc_fraction=pack.soc_fraction,
            soc_spread_fraction=pack.soc_spread_fraction,
        )
        self.emulated = EmulatedPack(Hardware(twin, board))
        self._pack = twin.pack()
        self._driver = emulate(self.emulated)
        control = control_of(self._pack, board)
        charging = replace(control.charging, target_fraction=_TARGET)
        self._control = replace(control, charging=charging)
        self._state = begin(self._control, len(self._driver.sensor_cells))
        # A pack that has run before remembers its charge; this one is given what it truly is.
        known = np.clip(self.emulated.truth().soc_fraction, 0.0, 1.0)
        self._charging = charges.init(self._pack, known, soc_std_fraction=_REMEMBERED_STD)
        self._charge: Charge | None = None
        self._cycle_count = 0

    def cycle(self, scene: Scene, outside: Outside) -> Glance:
        """Read, estimate, decide, write."""
        self.emulated.outside = outside
        reading = self._driver.read()
        reading = replace(reading, inputs=replace(reading.inputs, request=scene.request))
        if self._cycle_count % _CHARGE_EVERY == 0:
            self._charging, self._charge = charges.step(self._charging, reading.frame, self._pack)
        self._cycle_count += 1
        believed = Believed(self._charge)
        self._state, decision = step(self._control, self._state, reading, believed)
        self._driver.write(decision.command)
        return Glance(scene, reading.clock_second, reading, self._charge, decision)


def tour(pack: TourPack, mishap: Mishap | None, *, whole: bool = True) -> Iterator[Glance]:
    """Cycle by cycle through all scenes; without a mishap the tour ends in standby."""
    yield from visit(Rig(pack), scenes(pack, mishap, whole=whole))


def visit(rig: Rig, listed: tuple[Scene, ...]) -> Iterator[Glance]:
    """Cycle by cycle through some scenes, with a pack that goes on from where it is."""
    for scene in listed:
        scene.prepare(rig.emulated)
        for count in range(round(scene.longest_second / _PERIOD)):
            glance = rig.cycle(scene, scene.outside(count * _PERIOD))
            yield glance
            if scene.over(glance):
                break


def scenes(pack: TourPack, mishap: Mishap | None, *, whole: bool = True) -> tuple[Scene, ...]:
    """What happens on the tour, in order; without the `whole`, the mishap follows upon waking."""
    ampere = pack.nominal_capacity_ah

    def drive(second: float) -> Outside:
        return Outside(demand_ampere=ampere * _rate(second))

    wake = Scene("wake", "the electronics get power", Request.STANDBY, 3.0)
    day = (
        Scene("start", "the driver asks for the pack", Request.CONNECT, 20.0, over=_settled),
        Scene("drive", "accelerating, cruising, braking", Request.CONNECT, 60.0, drive),
        Scene("park", "the driver leaves", Request.STANDBY, 20.0, over=_in(Mode.STANDBY)),
        Scene("balance", "cells are levelled while it stands", Request.BALANCE, 60.0),
        Scene("plug in", "a charger is there", Request.CHARGE, 20.0, _charger, _settled),
        Scene(
            "charge", "until the fullest cell is at 95 %", Request.CHARGE, 1800.0, _charger, _full
        ),
        Scene("unplug", "the charger leaves", Request.STANDBY, 20.0, over=_in(Mode.STANDBY)),
    )
    failing = () if mishap is None else _failing(mishap, drive, ampere)
    return (wake, *(day if whole else ()), *failing)


def _failing(mishap: Mishap, drive: Callable[[float], Outside], ampere: float) -> tuple[Scene, ...]:
    """The scenes in which something breaks, and how the pack is brought back."""
    start = Scene("start again", "driving", Request.CONNECT, 20.0, drive, _settled)
    way = Scene("on the way", "driving", Request.CONNECT, 20.0, drive)

    def broken(second: float) -> Outside:
        outside = replace(drive(second), damage=mishap.damage)
        if mishap.overload_rate is None:
            return outside
        return replace(outside, demand_ampere=-ampere * mishap.overload_rate, obeys=False)

    still = Outside(damage=mishap.damage)
    fail = Scene("fail", mishap.told, mishap.asked, 60.0, broken, _at_rest, mishap.strike)
    stop = Scene("stop", mishap.told, Request.STANDBY, 20.0, lambda _: still, _in(Mode.STANDBY))
    again = Scene("try", mishap.told, Request.CONNECT, 60.0, lambda _: still, _in(Mode.ERROR))
    mended = Scene("reset", "mended; an operator resets", Request.RESET, 90.0, over=_cleared)
    stuck = Scene("reset", "an operator resets what is not mended", Request.RESET, 5.0)
    reset = replace(mended if mishap.mended else stuck, prepare=_mend)
    back = Scene("back", "asked for standby", Request.STANDBY, 10.0, over=_in(Mode.STANDBY))
    middle = (stop, again) if mishap.reconnects else (fail,)
    return (start, way, *middle, reset, back)


def _rate(second: float) -> float:
    """What the drive asks for: current over capacity, braking above zero."""
    phase = second % _DRIVE[-1][0]
    return next(rate for until, rate in _DRIVE if phase < until)


def _charger(_second: float) -> Outside:
    return Outside(charger_connected=True)


def _in(*modes: Mode) -> Callable[[Glance], bool]:
    return lambda glance: glance.decision.mode in modes


def _settled(glance: Glance) -> bool:
    """Connected, with limits that are up."""
    allowed, modes = glance.decision.allowance, glance.decision.mode
    return modes is Mode.CONNECTED and not any(
        rule.name == "recovery" for rule in allowed.discharge_by
    )


def _at_rest(glance: Glance) -> bool:
    return glance.decision.mode in {Mode.ERROR, Mode.STANDBY}


def _cleared(glance: Glance) -> bool:
    """Nothing is left that a reset has to clear."""
    decision = glance.decision
    latched = any(trouble.latched for trouble in decision.diagnosis.troubles)
    released = decision.mode is Mode.STANDBY or decision.waits_for == "a request for standby"
    return released and not latched


def _full(glance: Glance) -> bool:
    """Charging is over."""
    asked = glance.decision.asked
    return asked is not None and asked.phase in {Phase.DONE, Phase.REFUSED}


def _mend(pack: EmulatedPack) -> None:
    pack.wire.clear()
    pack.codes.clear()
    pack.cut_links.clear()

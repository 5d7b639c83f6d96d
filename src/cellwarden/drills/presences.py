"""Faults that are there or not: an injection lasts so long. [s]"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from cellwarden.control.fault_table import FaultRow
from cellwarden.control.signals import Signal
from cellwarden.drills.injection import (
    CELL,
    SENSOR,
    Apply,
    Injection,
    Window,
    lasting,
    put,
    put_input,
    spoil,
    waiting,
)
from cellwarden.drills.scene import Scene
from cellwarden.edge.drivers import register
from cellwarden.edge.drivers.disturb import Drop, Flip, Hold, When
from cellwarden.edge.drivers.emulated import Codes
from cellwarden.physics.hardware import Outside
from cellwarden.physics.path import Damage

__all__ = ["presences"]

_S: Final = Signal
_FULL: Final = 2**31 - 1  # of a board's signed field: no reading
_OPEN_SENSOR: Final = 65_535
_CHIP_BITS: Final = 8 * register.FRAME_BYTES
_Maker = Callable[[FaultRow, Scene], Injection]


def presences(row: FaultRow, scene: Scene) -> list[Injection]:
    """Injections of a row that asks whether something is there."""
    makers: dict[Signal, _Maker] = {
        _S.OPEN_WIRE: _open_wire,
        _S.CHAIN: _chain,
        _S.CYCLE: _late,
        _S.MEMORY: _device("memory_intact"),
        _S.AUTHENTICATION: _device("authenticated"),
        _S.MASTER: _master,
        _S.PRECHARGE: _precharge,
        _S.WELD: _weld,
        _S.VOLTAGE_AGE: _silent,
        _S.CURRENT_AGE: _silent,
    }
    if row.signal in makers:
        return [makers[row.signal](row, scene)]
    return [*_switched(row, scene), *_held(row, scene), *_flipped(row, scene)]


def _switched(row: FaultRow, scene: Scene) -> list[Injection]:
    """Bits of the board's state, and readings that are marked as none."""
    bits = {
        _S.PLUS_FEEDBACK: 0,
        _S.MINUS_FEEDBACK: 1,
        _S.PRECHARGE_FEEDBACK: 2,
        _S.INTERLOCK: 3,
        _S.FUSE: 4,
    }
    lost = {
        _S.STRING_MISSING: put("voltage_volt", ..., lambda _: _FULL),
        _S.CURRENT_MISSING: put("current_ampere", ..., lambda _: _FULL),
        _S.TEMPERATURE_MISSING: put("sensor", SENSOR, lambda _: _OPEN_SENSOR),
        _S.TEMPERATURES_LEFT: put("sensor", ..., lambda _: _OPEN_SENSOR),
    }
    lost |= {signal: _flip_state(bit) for signal, bit in bits.items()}
    if row.signal not in lost:
        return []
    return [lasting(row, "codes", lost[row.signal], scene.period_second)]


def _weld(row: FaultRow, scene: Scene) -> Injection:
    return lasting(row, "codes", _flip_state(0), scene.period_second, fits=waiting)


def _held(row: FaultRow, scene: Scene) -> list[Injection]:
    held: dict[Signal, tuple[str, tuple[int, ...]]] = {
        _S.CELL_FROZEN: ("cell", CELL),
        _S.STRING_FROZEN: ("voltage_volt", ()),
        _S.CURRENT_FROZEN: ("current_ampere", ()),
        _S.TEMPERATURE_FROZEN: ("sensor", SENSOR),
    }
    if row.signal not in held:
        return []
    apply, period = _hold(*held[row.signal]), scene.period_second
    made = lasting(row, "codes", apply, period, wait_second=row.limit, slack_count=2, fits=_flowing)
    return [made]


def _flipped(row: FaultRow, scene: Scene) -> list[Injection]:
    """A bit of a frame on the wire: of one group, of one chip, of the board."""
    wires: dict[Signal, tuple[str, int, int | None, float]] = {
        _S.CELL_MISSING: ("chain", 5, register.CELL_GROUPS[1], 0.0),
        _S.FRAME_ERRORS: ("chain", _CHIP_BITS + 9, register.STATUS, 0.0),
        _S.MONITOR_AGE: ("chain", _CHIP_BITS + 17, None, row.limit),
        _S.BUS_ERRORS: ("board", 20, None, 0.0),
    }
    if row.signal not in wires:
        return []
    wire, bit, command, wait = wires[row.signal]
    apply, slack = _flip(wire, bit, command), 1 if wait else 0
    period = scene.period_second
    return [lasting(row, "wire", apply, period, wait_second=wait, slack_count=slack)]


def _silent(row: FaultRow, scene: Scene) -> Injection:
    period = scene.period_second
    return lasting(row, "wire", _silence, period, wait_second=row.limit, slack_count=1)


def _flowing(scene: Scene) -> bool:
    return scene.condition.rate != 0.0


def _flip_state(bit: int) -> Apply:
    def apply(scene: Scene, _level: float, window: Window) -> None:
        def change(codes: Codes) -> None:
            codes["state"] ^= 1 << bit

        spoil(scene, window, change)

    return apply


def _hold(name: str, item: tuple[int, ...]) -> Apply:
    """A converter stands still, and the current goes on by half as it was."""

    def apply(scene: Scene, _level: float, window: Window) -> None:
        half = 0.5 * scene.bytes_pack.outside.demand_ampere

        def slow(_codes: Codes) -> None:
            scene.bytes_pack.outside = Outside(half)

        spoil(scene, window, slow)
        when = When(window.start_second - 1e-6, window.stop_second - 1e-6)
        scene.bytes_pack.codes.append(Hold(name, item, when))

    return apply


def _flip(wire: str, bit: int, code: int | None) -> Apply:
    def apply(scene: Scene, _level: float, window: Window) -> None:
        when = When(window.start_second - 1e-6, window.stop_second - 1e-6)
        scene.bytes_pack.wire.append(Flip(wire, (bit,), when, code))

    return apply


def _silence(scene: Scene, _level: float, window: Window) -> None:
    when = When(window.start_second - 1e-6, window.stop_second - 1e-6)
    scene.bytes_pack.wire.append(Drop("board", when))


def _open_wire(row: FaultRow, _scene: Scene) -> Injection:
    def apply(scene: Scene, _level: float, _window: Window) -> None:
        damaged = Damage(open_wires=frozenset({(0, 4)}))
        scene.bytes_pack.outside = replace(scene.bytes_pack.outside, damage=damaged)

    return Injection(row.name, "pack", "1", (1.0,), 1, apply)


def _chain(row: FaultRow, scene: Scene) -> Injection:
    def apply(scene: Scene, _level: float, window: Window) -> None:
        pack = scene.bytes_pack

        def act(_codes: Codes, second: float) -> None:
            pack.cut_links = {1} if window.holds(second) else set()

        pack.codes.append(act)

    return lasting(row, "wire", apply, scene.period_second)


def _late(row: FaultRow, scene: Scene) -> Injection:
    period = scene.period_second

    def apply(scene: Scene, level: float, _window: Window) -> None:
        for _ in range(round(level / period) - 1):
            scene.bytes_pack.tick()

    levels = tuple(count * period for count in (30, 10, 7, 6, 4))
    return Injection(row.name, "pack", "s", levels, 4, apply)


def _device(name: str) -> _Maker:
    def make(row: FaultRow, scene: Scene) -> Injection:
        return lasting(row, "value", put_input(name, lambda *_: False), scene.period_second)

    return make


def _master(row: FaultRow, scene: Scene) -> Injection:
    period = scene.period_second
    apply = put_input("request_age_second", lambda _, since: since + period)
    return lasting(row, "value", apply, period, wait_second=row.limit, slack_count=1)


def _precharge(row: FaultRow, _scene: Scene) -> Injection:
    def apply(scene: Scene, _level: float, _window: Window) -> None:
        scene.precharge_failed = True

    return Injection(row.name, "value", "1", (1.0,), 1, apply)

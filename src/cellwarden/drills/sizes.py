"""Faults that have a size: readings moved up to a limit, beyond it and not quite there."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from cellwarden.control.fault_table import FaultRow
from cellwarden.control.runaway import DROP_VOLT
from cellwarden.control.signals import CELL_RANGE_VOLT, SENSOR_RANGE_CELSIUS, Signal
from cellwarden.domain import Reading
from cellwarden.drills.injection import (
    CELL,
    SENSOR,
    Apply,
    Injection,
    Window,
    alter,
    field_unit,
    numbered,
    put,
    put_input,
    sensor_code,
    shown_celsius,
    spoil,
    waiting,
)
from cellwarden.drills.scene import Scene
from cellwarden.edge.drivers.adc import CELL as CELL_SCALE
from cellwarden.edge.drivers.emulated import Codes

__all__ = ["sizes"]

_S: Final = Signal
_VOLT: Final = CELL_SCALE.unit_per_code
_STEADY_VOLT: Final = 3.7
_LOW_IN_FLAT_VOLT: Final = 3.42  # above 15 % charge of NMC, the chemistry that rests
_RESTED: Final = 300.0
Fits = Callable[[Scene], bool]


def sizes(row: FaultRow, scene: Scene) -> list[Injection]:
    """Injections of a row that reads a number."""
    makers: dict[Signal, Callable[[FaultRow, Scene], Injection]] = {
        _S.VOLTAGE_SPREAD: _spread_volt,
        _S.TEMPERATURE_SPREAD: _spread_celsius,
        _S.SECOND_MONITOR: _second_monitor,
        _S.CELL_SUM: _cell_sum,
        _S.REFERENCE: _reference,
        _S.SECOND_CURRENT: _second_current,
        _S.MODEL: _model,
        _S.OPEN_CURRENT: _open_current,
        _S.TEMPERATURE_JUMP: _jump,
        _S.INSULATION: _insulation,
        _S.RUNAWAY: _runaway,
        _S.CLOCK_ERROR: _clock_error,
        _S.CLOCK_BACKWARDS: _clock_back,
    }
    if row.signal in makers:
        return [makers[row.signal](row, scene)]
    return _levels(row, scene)


def _volts(level: float) -> float:
    return round(level / _VOLT) * _VOLT


def _code(level: float) -> int:
    return round(level / _VOLT)


def _board(name: str, factor: float = 1.0) -> tuple[Apply, Callable[[float], float]]:
    """Set a field of the board, and what arrives of it."""
    unit = field_unit(name)
    apply = put(name, ..., lambda level: round(factor * level / unit))
    return apply, lambda level: factor * (round(factor * level / unit) * unit)


def _discharging(scene: Scene) -> bool:
    return scene.condition.rate <= 0.0 and not scene.condition.standby


def _charging(scene: Scene) -> bool:
    return scene.condition.rate > 0.0


def _resting(scene: Scene) -> bool:
    return scene.condition.rested_second > _RESTED


def _levels(row: FaultRow, scene: Scene) -> list[Injection]:
    """Rows that read one number of one sensor."""
    signal = row.signal
    if signal in {_S.HIGH_CELL_VOLTAGE, _S.LOW_CELL_VOLTAGE}:
        return [
            numbered(row, "codes", put("cell", CELL, _code), _volts, _VOLT, reach=CELL_RANGE_VOLT)
        ]
    if signal in {_S.STRING_VOLTAGE, _S.CHARGE_CURRENT, _S.DISCHARGE_CURRENT, _S.GAS}:
        name, factor = {
            _S.STRING_VOLTAGE: ("voltage_volt", 1.0),
            _S.CHARGE_CURRENT: ("current_ampere", 1.0),
            _S.DISCHARGE_CURRENT: ("current_ampere", -1.0),
            _S.GAS: ("gas_fraction", 1.0),
        }[signal]
        return [numbered(row, "codes", *_board(name, factor), field_unit(name))]
    if signal is _S.CURRENT_IMPOSSIBLE:
        return [numbered(row, "codes", *_board("current_ampere"), field_unit("current_ampere"))]
    temperatures = {
        _S.HIGH_CHARGE_TEMPERATURE: _charging,
        _S.LOW_CHARGE_TEMPERATURE: _charging,
        _S.HIGH_DISCHARGE_TEMPERATURE: _discharging,
        _S.LOW_DISCHARGE_TEMPERATURE: _discharging,
    }
    if signal in temperatures or signal is _S.COOLANT:
        name, item = ("coolant_ratio", ...) if signal is _S.COOLANT else ("sensor", SENSOR)
        return [
            numbered(
                row,
                "codes",
                put(name, item, lambda level: sensor_code(scene, level)),
                lambda level: shown_celsius(scene, sensor_code(scene, level)),
                0.02,
                reach=SENSOR_RANGE_CELSIUS,
                fits=temperatures.get(signal),
            )
        ]
    return _beyond_range(row, scene)


def _beyond_range(row: FaultRow, scene: Scene) -> list[Injection]:
    """Readings that cannot be; the level is how far they are out."""
    count = len(scene.state.remembered.cell_volt)
    if row.signal is _S.CELL_IMPOSSIBLE:
        top = CELL_RANGE_VOLT[1]
        apply = put("cell", CELL, lambda level: _code(top + level))
        delivered, unit, reach = (lambda level: _volts(top + level) - top), _VOLT, (-1.0, 0.099)
    elif row.signal is _S.STRING_IMPOSSIBLE:
        top, unit = count * CELL_RANGE_VOLT[1], field_unit("voltage_volt")
        apply = put("voltage_volt", ..., lambda level: round((top + level) / unit))
        delivered, reach = (lambda level: round((top + level) / unit) * unit - top), (-9.0, 9.0)
    elif row.signal is _S.TEMPERATURE_IMPOSSIBLE:
        top, unit, reach = SENSOR_RANGE_CELSIUS[1], 0.1, (-9.0, 4.5)
        apply = put("sensor", SENSOR, lambda level: sensor_code(scene, top + level))
        delivered = lambda level: shown_celsius(scene, sensor_code(scene, top + level)) - top  # noqa: E731  as its siblings
    else:
        return []
    return [numbered(row, "codes", apply, delivered, unit, reach=reach)]


def _both(first: Callable[[Codes, float], None]) -> Apply:
    """Set several codes, by level."""

    def apply(scene: Scene, level: float, window: Window) -> None:
        spoil(scene, window, lambda codes: first(codes, level))

    return apply


def _spread_volt(row: FaultRow, _scene: Scene) -> Injection:
    def change(codes: Codes, level: float) -> None:
        codes["cell"][:] = _code(_LOW_IN_FLAT_VOLT)
        codes["cell"][CELL] = _code(_LOW_IN_FLAT_VOLT + level)

    def delivered(level: float) -> float:
        return _volts(_LOW_IN_FLAT_VOLT + level) - _volts(_LOW_IN_FLAT_VOLT)

    return numbered(row, "codes", _both(change), delivered, _VOLT, fits=_resting)


def _spread_celsius(row: FaultRow, scene: Scene) -> Injection:
    base = sensor_code(scene, scene.condition.celsius)

    def warm(level: float) -> int:
        return sensor_code(scene, shown_celsius(scene, base) + level)

    def change(codes: Codes, level: float) -> None:
        codes["sensor"][:] = base
        codes["sensor"][SENSOR] = warm(level)

    def delivered(level: float) -> float:
        return shown_celsius(scene, warm(level)) - shown_celsius(scene, base)

    return numbered(row, "codes", _both(change), delivered, 0.02)


def _second_monitor(row: FaultRow, _scene: Scene) -> Injection:
    def change(codes: Codes, level: float) -> None:
        codes["cell"][CELL] = _code(_STEADY_VOLT)
        codes["second_cell"][CELL] = _code(_STEADY_VOLT - level)

    def delivered(level: float) -> float:
        return abs(_volts(_STEADY_VOLT) - _volts(_STEADY_VOLT - level))

    return numbered(row, "codes", _both(change), delivered, _VOLT)


def _cell_sum(row: FaultRow, scene: Scene) -> Injection:
    unit = field_unit("voltage_volt")
    count = len(scene.state.remembered.cell_volt)
    total = float(np.full(count, _volts(_STEADY_VOLT)).sum())

    def change(codes: Codes, level: float) -> None:
        codes["cell"][:] = _code(_STEADY_VOLT)
        codes["voltage_volt"][...] = round((total - level) / unit)

    def delivered(level: float) -> float:
        return abs(total - round((total - level) / unit) * unit)

    return numbered(row, "codes", _both(change), delivered, unit)


def _reference(row: FaultRow, scene: Scene) -> Injection:
    nominal = scene.diagnostics.measures.reference_volt
    apply = put("reference", 1, lambda level: _code(nominal + level))
    return numbered(
        row, "codes", apply, lambda level: abs(_volts(nominal + level) - nominal), _VOLT
    )


def _second_current(row: FaultRow, scene: Scene) -> Injection:
    first, second = field_unit("current_ampere"), field_unit("second_current_ampere")
    base = round(scene.condition.rate * 50.0)

    def change(codes: Codes, level: float) -> None:
        codes["current_ampere"][...] = round(base / first)
        codes["second_current_ampere"][...] = round((base + level) / second)

    def delivered(level: float) -> float:
        return abs(round(base / first) * first - round((base + level) / second) * second)

    return numbered(row, "codes", _both(change), delivered, second)


def _model(row: FaultRow, scene: Scene) -> Injection:
    """A cell's reading moves by so many volts; the limit in volts is the estimate's own doubt."""
    stated = row.limit * scene.expected_volt

    def change(codes: Codes, level: float) -> None:
        codes["cell"][CELL] += _code(level)

    levels = tuple(part * stated for part in (6.0, 4.0, 2.0, 1.5, 1.2, 0.9, 0.5))
    return Injection(
        row.name,
        "codes",
        "V",
        tuple(level for level in levels if level < 1.0),
        sum(level < 1.0 for level in levels[:5]),
        _both(change),
    )


def _open_current(row: FaultRow, _scene: Scene) -> Injection:
    apply, delivered = _board("current_ampere")
    return numbered(row, "codes", apply, delivered, 0.001, fits=waiting)


def _jump(row: FaultRow, scene: Scene) -> Injection:
    base = sensor_code(scene, scene.condition.celsius)

    def jumped(level: float) -> int:
        return sensor_code(scene, shown_celsius(scene, base) + level)

    def apply(scene: Scene, level: float, window: Window) -> None:
        code = jumped(level)

        def act(codes: Codes, second: float) -> None:
            codes["sensor"][SENSOR] = code if window.holds(second) else base

        scene.bytes_pack.codes.append(act)

    def delivered(level: float) -> float:
        return abs(shown_celsius(scene, jumped(level)) - shown_celsius(scene, base))

    return numbered(row, "codes", apply, delivered, 0.02, lead_count=2)


def _insulation(row: FaultRow, _scene: Scene) -> Injection:
    unit, volts = field_unit("insulation_ohm"), 88.0

    def change(codes: Codes, level: float) -> None:
        codes["voltage_volt"][...] = round(volts / field_unit("voltage_volt"))
        codes["insulation_ohm"][...] = round(level * volts / unit)

    def delivered(level: float) -> float:
        shown = round(volts / field_unit("voltage_volt")) * field_unit("voltage_volt")
        return round(level * volts / unit) * unit / shown

    return numbered(row, "codes", _both(change), delivered, unit / volts, reach=(0.0, np.inf))


def _runaway(row: FaultRow, scene: Scene) -> Injection:
    """A cell drops beside the others; with gas for the row that wants two senses."""
    gassy = row.limit > 1.0
    steady = float(np.median(scene.state.remembered.cell_volt))

    def change(codes: Codes, level: float) -> None:
        codes["cell"][:] = _code(steady)
        codes["cell"][CELL] = _code(steady - level)
        if gassy:
            codes["gas_fraction"][...] = round(0.002 / field_unit("gas_fraction"))

    def apply(scene: Scene, level: float, window: Window) -> None:
        def act(codes: Codes, second: float) -> None:
            change(codes, level if window.holds(second) else 0.0)

        scene.bytes_pack.codes.append(act)

    multiples = (20.0, 10.0, 4.0, 2.0, 1.6, 1.4, 1.2, 1.0)
    levels = tuple(part * DROP_VOLT for part in multiples)
    return Injection(
        row.name,
        "codes",
        "V",
        levels,
        4,
        apply,
        1.2,
        10,
        fits=lambda scene: scene.condition.rate == 0,
    )


def _clock_error(row: FaultRow, _scene: Scene) -> Injection:
    apply = put_input("clock_error_second", lambda level, _: level)
    return numbered(row, "value", apply, lambda level: level, 0.001)


def _clock_back(row: FaultRow, _scene: Scene) -> Injection:
    def apply(scene: Scene, level: float, window: Window) -> None:
        def change(reading: Reading, _since: float) -> Reading:
            back = reading.frame.unix_time_second - level - scene.period_second
            return replace(reading, frame=replace(reading.frame, unix_time_second=back))

        alter(scene, window, change)

    return numbered(row, "value", apply, lambda level: level - 1e-5, 0.001)

"""Steps too large for the time and the current that could explain them.

Rules
- Cell against its siblings: a step may differ from the median step of the cells by `SIBLING_VOLT`,
  half the median step (cells differ in resistance), and a little for the time passed.
- All cells together (or the pack, or one or two cells): a step may be what the current's step
  makes in the greatest resistance to be expected at that temperature, plus a little.
- The greatest step of the current among the rows beside counts too: recorders do not read voltage
  and current at one instant.
- Temperature may step by `STEP_CELSIUS` and `DRIFT_CELSIUS` per second.
- A row is judged when the next ones are there; across more than `GAP_SECOND` nothing is said.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Float64

from cellwarden.domain import Severity
from cellwarden.guard.episode import Breach
from cellwarden.guard.window import REACH, Window

__all__ = ["GAP_SECOND", "RESISTANCE_OHM_AH", "explained_volt", "jumps"]

GAP_SECOND: Final = 60.0
SIBLING_VOLT: Final = 0.03
SIBLING_SHARE: Final = 0.5
SIBLING_DRIFT: Final = 0.005  # V/s
STEP_VOLT: Final = 0.05
REST_VOLT: Final = 0.01  # V/s
KNEE_VOLT: Final = 0.03  # V/s for each C of current, at the end of a discharge
SLOW_SECOND: Final = 5.0  # diffusion doubles an empty cell's resistance in about this time
STEP_CELSIUS: Final = 3.0
DRIFT_CELSIUS: Final = 0.5  # °C/s

# Resistance times capacity against temperature: at least one and a half times the steepest
# one-second step in the LG HG2 drive cycles at that temperature (tests/guard/test_rate.py).
RESISTANCE_OHM_AH: Final = (
    (-30.0, -20.0, -10.0, 0.0, 10.0, 25.0),
    (2.2, 1.4, 0.9, 0.55, 0.4, 0.25),
)
_UNKNOWN_CELSIUS: Final = 0.0

Judged = Float[np.ndarray, "row item"]  # of the rows that have their neighbours


def explained_volt(
    window: Window,
    rows: slice,
    swing_ampere: Float[np.ndarray, " row"],
    second: Float[np.ndarray, " row"],
) -> Float64[np.ndarray, " row"]:
    """What a swing of the current may do to a cell's voltage within a time. [V]

    The coldest sensor decides; where none reads, 0 °C is assumed. Unbounded where the capacity is
    not known and the current swings at all.
    """
    celsius = window.frames.cell_temperature_celsius[rows]
    coldest = np.full(len(swing_ampere), np.nan)
    if celsius.shape[1]:
        coldest = np.fmin.reduce(celsius, axis=1)
    known = np.where(np.isfinite(coldest), coldest, _UNKNOWN_CELSIUS)
    ohm_ah = np.interp(known, *RESISTANCE_OHM_AH) * (1 + second / SLOW_SECOND)
    with np.errstate(divide="ignore", invalid="ignore"):
        volt = ohm_ah * swing_ampere / window.capacity_ah[rows]
    return np.where(swing_ampere == 0, 0.0, volt)


def jumps(window: Window) -> Iterator[Breach]:
    """Steps of voltage and temperature that nothing explains."""
    count = len(window.time)
    if count <= 2 * REACH:
        return
    rows = slice(REACH, count - REACH)
    step_second = np.diff(window.time)
    judged = (step_second <= GAP_SECOND)[_into(rows)]
    if not judged.any():
        return
    dt = step_second[_into(rows)]
    yield from _cells(window, rows, dt, judged)
    for signal, column in (
        ("cell_temperature_celsius", window.frames.cell_temperature_celsius),
        ("ambient_temperature_celsius", window.frames.ambient_temperature_celsius),
    ):
        if column is None or not column.size:
            continue
        celsius = column.reshape(count, -1)
        step = np.abs(_step(celsius, rows))
        limit = (STEP_CELSIUS + DRIFT_CELSIUS * dt)[:, None]
        broken = (step > limit) & judged[:, None]
        if broken.any():
            whole = column.ndim == 1
            yield _breach(
                window,
                rows,
                signal,
                broken=broken,
                reading=celsius[rows],
                step=step,
                limit=limit,
                whole=whole,
            )


def _cells(
    window: Window, rows: slice, dt: Float64[np.ndarray, " row"], judged: Bool[np.ndarray, " row"]
) -> Iterator[Breach]:
    median_step = np.diff(window.median_volt)
    volt = window.volt
    if window.siblings:
        step = np.abs(_step(volt, rows) - median_step[_into(rows), None])
        common = _beside(np.abs(median_step), rows)
        limit = (SIBLING_VOLT + SIBLING_SHARE * common + SIBLING_DRIFT * dt)[:, None]
        broken = (step > limit) & judged[:, None]
        if broken.any():
            yield _breach(
                window,
                rows,
                window.signal,
                broken=broken,
                reading=volt[rows],
                step=step,
                limit=limit,
            )
    swing = _beside(np.abs(np.diff(window.frames.current_ampere)), rows)
    drift = (REST_VOLT + KNEE_VOLT * _c_rate(window, rows)) * dt
    limit = (STEP_VOLT + drift + explained_volt(window, rows, swing, dt))[:, None]
    # The common move of many cells is the pack's: told as its voltage, so that it cannot be
    # confused with what is told of the cells among one another.
    whole = window.siblings or window.signal == "voltage_volt"
    scale = window.series_count if whole else 1
    alone = window.median_volt[:, None] if whole else volt
    step = np.abs(_step(alone, rows))
    broken = (step > limit) & judged[:, None]
    if broken.any():
        yield _breach(
            window,
            rows,
            "voltage_volt" if whole else window.signal,
            broken=broken,
            reading=alone[rows] * scale,
            step=step * scale,
            limit=limit * scale,
            whole=whole,
        )


def _c_rate(window: Window, rows: slice) -> Float64[np.ndarray, " row"]:
    """Greater of the currents before and after each step, by capacity. [1/h]"""
    current = np.abs(window.frames.current_ampere)
    greater = np.maximum(current[rows], current[_into(rows)])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(greater == 0, 0.0, greater / window.capacity_ah[rows])


def _into(rows: slice) -> slice:
    """Of the differences, those that lead into the rows."""
    return slice(rows.start - 1, rows.stop - 1)


def _step(column: Float[np.ndarray, "time item"], rows: slice) -> Judged:
    step: Judged = column[rows] - column[_into(rows)]
    return step


def _beside(step: Float[np.ndarray, " step"], rows: slice) -> Float[np.ndarray, " row"]:
    """Greatest of the step into a row and the steps before and after it."""
    start, stop = rows.start - 1, rows.stop - 1
    beside = np.maximum(step[start - 1 : stop - 1], step[start:stop])
    greatest: Float[np.ndarray, " row"] = np.maximum(beside, step[start + 1 : stop + 1])
    return greatest


def _breach(
    window: Window,
    rows: slice,
    signal: str,
    *,
    broken: Bool[np.ndarray, "row item"],
    reading: Judged,
    step: Judged,
    limit: Float[np.ndarray, "row #item"],
    whole: bool = False,
) -> Breach:
    return Breach(
        kind="rate",
        severity=Severity.WARNING,
        signal=signal,
        text="stepped further than time and current explain",
        time=window.time[rows],
        broken=broken,
        reading=reading,
        value=step,
        limit=np.broadcast_to(limit, step.shape),
        whole=whole,
    )

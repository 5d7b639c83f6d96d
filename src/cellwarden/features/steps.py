"""One row a step: what went in and out, how voltage, current and temperature ran.

Columns (units in `domain.units`; NaN where a thing cannot be told, a column left out where the
record has no such reading)

- `step_count` runs from 1; `cycle_count` is the cycle's number; `step_index` the number in the
  tester's programme, where the record has one.
- `step_kind`: `cc_charge`, `cc_discharge` (the current stays within `steady_fraction` of its
  level in four of five rows), `cv_charge`, `cv_discharge` (voltage held while the current falls),
  `power_charge`, `power_discharge` (voltage times current stays so), `pulse` (constant current for
  at most `pulse_second` beside a rest), `drive` (steps too short to tell apart), `rest`, and
  `charge`, `discharge` for what is none of these.
- `start_row_index`, `stop_row_index`: the rows of the record, counted from 0, stop not with it.
- `start_test_time_second` is the time of the row before the step, from which it is counted;
  `end_test_time_second` that of its last row; `duration_second` what lies between.
- `charging_capacity_ah`, `discharging_capacity_ah`, `charging_energy_wh`, `discharging_energy_wh`:
  integrated from the current (see `features.flow` for the rule).
- `charging_counter_ah`, `discharging_counter_ah`: what the tester's own counters grew by, over the
  same intervals, whether they begin anew with a step, a cycle or never.
- `mean_voltage_volt`, `mean_current_ampere`: means over time; lowest and highest over rows.
- `resistance_ohm`: change of voltage over change of current, from the last row before the step to
  the row at `resistance_second` after the switch. Given only where the moment of the switch is
  known to a fifth of that delay, a row lies within a fifth of it, and the current jumped by a
  fifth of itself and by ten times `rest_ampere` or more. It holds ohmic and slow resistance, more
  of it the longer the delay.
- `relaxation_volt`: end less begin of the voltage in a rest; `relaxation_time_second`: when 1 - 1/e
  of that was reached, in rests of five rows or more that move by more than `level_volt`.
- `gap_count`: intervals that counted as nothing; charges and energies are then lower bounds.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cellwarden.domain import Remark, Series, Table
from cellwarden.features.flow import Flow, Passed, counted, flow, passed
from cellwarden.features.limits import Limits, settle
from cellwarden.features.outline import Outline, outline

__all__ = ["steps"]

_STEADY_PART: Final = 0.8  # of the rows of a step must keep its level
_KNOWN_PART: Final = 0.2  # of the delay: how well moments must be known for a resistance
_CHANGE_PART: Final = 0.2  # of the current: less is no step in current
_LOUD: Final = 10  # times the limit of rest: after a small current the cell relaxes from others
_REST_ROWS: Final = 5
_PER_E: Final = 1 - np.exp(-1)
_NAN: Final = float("nan")

_Numbers = Float64[np.ndarray, " step"]


@dataclass(frozen=True, slots=True)
class _Cut:
    """A record in steps: countable rows, where steps begin and stop, what flowed."""

    rows: Flow
    parts: Outline
    start: Int64[np.ndarray, " step"]
    stop: Int64[np.ndarray, " step"]
    through: Passed
    limits: Limits

    def sums(self, values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values, self.start)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """A number of each step at each of its rows."""
        return np.repeat(values, self.stop - self.start)


def steps(series: Series, limits: Limits | None = None) -> Table:
    """The steps of a record, oldest first; see the module for each column. [s, V, A, Ah, Wh, Ω]"""
    rows = flow(series)
    known = settle(rows, limits or Limits())
    parts = outline(series, rows, known)
    stop = np.append(parts.start[1:], len(rows))[: len(parts.start)]
    counters = (
        rows.column(series.charging_capacity_ah),
        rows.column(series.discharging_capacity_ah),
    )
    rest, gap = known.rest_ampere or 0.0, known.gap_second or np.inf
    held = np.repeat(parts.held, stop - parts.start)
    held[parts.start] = False
    taper = np.flatnonzero(held)
    through = passed(rows, parts.start, counters, rest_ampere=rest, gap_second=gap, taper=taper)
    cut = _Cut(rows, parts, parts.start, stop, through, known)
    columns = _columns(series, cut, counters) if len(rows) else {}
    remarks = _remarks(series, cut)
    return Table(series.name, "steps", columns, series.source, remarks)


def _columns(
    series: Series, cut: _Cut, counters: tuple[np.ndarray | None, np.ndarray | None]
) -> dict[str, np.ndarray]:
    rows, start, stop = cut.rows, cut.start, cut.stop
    duration = cut.sums(rows.interval_second)
    index = rows.column(series.step_index)
    found: dict[str, np.ndarray | None] = {
        "step_count": np.arange(1, len(start) + 1),
        "cycle_count": cut.parts.cycle_count[cut.parts.cycle],
        "step_index": None if index is None else index[start],
        "step_kind": _kinds(cut, duration),
        "start_row_index": rows.row[start],
        "stop_row_index": rows.row[stop - 1] + 1,
        **_times(series, cut, duration),
        **_charges(cut),
        **{
            name: None if counter is None else _grown(cut, counter)
            for name, counter in zip(
                ("charging_counter_ah", "discharging_counter_ah"), counters, strict=True
            )
        },
        **_readings(series, cut, duration),
        **_relaxations(cut),
        "resistance_ohm": _resistances(cut),
        "gap_count": np.add.reduceat(_marks(cut.through.gap, len(rows)), start),
    }
    return {name: column for name, column in found.items() if column is not None}


def _marks(at: Int64[np.ndarray, " mark"], count: int) -> Int64[np.ndarray, " time"]:
    marks = np.zeros(count, dtype=np.int64)
    marks[at] = 1
    return marks


def _times(series: Series, cut: _Cut, duration: _Numbers) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for name in ("test_time_second", "unix_time_second"):
        time = cut.rows.column(series.columns().get(name))
        if time is None:
            continue
        begin, end = time[np.maximum(cut.start - 1, 0)], time[cut.stop - 1]
        begin[:1] -= cut.rows.interval_second[:1]
        # Where the clock ran backwards a step begins with its own first row.
        found[f"start_{name}"] = np.where(begin > end, time[cut.start], begin)
        found[f"end_{name}"] = end
    return {**found, "duration_second": duration}


def _charges(cut: _Cut) -> dict[str, np.ndarray]:
    """Charge and energy of each step, each way. [Ah, Wh]"""
    found = {}
    for unit, net, gained in (
        ("capacity_ah", cut.through.net_ah, cut.through.in_ah),
        ("energy_wh", cut.through.net_wh, cut.through.in_wh),
    ):
        put_in = cut.sums(gained)
        found[f"charging_{unit}"] = put_in
        found[f"discharging_{unit}"] = cut.sums(gained - net)
    return found


def _grown(cut: _Cut, counter: Float64[np.ndarray, " time"]) -> _Numbers:
    """What a tester's counter grew by in each step. [Ah]"""
    growth = np.diff(counter, prepend=counter[:1])
    drop = np.flatnonzero(growth < 0)
    seen = counted(counter, drop)
    if seen is not None:
        growth[drop] = seen
    return cut.sums(growth)


def _readings(series: Series, cut: _Cut, duration: _Numbers) -> dict[str, np.ndarray]:
    rows, start, last = cut.rows, cut.start, cut.stop - 1
    interval = rows.interval_second
    found: dict[str, np.ndarray] = {}
    for name, values in (
        ("voltage_volt", rows.voltage_volt),
        ("current_ampere", rows.current_ampere),
    ):
        area = np.zeros(len(values))
        np.add(values[1:], values[:-1], out=area[1:])
        area *= interval
        # The first interval of a step belongs to it with the value of its first row.
        area[start] = 2 * values[start] * interval[start]
        timed = duration > 0
        mean = np.where(timed, cut.sums(area) / (2 * np.where(timed, duration, 1.0)), values[start])
        found |= {
            f"start_{name}": values[start],
            f"end_{name}": values[last],
            f"mean_{name}": mean,
            f"lowest_{name}": np.minimum.reduceat(values, start),
            f"highest_{name}": np.maximum.reduceat(values, start),
        }
    surface = rows.column(series.surface_temperature_celsius)
    if surface is not None:
        there = np.isfinite(surface)
        total = cut.sums(there.astype(np.float64))
        mean = cut.sums(np.where(there, surface, 0.0)) / np.where(total > 0, total, _NAN)
        found |= {
            "mean_surface_temperature_celsius": mean,
            "lowest_surface_temperature_celsius": np.fmin.reduceat(surface, start),
            "highest_surface_temperature_celsius": np.fmax.reduceat(surface, start),
        }
    return found


def _kinds(cut: _Cut, duration: _Numbers) -> np.ndarray:
    """The kind of each step, as text."""
    direction, rows = cut.parts.direction, cut.rows
    part = cut.limits.steady_fraction
    steady = _is_steady(cut, rows.current_ampere, part)
    odd = (direction != 0) & ~steady & ~cut.parts.held & ~cut.parts.drive
    powered = np.zeros(len(odd), dtype=bool)
    if odd.any():
        powered = odd & _is_steady(cut, rows.current_ampere * rows.voltage_volt, part)
    rest = direction == 0
    beside = np.append(False, rest[:-1]) | np.append(rest[1:], False)
    way = np.where(direction > 0, "charge", "discharge")
    return np.select(
        [
            cut.parts.drive,
            rest,
            cut.parts.held,
            steady & beside & (duration <= cut.limits.pulse_second),
            steady,
            powered,
        ],
        ["drive", "rest", np.char.add("cv_", way), "pulse", np.char.add("cc_", way),
         np.char.add("power_", way)],
        way,
    )  # fmt: skip


def _is_steady(
    cut: _Cut, values: Float64[np.ndarray, " time"], part: float
) -> Bool[np.ndarray, " step"]:
    """Whether most rows of a step keep its level, the mean weighted by size. [1]"""
    total = cut.sums(np.abs(values))
    level = cut.sums(values * np.abs(values)) / np.where(total > 0, total, 1.0)
    near = np.abs(values - cut.spread(level)) <= cut.spread(part * np.abs(level))
    kept = np.add.reduceat(near.astype(np.int64), cut.start)
    return np.asarray(kept >= _STEADY_PART * (cut.stop - cut.start))


def _resistances(cut: _Cut) -> _Numbers:
    """Resistance at the begin of each step, where the sampling allows it. [Ω]"""
    found = np.full(len(cut.start), _NAN)
    at = np.flatnonzero((cut.start > 0) & ~cut.parts.drive)
    first, rows = cut.start[at], cut.rows
    delay, clock = cut.limits.resistance_second, np.cumsum(rows.interval_second)
    inner = len(cut.start) - len(cut.through.told)  # the first step has no border
    told, fraction = cut.through.told[at - inner], cut.through.switch_fraction[at - inner]
    lead = rows.interval_second[first]
    wanted = clock[first] - fraction * lead + delay
    after = np.minimum(np.searchsorted(clock, wanted), len(clock) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(wanted - clock[before] < clock[after] - wanted, before, after)
    nearest = np.clip(nearest, first, None)
    before_ampere = rows.current_ampere[first - 1]
    change = rows.current_ampere[nearest] - before_ampere
    jump = np.abs(rows.current_ampere[first] - before_ampere)
    largest = np.maximum(np.abs(rows.current_ampere[nearest]), np.abs(before_ampere))
    good = (nearest < cut.stop[at]) & (np.abs(clock[nearest] - wanted) <= _KNOWN_PART * delay)
    good &= (lead <= _KNOWN_PART * delay) | told
    good &= np.minimum(np.abs(change), jump) >= _CHANGE_PART * largest
    good &= ~np.isin(first, rows.backward)  # another record was joined on there
    same = cut.parts.direction[at] == cut.parts.direction[at - 1]
    good &= ~(same & cut.parts.held[at])  # a taper is no answer to a change of current
    good &= np.abs(change) > _LOUD * (cut.limits.rest_ampere or 0.0)
    rise = rows.voltage_volt[nearest] - rows.voltage_volt[first - 1]
    found[at] = np.where(good, rise / np.where(good, change, 1.0), _NAN)
    return found


def _relaxations(cut: _Cut) -> dict[str, np.ndarray]:
    """How far and how fast the voltage went back in each rest. [V, s]"""
    volt, rest = cut.rows.voltage_volt, cut.parts.direction == 0
    rest = rest & ~cut.parts.drive
    begin, end = volt[cut.start], volt[cut.stop - 1]
    change = np.where(rest, end - begin, _NAN)
    time = np.full(len(change), _NAN)
    slow = (cut.stop - cut.start >= _REST_ROWS) & (
        np.abs(np.nan_to_num(change)) > (cut.limits.level_volt or 0.0)
    )
    chosen = np.flatnonzero(rest & slow)
    clock = np.cumsum(cut.rows.interval_second)
    for step in chosen:  # few rests beside many rows: each is looked at alone
        time[step] = _time_constant(cut, clock, int(step))
    return {"relaxation_volt": change, "relaxation_time_second": time}


def _time_constant(cut: _Cut, clock: Float64[np.ndarray, " time"], step: int) -> float:
    """Time until 1 - 1/e of a rest's change of voltage was reached, between rows. [s]"""
    inside = slice(int(cut.start[step]), int(cut.stop[step]))
    volt, time = cut.rows.voltage_volt[inside], clock[inside]
    done = (volt - volt[0]) / (volt[-1] - volt[0])
    at = int(np.argmax(done >= _PER_E))
    part = (_PER_E - done[at - 1]) / (done[at] - done[at - 1])
    return float(time[at - 1] + part * (time[at] - time[at - 1]) - time[0])


def _remarks(series: Series, cut: _Cut) -> tuple[Remark, ...]:
    """What the table rests on, and what was found odd."""
    known, rows, told = cut.limits, cut.rows, cut.through.told
    limits = (
        f"rest at most {known.rest_ampere:.4g} A, held voltage within {known.level_volt:.4g} V,"
        f" pulse at most {known.pulse_second:g} s, resistance at {known.resistance_second:g} s"
    )
    found = [Remark("limits", limits)]
    if not cut.parts.steps_by_tester:
        found.append(Remark("steps_found", "steps are found from current and voltage"))
    if not cut.parts.cycles_by_tester:
        found.append(Remark("cycles_found", "cycles are found from the current"))
    if told.any():
        text = "where a step's current began is told by the tester's counters"
        found.append(Remark("switch", text, count=int(told.sum())))
    left_out = len(series) - len(rows)
    if left_out:
        text = f"{left_out} rows without time, voltage or current are left out"
        found.append(Remark("left_out", text, count=left_out))
    if rows.by_calendar:
        found.append(Remark("calendar", "test time runs backwards; the calendar's is counted"))
    for kind, at, text in (
        ("backward_time", rows.backward, "intervals run backwards and count as nothing"),
        ("gap", cut.through.gap, f"gaps over {known.gap_second:.4g} s count as nothing"),
    ):
        if len(at):
            first = int(rows.row[at[0]]) + 1
            found.append(Remark(kind, f"{len(at)} {text}", count=len(at), first_row=first))
    return tuple(found)

"""One row a cycle, summed up from its steps.

A cycle is the tester's where its number is plausible, else it begins with each run in the direction
of the record's first run (`features.outline`). It may be partial, begin with either direction, or
be a drive cycle; its last row is the record's last, so the last cycle may still be going on.

Columns (units in `domain.units`; NaN where a thing cannot be told)

- `cycle_count`: its number. `cycle_kind`: `charge_discharge`, `discharge_charge` (which came
  first), `charge`, `discharge`, `drive` (a step of the kind `drive` moved the most), `pulses`
  (a pulse in every other moving step, or more) or `rest`.
- `start_row_index`, `stop_row_index`, times, `duration_second`, `gap_count`: as for steps.
- `charging_capacity_ah`, `discharging_capacity_ah`, `charging_energy_wh`,
  `discharging_energy_wh`: sums over its steps; `…_counter_ah`: the same by the tester's counters.
- `coulombic_efficiency_fraction`: charge taken out over the charge put in before it. Where a cycle
  begins with a charge, both are its own; where it begins with a discharge, the charge is that of
  the cycle before, NaN for the first. IEC 61960-3 measures a discharge after a standard charge,
  which is this order; cellpy divides inside one cycle and turns the fraction over by a mode that
  the caller must know (its `cycle_mode`); PyProBE divides by the charge of the cycle before, by
  default, whichever comes first, and version 2.6.1 gives none where told that charge does.
- `energy_efficiency_fraction`: the same with energies.
- `mean_charging_voltage_volt`, `mean_discharging_voltage_volt`: energy over charge, so that the
  two say how far charge and discharge lie apart; `mean_voltage_volt` is over time.
- `mean_charging_current_ampere`, `mean_discharging_current_ampere`: charge over the time of the
  steps that charged or discharged (not of pulses and drive cycles), positive charges.
- lowest and highest voltage and current, mean (over time), lowest and highest temperature.
- `cc_charging_time_second`, `cv_charging_time_second`, `cc_charging_capacity_ah`,
  `cv_charging_capacity_ah` and the same of discharge: sums over steps of these kinds; 0 where
  there is none.
- `charging_resistance_ohm`, `discharging_resistance_ohm`: of its first step of that direction for
  which one can be told.
- `charge_relaxation_volt`, `discharge_relaxation_volt` and their `…_time_second`: of the last rest
  right after a charge or a discharge.
"""

from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cellwarden.domain import Series, Table
from cellwarden.features.limits import Limits
from cellwarden.features.steps import steps

__all__ = ["cycle_table", "cycles_of"]

_NAN: Final = float("nan")
_STARTS: Final = ("start_test_time_second", "start_unix_time_second")
_ENDS: Final = ("end_test_time_second", "end_unix_time_second")
_SUMS: Final = (
    "duration_second",
    "charging_capacity_ah",
    "discharging_capacity_ah",
    "charging_energy_wh",
    "discharging_energy_wh",
    "charging_counter_ah",
    "discharging_counter_ah",
    "gap_count",
)
_WORD: Final = {"charging": "charge", "discharging": "discharge"}
_WAYS: Final = tuple(_WORD)
_PULSES_PART: Final = 0.5

_Starts = Int64[np.ndarray, " cycle"]
_Numbers = Float64[np.ndarray, " cycle"]


def cycle_table(series: Series, limits: Limits | None = None) -> Table:
    """The cycles of a record, oldest first; see the module for each column. [s, V, A, Ah, Wh, Ω]"""
    return cycles_of(steps(series, limits))


def cycles_of(table: Table) -> Table:
    """The cycles that a table of steps makes up: cheap where both are wanted. [s, V, A, Ah, Wh, Ω]

    Raises:
        UsageError: it is no table that `steps` made.
    """
    if len(table) == 0:
        return Table(table.name, "cycles", {}, table.source, table.remarks)
    begin = _begins(table)
    start = np.flatnonzero(begin)
    last = np.append(start[1:], len(table)) - 1
    sums = {name: np.add.reduceat(table[name], start) for name in _SUMS if name in table}
    columns: dict[str, np.ndarray] = {
        "cycle_count": table["cycle_count"][start],
        "cycle_kind": _kinds(table, start, sums),
        "start_row_index": table["start_row_index"][start],
        "stop_row_index": table["stop_row_index"][last],
        **{name: table[name][start] for name in _STARTS if name in table},
        **{name: table[name][last] for name in _ENDS if name in table},
        **sums,
        **_efficiencies(table, start, sums),
        **_means(table, start, sums),
        **_extremes(table, start),
        **_parts(table, start),
        **_resistances(table, start),
        **_relaxations(table, start),
    }
    return Table(table.name, "cycles", columns, table.source, table.remarks)


def _begins(table: Table) -> Bool[np.ndarray, " step"]:
    """Whether each step is the first of its cycle. [1]"""
    number = table["cycle_count"]
    begin = np.ones(len(number), dtype=bool)
    begin[1:] = number[1:] != number[:-1]
    return begin


def _net(table: Table) -> Float64[np.ndarray, " step"]:
    return np.asarray(table["charging_capacity_ah"] - table["discharging_capacity_ah"])


def _of_kind(table: Table, *kinds: str) -> Bool[np.ndarray, " step"]:
    return np.isin(table["step_kind"], kinds)


def _way(table: Table, name: str) -> Bool[np.ndarray, " step"]:
    """Steps that charge, or that discharge; pulses and drive cycles are neither. [1]"""
    word = _WORD[name]
    return _of_kind(table, word, f"cc_{word}", f"cv_{word}", f"power_{word}")


def _first(values: Float64[np.ndarray, " step"], start: _Starts, *, last: bool = False) -> _Numbers:
    """The first number of each cycle that is one, or the last. [unit of the values]"""
    count = len(values)
    there = np.isfinite(values)
    index = np.arange(count)
    if last:
        at = np.maximum.reduceat(np.where(there, index, -1), start)
    else:
        at = np.minimum.reduceat(np.where(there, index, count), start)
    found = (at >= 0) & (at < count)
    return np.where(found, values[np.clip(at, 0, count - 1)], _NAN)


def _ratio(above: np.ndarray, below: np.ndarray) -> _Numbers:
    """A quotient, NaN where there is nothing to divide by. [1]"""
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), _NAN)


def _order(table: Table, start: _Starts) -> Float64[np.ndarray, " cycle"]:
    """1 where a cycle begins with a charge, -1 with a discharge, NaN with neither. [1]

    A run of less than a twentieth of what the cycle moved is no begin: testers finish a charge.
    """
    net = _net(table)
    size = np.abs(net)
    large = np.repeat(np.maximum.reduceat(size, start), np.diff(np.append(start, len(net))))
    return _first(np.where((size > 0) & (size >= large / 20), np.sign(net), _NAN), start)


def _kinds(table: Table, start: _Starts, sums: dict[str, np.ndarray]) -> np.ndarray:
    order = _order(table, start)
    size = table["charging_capacity_ah"] + table["discharging_capacity_ah"]
    total = np.add.reduceat(size, start)
    drive = np.add.reduceat(np.where(_of_kind(table, "drive"), size, 0.0), start)
    moving = np.add.reduceat((size > 0).astype(np.int64), start)
    pulse = np.add.reduceat(_of_kind(table, "pulse").astype(np.int64), start)
    put_in, out = sums["charging_capacity_ah"], sums["discharging_capacity_ah"]
    return np.select(
        [
            ~np.isfinite(order) | (total <= 0),
            drive > total / 2,
            (pulse > 0) & (pulse >= _PULSES_PART * moving),
            out <= 0,
            put_in <= 0,
            order > 0,
        ],
        ["rest", "drive", "pulses", "charge", "discharge", "charge_discharge"],
        "discharge_charge",
    )


def _efficiencies(
    table: Table, start: _Starts, sums: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What came out over what went in before it. [1]"""
    discharge_first = _order(table, start) < 0
    found = {}
    for name, unit in (("coulombic", "capacity_ah"), ("energy", "energy_wh")):
        put_in, out = sums[f"charging_{unit}"], sums[f"discharging_{unit}"]
        before = np.concatenate([[_NAN], put_in[:-1]])
        ratio = _ratio(out, np.where(discharge_first, np.nan_to_num(before), put_in))
        found[f"{name}_efficiency_fraction"] = np.where(out > 0, ratio, _NAN)
    return found


def _means(table: Table, start: _Starts, sums: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Means over time, and over the charge that passed. [V, A, °C]"""
    found = {}
    for name in ("voltage_volt", "current_ampere", "surface_temperature_celsius"):
        if f"mean_{name}" not in table:
            continue
        values, weight = table[f"mean_{name}"], table["duration_second"]
        there = np.isfinite(values)
        total = np.add.reduceat(np.where(there, weight, 0.0), start)
        mean = _ratio(np.add.reduceat(np.where(there, values, 0.0) * weight, start), total)
        found[f"mean_{name}"] = np.where(total > 0, mean, _first(values, start))
    for way, sign in zip(_WAYS, (1, -1), strict=True):
        charge = sums[f"{way}_capacity_ah"]
        found[f"mean_{way}_voltage_volt"] = _ratio(sums[f"{way}_energy_wh"], charge)
        steady = _way(table, way)
        second = np.add.reduceat(np.where(steady, table["duration_second"], 0.0), start)
        passed = np.add.reduceat(np.where(steady, table[f"{way}_capacity_ah"], 0.0), start)
        found[f"mean_{way}_current_ampere"] = sign * 3600 * _ratio(passed, second)
    return found


def _extremes(table: Table, start: _Starts) -> dict[str, np.ndarray]:
    found = {}
    for name in ("voltage_volt", "current_ampere", "surface_temperature_celsius"):
        if f"lowest_{name}" in table:
            found[f"lowest_{name}"] = np.fmin.reduceat(table[f"lowest_{name}"], start)
            found[f"highest_{name}"] = np.fmax.reduceat(table[f"highest_{name}"], start)
    return found


def _parts(table: Table, start: _Starts) -> dict[str, np.ndarray]:
    """Time and charge at constant current and at constant voltage. [s, Ah]"""
    found = {}
    for way in _WAYS:
        for part in ("cc", "cv"):
            inside = _of_kind(table, f"{part}_{_WORD[way]}")
            for unit, column in (
                ("time_second", "duration_second"),
                ("capacity_ah", f"{way}_capacity_ah"),
            ):
                chosen = np.where(inside, table[column], 0.0)
                found[f"{part}_{way}_{unit}"] = np.add.reduceat(chosen, start)
    return found


def _resistances(table: Table, start: _Starts) -> dict[str, np.ndarray]:
    net, ohm = _net(table), table["resistance_ohm"]
    return {
        "charging_resistance_ohm": _first(np.where(net > 0, ohm, _NAN), start),
        "discharging_resistance_ohm": _first(np.where(net < 0, ohm, _NAN), start),
    }


def _relaxations(table: Table, start: _Starts) -> dict[str, np.ndarray]:
    before = np.concatenate([[0.0], np.sign(_net(table))[:-1]])
    before[start] = 0.0  # a rest that begins a cycle follows nothing of this cycle
    rest = _of_kind(table, "rest")
    found = {}
    for word, sign in (("charge", 1.0), ("discharge", -1.0)):
        chosen = rest & (before == sign)
        for unit in ("volt", "time_second"):
            values = np.where(chosen, table[f"relaxation_{unit}"], _NAN)
            found[f"{word}_relaxation_{unit}"] = _first(values, start, last=True)
    return found

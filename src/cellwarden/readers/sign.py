"""Does positive current charge? Three witnesses: the tester's words, its counters, the voltage.

Rules
- A witness speaks from -1 (positive current discharges) to +1 (it charges); below `_CLEAR` in
  size it is unsure and does not count.
- Witnesses that contradict one another decide nothing.
- Where no current flows there is no sign to tell, and none is needed.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import quantity

__all__ = ["Verdict", "judge"]

_CLEAR: Final = 0.5
_FLOWS: Final = 0.05  # of the largest current: less is rest or noise
_LEAST_ROWS: Final = 5  # fewer are too few to tell a spike from a step
_LOUDEST: Final = 5.0  # times the usual answer
_LEAST_VOLT: Final = 2e-3  # a smaller answer of the voltage says nothing

_Column = Float64[np.ndarray, " time"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`sign` is +1 where positive current charges, -1 where it discharges, 0 where unknown.

    `by_words` says that the current has no sign and the tester's words give its direction.
    """

    sign: int
    evidence: str
    contradiction: bool = False
    by_words: bool = False


def judge(columns: dict[str, _Column], direction: _Column | None = None) -> Verdict:
    """The sign of a record's current from what else the record holds.

    `direction` is +1 where the tester calls a row charge, -1 discharge, 0 neither.
    """
    current = columns["current_ampere"]
    limits = quantity("current_ampere")
    # What an overloaded sensor gives would hide the current that flows.
    current = np.where((current < limits.low) | (current > limits.high), np.nan, current)
    size = np.abs(current[np.isfinite(current)])
    # A single spike must not hide the current that flows.
    threshold = _FLOWS * float(np.quantile(size, 0.99)) if size.size else 0.0
    if not np.any(size > 0):
        return Verdict(1, "no current flows, so it has no sign")
    if direction is not None and np.nanmin(current) >= 0 and np.any(direction < 0):
        return Verdict(0, "no current is negative; the tester's words tell", by_words=True)
    flow = np.where(np.isfinite(current) & (np.abs(current) > threshold), np.sign(current), 0.0)
    witnesses = {
        "the tester's words": _by_words(flow, direction),
        "the charge counters": _by_counters(flow, columns),
        "the voltage's answer": _by_voltage(flow, current, columns["voltage_volt"]),
    }
    heard = {name: score for name, score in witnesses.items() if score is not None}
    text = ", ".join(f"{name} {score:+.2f}" for name, score in heard.items())
    clear = {int(np.sign(score)) for score in heard.values() if abs(score) >= _CLEAR}
    if len(clear) == 1:
        sign = clear.pop()
        return Verdict(sign, f"positive {'charges' if sign > 0 else 'discharges'} by {text}")
    return Verdict(0, text or "nothing tells it", contradiction=bool(clear))


def _share(signed: _Column, weight: _Column, least: float) -> float | None:
    total = float(np.sum(weight))
    return float(np.sum(signed)) / total if total > least else None


def _by_words(flow: _Column, direction: _Column | None) -> float | None:
    if direction is None:
        return None
    both = flow * direction
    return _share(both, np.abs(both), 0.0)


def _by_counters(flow: _Column, columns: dict[str, _Column]) -> float | None:
    signed, weight = np.zeros(len(flow)), np.zeros(len(flow))
    for name, way in (("charging_capacity_ah", 1.0), ("discharging_capacity_ah", -1.0)):
        counter = columns.get(name)
        if counter is None:
            continue
        step = np.diff(counter, prepend=counter[:1])
        # A counter that falls was reset; what it counted meanwhile is not known.
        step = np.where(np.isfinite(step) & (step > 0) & (flow != 0), step, 0.0)
        signed += way * step * flow
        weight += step
    return _share(signed, weight, 0.0)


def _by_voltage(flow: _Column, current: _Column, voltage: _Column) -> float | None:
    keep = np.isfinite(current) & np.isfinite(voltage)
    flow, voltage = flow[keep], _without_spikes(voltage[keep])
    if len(flow) < 2:  # noqa: PLR2004  a change takes two rows
        return None
    turn, change = np.diff(flow), np.diff(voltage)
    # A switched current moves the voltage its own way at once (ohmic part) ...
    jump = np.where(turn != 0, change, 0.0)
    # ... and while it flows one way the voltage drifts that way, rest by rest of noise averaged.
    starts = np.flatnonzero(np.concatenate(([True], turn != 0)))
    stops = np.append(starts[1:], len(flow)) - 1
    drift = voltage[stops] - voltage[starts]
    heard = np.concatenate((np.abs(jump), np.abs(drift) * (flow[starts] != 0)))
    ways = np.concatenate((np.sign(jump * turn), np.sign(drift * flow[starts])))
    if not np.any(heard > 0):
        return None
    # One wild reading must not shout down the rest.
    weight = np.minimum(heard, _LOUDEST * np.median(heard[heard > 0]))
    return _share(ways * weight, weight, _LEAST_VOLT)


def _without_spikes(values: _Column) -> _Column:
    """Each value replaced by the middle one of itself and its neighbours; steps stay.

    Ends go by Tukey's rule: the middle of the end, its neighbour and the line through the next two.
    """
    if len(values) < _LEAST_ROWS:
        return values
    smooth = values.copy()
    smooth[1:-1] = _middle(values[:-2], values[1:-1], values[2:])
    smooth[:1] = _middle(values[:1], smooth[1:2], 3 * smooth[1:2] - 2 * smooth[2:3])
    smooth[-1:] = _middle(values[-1:], smooth[-2:-1], 3 * smooth[-2:-1] - 2 * smooth[-3:-2])
    return smooth


def _middle(one: _Column, two: _Column, three: _Column) -> _Column:
    low, high = np.minimum(one, two), np.maximum(one, two)
    middle: _Column = np.maximum(low, np.minimum(high, three))
    return middle

"""The rules of `control.limits`: what each leaves of the current of either direction, and why.

Rules
- A rule speaks only where it leaves less than the tier; it names the cell, sensor or order and the
  value that it saw.
- Cells and sensors that were not read are left out of every other rule: `missing` speaks for them.
"""

from dataclasses import dataclass, field
from math import isfinite
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.control.limit_settings import Known, Limits
from cellwarden.control.prospect import Lags, View, forecast
from cellwarden.domain import (
    Capability,
    Ceiling,
    Charge,
    Condition,
    Diagnosis,
    Reaction,
    Reading,
    Restraint,
)

__all__ = ["Way", "Ways", "collect", "pack_volt", "view_of"]

_NAN: Final = float("nan")
_INF: Final = float("inf")
_AGED_FACTOR: Final = 1.5  # resistance of a cell of which it is not known
_AGED_FRACTION: Final = 0.7  # capacity of a cell of which it is not known


@dataclass(slots=True)
class Way:
    """One direction: the most that its tier allows, and the rules that leave less."""

    most_ampere: float
    rules: list[Restraint] = field(default_factory=list)

    def leave(self, name: str, ampere: float, value: float, item: int = -1) -> None:
        """A rule that leaves so much; where it leaves all, it does not speak."""
        if ampere < self.most_ampere:
            self.rules.append(Restraint(name, ampere, value, item))


@dataclass(slots=True)
class Ways:
    """The rules that speak in one step; `waits` are those that only forbid a rise."""

    charge: Way
    discharge: Way
    waits: list[Restraint] = field(default_factory=list)
    whole: bool = True
    warmth_whole: bool = True
    hottest_celsius: float = _NAN

    def leave(
        self, name: str, charge: float, discharge: float, value: float, item: int = -1
    ) -> None:
        """A rule that leaves parts of both directions."""
        self.charge.leave(name, charge * self.charge.most_ampere, value, item)
        self.discharge.leave(name, discharge * self.discharge.most_ampere, value, item)


def collect(
    limits: Limits,
    reading: Reading,
    known: Known,
    believed: tuple[Lags, View],
    waited: tuple[float, float],
) -> Ways:
    """All rules that speak; `waited` is how long ago readings and sensors were whole. [s]"""
    most_discharge, most_charge = limits.prospect.most_ampere
    ways = Ways(Way(most_charge), Way(most_discharge))
    frame = reading.frame
    _gaps(limits, reading, waited, ways)
    _voltage(limits, believed[1].voltage_volt, ways)
    _temperature(limits, _read(frame.cell_temperature_celsius), ways)
    _health(limits, known.condition, ways)
    _soc(limits, believed[1], ways)
    _forecast(limits, believed, frame.unix_time_second, known.capability, ways)
    _faults(limits, known.diagnosis, ways)
    _orders(known.ceilings, reading.clock_second, pack_volt(limits, reading, believed[1]), ways)
    return ways


def _gaps(limits: Limits, reading: Reading, waited: tuple[float, float], ways: Ways) -> None:
    """What missing readings leave."""
    waited_second, cooled_second = waited
    frame = reading.frame
    volts = np.isfinite(frame.cell_voltage_volt)
    sensors = np.isfinite(frame.cell_temperature_celsius)
    gaps: list[tuple[str, int]] = []
    stale = reading.inputs.voltage_age_second > limits.patience_second
    if stale or volts.size != limits.pack.series_count:
        gaps.append(("missing_voltage", -1))
    elif not volts.all():
        gaps.append(("missing_voltage", int(volts.argmin())))
    if not sensors.any():
        gaps.append(("missing_temperature", -1))
    elif not sensors.all():
        part, item = limits.doubt_fraction, int(sensors.argmin())
        ways.leave("missing_temperature", part, part, cooled_second, item)
        # The one that is lost may have been the hot one.
        if 0.0 <= cooled_second <= limits.cool_second:
            ways.waits.append(Restraint("missing_temperature", _INF, cooled_second, item))
    if not isfinite(frame.current_ampere):
        gaps.append(("missing_current", -1))
    ways.whole, ways.warmth_whole = not gaps, bool(sensors.size and sensors.all())
    for name, item in gaps:
        ways.waits.append(Restraint(name, _INF, waited_second, item))
        if not 0.0 <= waited_second <= limits.patience_second:
            ways.leave(name, 0.0, limits.limp_fraction, waited_second, item)


def _voltage(limits: Limits, voltage: np.ndarray, ways: Ways) -> None:
    high, low = float(np.fmax.reduce(voltage)), float(np.fmin.reduce(voltage))
    if high != high:  # noqa: PLR0124  only NaN is not itself: no cell was read
        return
    curves, tiers = limits.curves, limits.pack.cell.limits
    charge, discharge = curves.charge_volt.read(high), curves.discharge_volt.read(low)
    if charge < 1.0:
        ways.leave("voltage", charge, 1.0, high, int(np.nanargmax(voltage)))
    if discharge < 1.0:
        ways.leave("voltage", 1.0, discharge, low, int(np.nanargmin(voltage)))
    if low < tiers.operating.low_voltage_volt:
        part = limits.limp_fraction if low >= tiers.maximum.low_voltage_volt else 0.0
        ways.leave("deep_discharge", part, 1.0, low, int(np.nanargmin(voltage)))


def _temperature(limits: Limits, celsius: np.ndarray, ways: Ways) -> None:
    if not celsius.size:
        return
    hot, cold = float(np.fmax.reduce(celsius)), float(np.fmin.reduce(celsius))
    if hot != hot:  # noqa: PLR0124  only NaN is not itself: no sensor was read
        return
    ways.hottest_celsius = hot
    curves = limits.curves
    for name, value, pick in (("heat", hot, np.nanargmax), ("cold", cold, np.nanargmin)):
        charge, discharge = (
            curves.charge_celsius.read(value),
            curves.discharge_celsius.read(value),
        )
        middle = curves.charge_celsius.at[3]  # the plateau lies on the warm side of it
        if (value > middle) == (name == "heat") and min(charge, discharge) < 1.0:
            ways.leave(name, charge, discharge, value, int(pick(celsius)))


def _health(limits: Limits, condition: Condition | None, ways: Ways) -> None:
    """The current over what is left of a cell, and the heat in its resistance, stay as when new."""
    if condition is None:
        return
    left = _capacity(limits, condition)
    share = float(left.min()) / _nominal(limits)
    part = limits.curves.health.read(share)
    if part < 1.0:
        ways.leave("health", part, part, share, int(left.argmin()))
    risen = _factor(limits, condition)
    most = float(risen.max())
    if most > 1.0:
        part = most**-0.5
        ways.leave("resistance", part, part, most, int(risen.argmax()))


def _capacity(limits: Limits, condition: Condition) -> Float64[np.ndarray, " cell"]:
    nominal = _nominal(limits)
    return _filled(limits, condition.capacity_ah / nominal, _AGED_FRACTION) * nominal


def _factor(limits: Limits, condition: Condition) -> Float64[np.ndarray, " cell"]:
    return _filled(limits, condition.resistance_factor, _AGED_FACTOR)


def _filled(limits: Limits, ratios: np.ndarray, missing: float) -> Float64[np.ndarray, " cell"]:
    """One ratio a cell, within a hundred either way; what is no such ratio counts as missing."""
    if len(ratios) != limits.pack.series_count:
        return np.full(limits.pack.series_count, missing)
    there = np.isfinite(ratios) & (ratios > 0.0)
    return np.where(there, np.clip(ratios, 0.01, 100.0), missing)


def _nominal(limits: Limits) -> float:
    return limits.pack.nominal_capacity_ah


def _soc(limits: Limits, view: View, ways: Ways) -> None:
    low, high = view.low_soc_fraction, view.high_soc_fraction
    if low is None or high is None:
        doubt = limits.doubt_fraction
        ways.leave("missing_soc", doubt, doubt, _NAN)
        return
    highest, lowest = float(high.max()), float(low.min())
    part = limits.curves.charge_soc.read(highest)
    if part < 1.0:
        ways.leave("soc", part, 1.0, highest, int(high.argmax()))
    part = limits.curves.discharge_soc.read(lowest)
    if part < 1.0:
        ways.leave("soc", 1.0, part, lowest, int(low.argmin()))


def _soc_bounds(
    limits: Limits, unix_second: float, charge: Charge | None
) -> tuple[Float64[np.ndarray, " cell"] | None, Float64[np.ndarray, " cell"] | None]:
    """Charge of each cell two deviations down and up; none where it is not known or stale. [1]"""
    if charge is None or not abs(unix_second - charge.unix_time_second) <= limits.stale_second:
        return None, None
    if len(charge.soc_fraction) != limits.pack.series_count:
        return None, None
    doubt = limits.soc_std_count * np.abs(charge.soc_std_fraction)
    low, high = charge.soc_fraction - doubt, charge.soc_fraction + doubt
    # A sum is NaN or infinite if a single one of them is.
    if not np.isfinite(low.sum() + high.sum()):
        return None, None
    return low.clip(0.0, 1.0), high.clip(0.0, 1.0)


def _forecast(
    limits: Limits,
    believed: tuple[Lags, View],
    unix_second: float,
    told: Capability | None,
    ways: Ways,
) -> None:
    """The forecast of `health` where there is one, our own bound where there is none."""
    lags, view = believed
    at = limits.horizon_index
    charge, discharge = forecast(limits.prospect, lags, view, slice(at, at + 1))
    second = float(limits.prospect.horizon_second[at])
    row = -1
    if told is not None and abs(unix_second - told.unix_time_second) <= limits.stale_second:
        fits = told.charge_ampere.shape[1:] == told.discharge_ampere.shape[1:] == charge.shape[1:]
        row = told.horizon_second.index(second) if fits and second in told.horizon_second else -1
    for own, way, name in (
        (charge[0], ways.charge, "charge_ampere"),
        (discharge[0], ways.discharge, "discharge_ampere"),
    ):
        amperes = own
        if row >= 0:
            better = getattr(told, name)[row]
            amperes = np.where(np.isfinite(better), np.maximum(better, 0.0), own)
        lowest = float(np.fmin.reduce(amperes))
        if lowest < way.most_ampere:
            item = int(np.nanargmin(amperes))
            way.leave("forecast", lowest, float(view.voltage_volt[item]), item)


def _faults(limits: Limits, diagnosis: Diagnosis, ways: Ways) -> None:
    derated = limits.derate_fraction
    parts = {
        Reaction.DERATE: (derated, derated),
        Reaction.FORBID_CHARGE: (0.0, 1.0),
        Reaction.FORBID_CLOSE: (0.0, derated),
        Reaction.OPEN: (0.0, 0.0),
    }
    for trouble in diagnosis.troubles:
        charge, discharge = parts.get(trouble.reaction, (1.0, 1.0))
        ways.leave(f"fault.{trouble.name}", charge, discharge, trouble.value, trouble.item)


def _orders(
    ceilings: tuple[Ceiling, ...], clock: float, pack_volt: tuple[float, float], ways: Ways
) -> None:
    low, high = pack_volt
    for order in ceilings:
        if clock >= order.expires_clock_second:
            continue
        charge = min(order.charge_ampere, order.charge_watt / high)
        discharge = min(order.discharge_ampere, order.discharge_watt / high)
        name = f"order.{order.name}"
        ways.charge.leave(name, charge, low)
        ways.discharge.leave(name, discharge, low)


def view_of(limits: Limits, reading: Reading, known: Known) -> View:
    """The cells as the forecast sees them, all that is uncertain on its worse side."""
    frame, condition = reading.frame, known.condition
    voltage = _read(frame.cell_voltage_volt)
    if len(voltage) != limits.pack.series_count:
        voltage = np.full(limits.pack.series_count, _NAN)
    celsius = _read(frame.cell_temperature_celsius)
    low, high = _soc_bounds(limits, frame.unix_time_second, known.charge)
    return View(
        voltage_volt=voltage,
        current_ampere=frame.current_ampere if isfinite(frame.current_ampere) else _NAN,
        coldest_celsius=float(np.fmin.reduce(celsius)) if celsius.size else _NAN,
        capacity_ah=_nominal(limits) if condition is None else _capacity(limits, condition),
        resistance_factor=1.0 if condition is None else _factor(limits, condition),
        low_soc_fraction=low,
        high_soc_fraction=high,
    )


def _read(values: np.ndarray) -> Float64[np.ndarray, " item"]:
    """Readings, those that are no numbers as missing."""
    wide = values.astype(np.float64)
    return np.where(np.isfinite(wide), wide, _NAN)


def pack_volt(limits: Limits, reading: Reading, view: View) -> tuple[float, float]:
    """The pack's voltage now; its lowest and highest possible where it is not known. [V]"""
    frame, count = reading.frame, limits.pack.series_count
    tier = limits.pack.cell.limits.operating
    total = float(view.voltage_volt.sum())
    for read in (total, frame.voltage_volt):
        if 0.0 < read < float("inf"):
            return read, read
    return count * tier.low_voltage_volt, count * tier.high_voltage_volt

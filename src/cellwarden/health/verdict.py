"""What is said of one cell, with everything needed to check it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.domain import Health, Life, NotServed

__all__ = ["Fade", "Forecast", "Used", "Verdict"]


@dataclass(frozen=True, slots=True, eq=False)
class Fade:
    """One row a charge, NaN where there is no number.

    `measured_capacity_ah` is what the full discharge after the charge delivered at moderate rate
    and temperature; `soh_fraction` with `low` and `high` is estimated from the charge alone.
    """

    cycle_count: Int64[np.ndarray, " cycle"]
    time_second: Float64[np.ndarray, " cycle"]
    measured_capacity_ah: Float64[np.ndarray, " cycle"]
    soh_fraction: Float64[np.ndarray, " cycle"]
    low: Float64[np.ndarray, " cycle"]
    high: Float64[np.ndarray, " cycle"]


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """State of health expected at coming cycles."""

    cycle_count: Int64[np.ndarray, " cycle"]
    soh_fraction: Float64[np.ndarray, " cycle"]
    low: Float64[np.ndarray, " cycle"]
    high: Float64[np.ndarray, " cycle"]


@dataclass(frozen=True, slots=True)
class Used:
    """The charge that the health was told from, by its first and last time stamp.

    Times are on the record's own clock: Unix where it has one, test time where it has not.
    """

    cycle_count: int
    start_time_second: float
    stop_time_second: float


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """Health, life, fade and forecast of one cell, and the model that says so.

    `fold` is "full", or the training cell that the record was recognised as; its number then
    comes from the fit that never saw that cell.
    """

    name: str
    nominal_capacity_ah: float | None
    health: Health | NotServed
    life: Life | NotServed
    fade: Fade
    forecast: Forecast | None
    model_name: str
    model_digest: str
    fold: str
    used: Used | None

    def __str__(self) -> str:
        return "\n".join([self.name or "cell", *(f"  {line}" for line in self._lines())])

    def _lines(self) -> list[str]:
        measured = self.fade.measured_capacity_ah[np.isfinite(self.fade.measured_capacity_ah)]
        lines = [_health(self.health), _life(self.life)]
        if len(measured) and self.nominal_capacity_ah:
            share = measured[-1] / self.nominal_capacity_ah
            lines.append(
                f"measured  {measured[-1]:.3f} Ah ({share:.1%} of nominal),"
                f" the last of {len(measured)} full discharges"
            )
        lines.append(f"model     {self.model_name} {self.model_digest[:12]}, {_fold(self.fold)}")
        return lines


def _health(health: Health | NotServed) -> str:
    if isinstance(health, NotServed):
        return f"health    not served: {health.reason}"
    span = health.interval
    return (
        f"health    {health.soh_fraction:.1%} of nominal, {span.low:.1%} to {span.high:.1%}"
        f" at {span.coverage:.0%}, from the charge of cycle {health.cycle_count}"
    )


def _life(life: Life | NotServed) -> str:
    if isinstance(life, NotServed):
        return f"life      not served: {life.reason}"
    span = life.interval
    return (
        f"life      {life.life_cycle_count:.0f} cycles to {life.end_of_life_fraction:.0%},"
        f" {span.low:.0f} to {span.high:.0f} at {span.coverage:.0%}"
    )


def _fold(fold: str) -> str:
    return "fitted on all training cells" if fold == "full" else f"the fit that never saw {fold}"

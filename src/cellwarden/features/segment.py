"""What any part of a charge tells, as telemetry has it: begun anywhere, ended anywhere, with gaps.

Rules
- The numbers of a segment come from its own rows. Rows at rest before and after the current are
  left out, so a charger that is switched off has passed no level of a taper.
- A window of voltage, or a step of the taper, counts only when the segment came in through one
  edge and left through the other with no step longer than `GAP_SECOND`; otherwise it is NaN,
  which says "not seen" and never zero. The charge in a window over its width is dQ/dV there.
- A taper is where the voltage has come within `TOP_VOLT` of 4.2 V. The time in which its current
  falls from one level to the next, over the logarithm of their ratio, is its time constant there.
- `log` shows a charge as a logger would have: it takes rows that were measured and invents none,
  rounds them to the sensors' steps, loses some, and now and then all rows of some minutes. What it
  draws comes from the seed alone.
"""

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cellwarden.errors import UsageError
from cellwarden.features.cycles import REST_PER_HOUR, Runs, Samples
from cellwarden.features.partial import voltage_windows

__all__ = [
    "SEGMENT_COLUMNS",
    "TAPER_COLUMNS",
    "WINDOW_COLUMNS",
    "Logger",
    "Segment",
    "log",
    "part",
    "segment_features",
    "segment_of",
]

GAP_SECOND: Final = 180.0  # three rows of the slowest usual logger
TOP_VOLT: Final = 4.19  # two coarse sensors' steps under the 4.2 V that is held
EDGE_VOLT: Final = np.round(np.arange(3.60, 4.18, 0.025), 3)
TAPER_PER_HOUR: Final = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4)  # of nominal

WINDOW_COLUMNS: Final = tuple(
    f"charge_{low:.3f}_to_{high:.3f}_volt_fraction" for low, high in itertools.pairwise(EDGE_VOLT)
)
TAPER_COLUMNS: Final = tuple(
    f"taper_{high:g}_to_{low:g}_hour" for low, high in itertools.pairwise(TAPER_PER_HOUR)
)
SEGMENT_COLUMNS: Final = (
    *WINDOW_COLUMNS,
    *TAPER_COLUMNS,
    "charge_fraction",
    "start_voltage_volt",
    "stop_voltage_volt",
    "rate_per_hour",
    "temperature_celsius",
)


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Rows of one charge or of a part of it; NaN where a sensor gave nothing."""

    time_second: Float64[np.ndarray, " time"]
    voltage_volt: Float64[np.ndarray, " time"]
    current_ampere: Float64[np.ndarray, " time"]
    temperature_celsius: Float64[np.ndarray, " time"]
    nominal_capacity_ah: float

    def __len__(self) -> int:
        return len(self.time_second)

    def rows(self, chosen: Bool[np.ndarray, " time"] | Int64[np.ndarray, " item"]) -> "Segment":
        """Some of the rows."""
        return Segment(
            self.time_second[chosen],
            self.voltage_volt[chosen],
            self.current_ampere[chosen],
            self.temperature_celsius[chosen],
            self.nominal_capacity_ah,
        )


@dataclass(frozen=True, slots=True)
class Logger:
    """How telemetry is kept; a pair is the range that is drawn from evenly.

    `lost_fraction` of the rows do not arrive; with the chance `outage_fraction` none does for
    `outage_second`.
    """

    period_second: tuple[float, float] = (10.0, 60.0)
    voltage_step_volt: float = 0.001
    current_step_ampere: float = 0.01
    temperature_step_celsius: float = 1.0
    lost_fraction: float = 0.05
    outage_fraction: float = 0.3
    outage_second: tuple[float, float] = (60.0, 600.0)


def segment_of(taken: Samples, runs: Runs, run: int) -> Segment:
    """The rows of one run of a record.

    Raises:
        UsageError: the run is no charge.
    """
    if not runs.charges[run]:
        raise UsageError(f"run {run} is a discharge", hint="Take a run that charges.")
    rows = slice(int(runs.start[run]), int(runs.stop[run]))
    return Segment(
        taken.time_second[rows],
        taken.voltage_volt[rows],
        taken.current_ampere[rows],
        taken.temperature_celsius[rows],
        taken.nominal_capacity_ah,
    )


def part(whole: Segment, begin_fraction: float, end_fraction: float) -> Segment:
    """The rows in which the charge passed lies between two parts of all that passes.

    Raises:
        UsageError: the parts are not in order within 0 and 1.
    """
    if not 0 <= begin_fraction < end_fraction <= 1:
        raise UsageError(
            f"no part of a charge: {begin_fraction} to {end_fraction}",
            hint="Give 0 <= begin < end <= 1.",
        )
    passed = _passed(whole)
    share = passed / passed[-1] if len(passed) and passed[-1] > 0 else passed
    return whole.rows((share >= begin_fraction) & (share <= end_fraction))


def log(whole: Segment, logger: Logger, seed: int | tuple[int, ...]) -> Segment:
    """The same charge as a logger would have kept it.

    Raises:
        UsageError: the logger's period or one of its steps is not above zero.
    """
    steps = (
        logger.voltage_step_volt, logger.current_step_ampere, logger.temperature_step_celsius,
    )  # fmt: skip
    if not (min(*logger.period_second, *steps) > 0):
        raise UsageError("a logger's period and steps must be above zero", hint="Check Logger.")
    if not len(whole):
        return whole
    draw = np.random.default_rng(seed)
    since = whole.time_second - whole.time_second[0]
    shortest, longest = logger.period_second
    at = np.cumsum(draw.uniform(shortest, longest, int(since[-1] / shortest) + 2))
    rows = np.unique(np.searchsorted(since, np.concatenate([[0.0], at])))
    rows = rows[rows < len(since)]
    kept = draw.random(len(rows)) >= logger.lost_fraction
    begin, lasts = draw.uniform(0, since[-1]), draw.uniform(*logger.outage_second)
    if draw.random() < logger.outage_fraction:
        kept &= (since[rows] < begin) | (since[rows] > begin + lasts)
    seen = whole.rows(rows[kept])
    return Segment(
        seen.time_second,
        _rounded(seen.voltage_volt, logger.voltage_step_volt),
        _rounded(seen.current_ampere, logger.current_step_ampere),
        _rounded(seen.temperature_celsius, logger.temperature_step_celsius),
        whole.nominal_capacity_ah,
    )


def segment_features(seen: Segment) -> dict[str, float]:
    """The numbers of `SEGMENT_COLUMNS`, NaN where the segment does not tell. [1, h, V, 1/h, °C]"""
    whole = _loaded(seen)
    nominal = whole.nominal_capacity_ah
    if len(whole) < 2:  # noqa: PLR2004  nothing passes in less than a step
        return dict.fromkeys(SEGMENT_COLUMNS, float("nan"))
    columns = (whole.time_second, whole.voltage_volt, whole.current_ampere)
    windows = voltage_windows(*columns, EDGE_VOLT, direction="charge", gap_second=GAP_SECOND)
    # Readings that are not known are left out there; here they are no taper.
    held = whole.rows(np.asarray(whole.voltage_volt >= TOP_VOLT))
    rate = held.current_ampere / nominal
    level = np.array(TAPER_PER_HOUR)
    falls = voltage_windows(
        held.time_second, rate, rate, level, direction="discharge", gap_second=GAP_SECOND
    )
    constant = falls.time_second / 3600 / np.log(level[1:] / level[:-1])
    whole_gap = np.diff(whole.time_second).max() > GAP_SECOND
    celsius = whole.temperature_celsius[np.isfinite(whole.temperature_celsius)]
    told = {
        **dict(zip(WINDOW_COLUMNS, windows.charge_ah / nominal, strict=True)),
        **dict(zip(TAPER_COLUMNS, constant, strict=True)),
        "charge_fraction": float("nan") if whole_gap else _passed(whole)[-1] / nominal,
        "start_voltage_volt": whole.voltage_volt[0],
        "stop_voltage_volt": whole.voltage_volt[-1],
        "rate_per_hour": np.median(whole.current_ampere) / nominal,
        "temperature_celsius": celsius.mean() if len(celsius) else float("nan"),
    }
    return {name: float(told[name]) for name in SEGMENT_COLUMNS}


def _rounded(column: Float64[np.ndarray, " time"], step: float) -> Float64[np.ndarray, " time"]:
    """Readings on a sensor's steps. [unit of the column]"""
    return np.asarray(np.round(column / step) * step)


def _loaded(seen: Segment) -> Segment:
    """The rows whose time, voltage and current are known, from the first current to the last."""
    columns = (seen.time_second, seen.voltage_volt, seen.current_ampere)
    known = seen.rows(np.logical_and.reduce([np.isfinite(column) for column in columns]))
    flows = np.flatnonzero(known.current_ampere > REST_PER_HOUR * known.nominal_capacity_ah)
    return known.rows(np.arange(flows[0], flows[-1] + 1) if len(flows) else flows)


def _passed(whole: Segment) -> Float64[np.ndarray, " time"]:
    """Charge since the first row. [Ah]"""
    step = np.maximum(np.diff(whole.time_second), 0.0) / 3600
    mean = np.maximum(whole.current_ampere[1:] + whole.current_ampere[:-1], 0.0) / 2
    return np.concatenate([np.zeros(min(len(whole), 1)), np.cumsum(mean * step)])

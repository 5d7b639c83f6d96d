"""Values that do not belong: the classic tests on a handful of numbers.

Rules
- `iqr_fences` uses quantile type 7 of Hyndman and Fan (1996), the default of NumPy and R, unless
  another of types 4 to 9 is named.
- `grubbs` and `generalised_esd` are two-sided unless told otherwise and assume that the rest of
  the values is normal; give `generalised_esd` at least 25 values (Rosner's own advice).
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from jaxtyping import Bool, Float

from cellwarden.errors import UsageError

__all__ = ["SIGMA_OF_MAD", "Extreme", "generalised_esd", "grubbs", "hampel", "iqr_fences"]

SIGMA_OF_MAD: Final = 1.4826  # of a normal distribution

_METHODS: Final[
    dict[
        int,
        Literal[
            "interpolated_inverted_cdf",
            "hazen",
            "weibull",
            "linear",
            "median_unbiased",
            "normal_unbiased",
        ],
    ]
] = {
    4: "interpolated_inverted_cdf",
    5: "hazen",
    6: "weibull",
    7: "linear",
    8: "median_unbiased",
    9: "normal_unbiased",
}

Values = Float[np.ndarray, " value"]


@dataclass(frozen=True, slots=True)
class Extreme:
    """The value furthest from the mean of those left, and the test's verdict on it."""

    index: int
    statistic: float
    critical: float

    @property
    def beyond(self) -> bool:
        """Whether this value alone would be called an outlier."""
        return self.statistic > self.critical


def iqr_fences(values: Values, reach: float = 1.5, quantile_type: int = 7) -> tuple[float, float]:
    """Lowest and highest value inside Tukey's fences. [unit of the values]

    Gaps (NaN) are left out. Source: Tukey, Exploratory Data Analysis (1977); quantile types:
    Hyndman and Fan (1996), doi 10.1080/00031305.1996.10473566.

    Raises:
        UsageError: no values, or not a quantile type of 4 to 9.
    """
    known = values[np.isfinite(values)]
    if not len(known) or quantile_type not in _METHODS:
        raise UsageError(
            "fences need values and a quantile type of 4 to 9",
            hint="Type 7 is the default of NumPy and R; 6 that of Minitab and SPSS.",
        )
    low, high = np.quantile(known, (0.25, 0.75), method=_METHODS[quantile_type])
    return float(low - reach * (high - low)), float(high + reach * (high - low))


def hampel(values: Values, reach_count: int = 3, sigma: float = 3.0) -> Bool[np.ndarray, " value"]:
    """Which values stand apart from the median of their window, by its robust deviation. [1]

    The window is `reach_count` values to each side, cut off at the ends; gaps never stand apart.
    Source: Davies and Gather (1993), doi 10.1080/01621459.1993.10476339.

    Raises:
        UsageError: a window without neighbours.
    """
    if reach_count < 1:
        raise UsageError("a window needs neighbours", hint="Give a reach of 1 or more.")
    padded = np.pad(values.astype(np.float64), reach_count, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach_count + 1)
    known = np.isfinite(values)
    apart = np.zeros(len(values), dtype=np.bool_)
    if known.any():
        median = np.nanmedian(windows[known], axis=1)
        spread = np.nanmedian(np.abs(windows[known] - median[:, None]), axis=1)
        apart[known] = np.abs(values[known] - median) > sigma * SIGMA_OF_MAD * spread
    return apart


def grubbs(values: Values, alpha: float = 0.05, *, two_sided: bool = True) -> Extreme:
    """The most extreme value and whether it is an outlier. [1]

    One-sided tests for the greatest value. Source: Grubbs (1969), doi
    10.1080/00401706.1969.10490657; NIST/SEMATECH e-Handbook 1.3.5.17.1.

    Raises:
        UsageError: fewer than three values, a gap among them, or all equal.
    """
    _check(values, 3)
    away = values - values.mean()
    index = int(np.argmax(np.abs(away) if two_sided else away))
    statistic = float(abs(away[index]) / values.std(ddof=1))
    return Extreme(index, statistic, _critical(len(values), alpha, two_sided=two_sided))


def generalised_esd(
    values: Values, outlier_count: int, alpha: float = 0.05
) -> tuple[list[int], list[Extreme]]:
    """Which values are outliers, at most `outlier_count`, and each step of the test.

    Source: Rosner (1983), doi 10.1080/00401706.1983.10487848; NIST/SEMATECH e-Handbook 1.3.5.17.3.

    Raises:
        UsageError: fewer than three values would be left, a gap among them, or all equal.
    """
    _check(values, outlier_count + 2)
    left = np.arange(len(values))
    steps: list[Extreme] = []
    for _ in range(outlier_count):
        rest = values[left]
        deviation = rest.std(ddof=1)
        if deviation == 0:
            break
        away = np.abs(rest - rest.mean()) / deviation
        at = int(np.argmax(away))
        critical = _critical(len(rest), alpha, two_sided=True)
        steps.append(Extreme(int(left[at]), float(away[at]), critical))
        left = np.delete(left, at)
    count = max((n for n, step in enumerate(steps, 1) if step.beyond), default=0)
    return [step.index for step in steps[:count]], steps


def _check(values: Values, least: int) -> None:
    if len(values) < least or not np.all(np.isfinite(values)) or np.ptp(values) == 0:
        raise UsageError(
            f"the test needs at least {least} readings that are not all equal",
            hint="Leave out the gaps first, and ask for fewer outliers.",
        )


def _critical(count: int, alpha: float, *, two_sided: bool) -> float:
    """Critical value of Grubbs' statistic. [1]"""
    from scipy.special import stdtrit  # noqa: PLC0415  slow to import, needed by no step

    tail = alpha / (2 * count) if two_sided else alpha / count
    t = float(stdtrit(count - 2, 1 - tail))
    return float((count - 1) / np.sqrt(count) * np.sqrt(t * t / (count - 2 + t * t)))

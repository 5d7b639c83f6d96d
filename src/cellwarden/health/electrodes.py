"""What a slow curve tells of the two electrodes, and of how they aged: LLI and LAM.

    V(q) = Up(y + q/Cp) - Un(x - q/Cn)

q is the charge taken out since the curve began, y and x how full the electrodes were then, Cp and
Cn their capacities. Against an earlier curve of the same cell, lost active material is the capacity
that is gone, lost lithium is what is gone of Cp y + Cn x, which no charge or discharge changes.

Rules
- The curve is open-circuit voltage, or slow enough: the mean of a slow charge and discharge.
- A number is `told` where its 90 % interval is closed and no wider than `WIDEST` of it on each
  side; a narrow window of charge does not tell, and says so.
- Intervals are for chance and for errors that neighbouring points share, as the residuals show
  them; not for a potential that is another material's.

Source of the balance: C. R. Birkl et al., J. Power Sources 341, 373 (2017), doi
10.1016/j.jpowsour.2016.12.011.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import DataError, UsageError
from cellwarden.health.profile import Fit, condition_number, fit, interval, naive_std

__all__ = ["NAMES", "WIDEST", "Balance", "Modes", "Number", "fit_balance", "modes", "slow_curve"]

NAMES: Final = ("positive_capacity_ah", "negative_capacity_ah", "positive_full", "negative_full")
WIDEST: Final = 0.1
_COVERAGE: Final = 0.9
_STARTS: Final = 12
_POINTS: Final = 200
_FEWEST: Final = 20
_LEAST_NOISE: Final = 1e-7

Potential = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Number:
    """A number of the balance and its 90 % interval."""

    value: float
    low: float
    high: float

    @property
    def told(self) -> bool:
        """Whether the curve tells it."""
        away = max(self.high - self.value, self.value - self.low)
        return bool(np.isfinite(away) and away <= WIDEST * abs(self.value))


@dataclass(frozen=True, slots=True, eq=False)
class Balance:
    """The electrodes of a cell as a curve tells them; `numbers` by `NAMES`, and their covariance.

    `lithium_ah` is all the lithium that moves; `window_ah` the charge that the curve spans.
    """

    numbers: dict[str, Number]
    lithium_ah: float
    covariance: Float64[np.ndarray, "number number"]
    condition_number: float
    rmse_volt: float
    window_ah: float

    @property
    def told(self) -> bool:
        """Whether all four numbers are told."""
        return all(one.told for one in self.numbers.values())

    @property
    def values(self) -> Float64[np.ndarray, " number"]:
        """The four numbers. [Ah, Ah, 1, 1]"""
        return np.array([self.numbers[name].value for name in NAMES])


@dataclass(frozen=True, slots=True)
class Modes:
    """Shares lost since a reference, each with a standard error. [1]"""

    lithium_fraction: float
    positive_fraction: float
    negative_fraction: float
    lithium_std: float
    positive_std: float
    negative_std: float


def slow_curve(
    discharged_ah: Float64[np.ndarray, " point"],
    discharge_volt: Float64[np.ndarray, " point"],
    charged_ah: Float64[np.ndarray, " point"],
    charge_volt: Float64[np.ndarray, " point"],
    count: int = _POINTS,
) -> tuple[Float64[np.ndarray, " point"], Float64[np.ndarray, " point"]]:
    """Charge out since full and the mean of a slow discharge and the charge after it. [Ah, V]

    Each is counted from its own start; the charge is stretched to the discharge's span.
    """
    span = float(discharged_ah[-1])
    grid = np.linspace(0.0, span, count)
    down = np.interp(grid, discharged_ah, discharge_volt)
    back = span * (1 - charged_ah / charged_ah[-1])
    up = np.interp(grid, back[::-1], charge_volt[::-1])
    return grid, (down + up) / 2


def fit_balance(
    discharged_ah: Float64[np.ndarray, " point"],
    voltage_volt: Float64[np.ndarray, " point"],
    positive: Potential,
    negative: Potential,
    nominal_capacity_ah: float,
) -> Balance:
    """Capacities of the electrodes and how full they are where the curve begins. [Ah, 1]

    Raises:
        DataError: the charge does not rise, or there are fewer than twenty points.
        UsageError: the nominal capacity is not above zero.
    """
    if nominal_capacity_ah <= 0:
        raise UsageError("a capacity lies above zero", hint="Give the cell's nominal Ah.")
    if len(discharged_ah) < _FEWEST or np.any(np.diff(discharged_ah) <= 0):
        raise DataError("no curve to fit", hint="Give twenty points of rising discharged charge.")
    charge = discharged_ah - discharged_ah[0]
    if len(charge) > _POINTS:
        grid = np.linspace(0.0, float(charge[-1]), _POINTS)
        charge, voltage_volt = grid, np.interp(grid, charge, voltage_volt)

    def left(numbers: Float64[np.ndarray, " number"]) -> Float64[np.ndarray, " point"]:
        cp, cn, y, x = numbers
        told = positive(np.clip(y + charge / cp, 0.0, 1.0))
        # Outside 0..1 there is no electrode: a wall of volts turns the search back.
        over = np.maximum(y + charge / cp - 1, 0.0) + np.maximum(charge / cn - x, 0.0)
        return np.asarray(told - negative(np.clip(x - charge / cn, 0.0, 1.0)) - voltage_volt + over)

    low = np.array([0.7 * nominal_capacity_ah, 0.7 * nominal_capacity_ah, 0.0, 0.0])
    high = np.array([3.0 * nominal_capacity_ah, 3.0 * nominal_capacity_ah, 1.0, 1.0])
    rng = np.random.default_rng(0)
    starts = [
        np.array([*(nominal_capacity_ah * rng.uniform(1, 1.8, 2)), *rng.uniform((0.1, 0.5), 1.0)])
        for _ in range(_STARTS)
    ]
    best = fit(left, starts, low, high)
    count = _readings(best)
    numbers = {
        name: Number(
            float(best.numbers[k]), *interval(left, best, k, (low, high), count, _COVERAGE)
        )
        for k, name in enumerate(NAMES)
    }
    cp, cn, y, x = best.numbers
    return Balance(
        numbers, float(cp * y + cn * x), _covariance(best, count), condition_number(best),
        float(np.sqrt(np.mean(best.left**2))), float(charge[-1]),
    )  # fmt: skip


def modes(reference: Balance, aged: Balance) -> Modes:
    """What was lost from one curve of a cell to a later one; negative: gained. [1]"""
    before, after = _amounts(reference), _amounts(aged)
    lost = 1 - after[0] / before[0]
    share = (after[0] / before[0]) ** 2
    std = np.sqrt(share * (after[1] / after[0] ** 2 + before[1] / before[0] ** 2))
    return Modes(*(float(one) for one in (*lost, *std)))


def _amounts(balance: Balance) -> tuple[np.ndarray, np.ndarray]:
    """Lithium, positive and negative capacity, and the variance of each. [Ah, Ah²]"""
    cp, cn, y, x = balance.values
    slopes = np.array([[y, x, cp, cn], [1.0, 0, 0, 0], [0, 1.0, 0, 0]])
    variance = np.einsum("ai,ij,aj->a", slopes, balance.covariance, slopes)
    return np.array([balance.lithium_ah, cp, cn]), variance


def _readings(best: Fit) -> float:
    """How many independent readings the points are worth. [1]"""
    left = best.left
    square = max(float(left @ left), _LEAST_NOISE**2 * len(left))
    alike = min(max(float(left[1:] @ left[:-1]) / square, 0.0), 0.99)
    return max(len(left) * (1 - alike) / (1 + alike), len(best.numbers) + 1.0)


def _covariance(best: Fit, count: float) -> Float64[np.ndarray, "number number"]:
    inverse = np.linalg.pinv(best.slopes.T @ best.slopes, rcond=1e-14)
    unit = np.sqrt(np.diag(inverse))
    return np.asarray(inverse / np.outer(unit, unit) * np.outer(*[naive_std(best, count)] * 2))

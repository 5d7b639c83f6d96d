"""Electrode balance: made truth is found within its interval, a narrow window is not told."""

import numpy as np
import pytest

from cellwarden.errors import DataError, UsageError
from cellwarden.health.electrodes import NAMES, Balance, fit_balance, modes, slow_curve
from cellwarden.physics.ocp import graphite_siox, nmc811

TRUTH = np.array([4.7, 3.2, 0.28, 0.92])  # Ah, Ah, filled when full


def made(
    numbers: np.ndarray = TRUTH, low: float = 0.0, high: float = 1.0, noise: float = 0.001
) -> tuple[np.ndarray, np.ndarray]:
    """A slow discharge of a cell between shares of its charge taken out."""
    cp, cn, y, x = numbers
    charge = np.linspace(low, high, 300) * min((0.9 - y) * cp, (x - 0.02) * cn)
    volts = nmc811(y + charge / cp) - graphite_siox(x - charge / cn)
    return charge, volts + np.random.default_rng(3).normal(0, noise, len(charge))


def told(curve: tuple[np.ndarray, np.ndarray]) -> Balance:
    return fit_balance(*curve, nmc811, graphite_siox, 3.0)


@pytest.fixture(scope="module")
def new() -> Balance:
    return told(made())


def test_made_electrodes_lie_within_their_intervals(new: Balance) -> None:
    assert new.told
    assert new.rmse_volt == pytest.approx(0.001, rel=0.2)
    for name, truth in zip(NAMES, TRUTH, strict=True):
        assert new.numbers[name].low <= truth <= new.numbers[name].high, name
    assert new.lithium_ah == pytest.approx(4.7 * 0.28 + 3.2 * 0.92, rel=0.01)


def test_a_narrow_window_says_that_it_does_not_tell(new: Balance) -> None:
    narrow = told(made(low=0.45, high=0.55, noise=0.003))
    assert not narrow.told
    assert any(not one.told for one in narrow.numbers.values())
    wide, slim = (one.numbers["negative_capacity_ah"] for one in (new, narrow))
    assert slim.high - slim.low > 5 * (wide.high - wide.low)


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        ([0.9, 1, 1, 1], "positive_fraction"),
        ([1, 0.9, 1, 1], "negative_fraction"),
    ],
)
def test_what_was_taken_from_the_electrodes_is_found(
    new: Balance, change: list[float], lost: str
) -> None:
    aged = TRUTH * np.array(change)
    found = modes(new, told(made(aged)))
    lithium = 1 - (aged[0] * aged[2] + aged[1] * aged[3]) / (4.7 * 0.28 + 3.2 * 0.92)
    assert getattr(found, lost) == pytest.approx(0.1, abs=0.015)
    assert found.lithium_fraction == pytest.approx(lithium, abs=0.015)
    assert 0 < found.lithium_std < 0.02


def test_lost_lithium_alone_leaves_the_electrodes_whole(new: Balance) -> None:
    # The negative holds less when the positive is as full as before.
    lithium = 4.7 * 0.28 + 3.2 * 0.92
    aged = TRUTH.copy()
    aged[3] -= 0.1 * lithium / 3.2
    found = modes(new, told(made(aged)))
    assert found.lithium_fraction == pytest.approx(0.1, abs=0.01)
    assert abs(found.positive_fraction) < 0.02
    assert abs(found.negative_fraction) < 0.02


def test_where_the_curve_begins_does_not_change_the_lithium(new: Balance) -> None:
    later = told(made(low=0.1, high=1.0))
    assert later.lithium_ah == pytest.approx(new.lithium_ah, rel=0.02)


def test_the_mean_of_charge_and_discharge_takes_a_resistance_out() -> None:
    charge, volts = made(noise=0.0)
    back = charge[-1] - charge[::-1]
    grid, mean = slow_curve(charge, volts - 0.02, back, volts[::-1] + 0.02)
    assert mean == pytest.approx(np.interp(grid, charge, volts), abs=1e-3)


def test_what_cannot_be_a_curve_is_refused() -> None:
    charge, volts = made()
    with pytest.raises(DataError, match="no curve"):
        fit_balance(charge[:5], volts[:5], nmc811, graphite_siox, 3.0)
    with pytest.raises(DataError, match="no curve"):
        fit_balance(charge[::-1], volts, nmc811, graphite_siox, 3.0)
    with pytest.raises(UsageError, match="above zero"):
        fit_balance(charge, volts, nmc811, graphite_siox, 0.0)

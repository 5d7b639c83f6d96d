import numpy as np
import pytest

from cellwarden.control import runaway
from cellwarden.control.runaway import Slopes, Voices, middle

OHM = 0.03


def go(
    volts: np.ndarray,
    celsius: np.ndarray,
    amperes: np.ndarray | float = 0.0,
    gas: float = 0.0,
    period: float = 0.1,
) -> tuple[Slopes, list[Voices]]:
    slopes, told = runaway.begin(volts.shape[1], celsius.shape[1]), []
    amps = np.broadcast_to(np.asarray(amperes, dtype=float), len(volts))
    for index in range(len(volts)):
        slopes, voices = runaway.step(
            slopes,
            period,
            volts[index],
            celsius[index],
            current_ampere=amps[index],
            gas_fraction=gas,
            ohm=OHM,
            deaf_below_volt=3.2,
        )
        told.append(voices)
    return slopes, told


def flat(count: int = 200, cells: int = 6) -> tuple[np.ndarray, np.ndarray]:
    return np.full((count, cells), 3.7), np.full((count, cells), 25.0)


def spoken(told: list[Voices]) -> np.ndarray:
    return np.array([voices.speaking for voices in told])


def test_a_quiet_pack_says_nothing_and_gas_alone_is_one_voice() -> None:
    assert not spoken(go(*flat())[1]).any()
    told = spoken(go(*flat(), gas=0.0011)[1])
    assert told[-1].tolist() == [False, False, True]


def test_a_cell_that_drops_beside_its_siblings_is_heard_within_two_seconds() -> None:
    volts, celsius = flat()
    volts[100:, 3] -= 0.03
    told = spoken(go(volts, celsius)[1])[:, 0]
    assert not told[:100].any()
    assert told[120]
    assert told[-1], "kept for a minute"


def test_a_drop_that_all_cells_share_is_current_and_no_runaway() -> None:
    volts, celsius = flat()
    volts[100:] -= 0.2 * np.linspace(0.9, 1.1, 6)
    assert not spoken(go(volts, celsius)[1]).any()


@pytest.mark.parametrize(("amperes", "heard"), [(-5.0, False), (0.0, True)])
def test_a_cell_alone_is_compared_with_its_current(amperes: float, heard: bool) -> None:  # noqa: FBT001  a case
    volts, celsius = flat(cells=1)
    current = np.zeros(200)
    current[100:], volts[100:] = amperes, 3.7 - 5.0 * OHM
    assert spoken(go(volts, celsius, current)[1])[:, 0].any() == heard


def test_near_empty_cells_part_by_themselves() -> None:
    volts, celsius = flat()
    volts -= 0.6
    volts[100:, 3] -= 0.1
    assert not spoken(go(volts, celsius)[1]).any()


@pytest.mark.parametrize(("rate", "heard"), [(0.3, False), (0.7, True)])
def test_a_sensor_that_rises_faster_than_current_could_is_heard(rate: float, heard: bool) -> None:  # noqa: FBT001  a case
    volts, celsius = flat(400)
    celsius[100:, 2] += rate * 0.1 * np.arange(300)
    assert spoken(go(volts, celsius)[1])[:, 1].any() == heard


def test_siblings_that_cool_make_no_sensor_hot() -> None:
    volts, celsius = flat(400)
    celsius[100:, 1:] -= 0.8 * 0.1 * np.arange(300)[:, None]
    assert not spoken(go(volts, celsius)[1]).any()


def test_all_sensors_together_are_heard_when_they_rise_much_faster() -> None:
    volts, celsius = flat(400)
    celsius[100:] += 2.5 * 0.1 * np.arange(300)[:, None]
    assert spoken(go(volts, celsius)[1])[:, 1].any()


def test_a_missing_reading_leaves_the_means_and_a_gap_begins_anew() -> None:
    volts, celsius = flat()
    volts[50:60, 2] = np.nan
    celsius[50:60] = np.nan
    slopes, told = go(volts, celsius)
    assert not spoken(told).any()
    assert np.isfinite(slopes.quick_volt).all()
    after, voices = runaway.step(
        slopes,
        60.0,
        volts[0] - 0.3,
        celsius[0] + 30.0,
        current_ampere=0.0,
        gas_fraction=0.0,
        ohm=OHM,
        deaf_below_volt=3.2,
    )
    assert not voices.speaking.any()
    assert after.quick_volt == pytest.approx(volts[0] - 0.3)


@pytest.mark.parametrize("count", [3, 4, 7, 200])
def test_the_middle_is_the_median_of_what_was_read(count: int) -> None:
    values = np.random.default_rng(count).normal(size=(2, count))
    assert np.array_equal(middle(values)[:, 0], np.median(values, axis=-1))
    values[0, 1] = np.nan
    assert np.array_equal(middle(values)[:, 0], np.nanmedian(values, axis=-1))

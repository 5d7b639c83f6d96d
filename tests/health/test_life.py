import numpy as np
import pytest

from cellwarden.domain import Life, NotServed
from cellwarden.health.life import LifeFit, calibrate, end_of_life, remaining
from cellwarden.health.soh import Rows


def _rows(lives: list[int], *, bend: float = 0.0) -> tuple[Rows, np.ndarray]:
    """Cells that fade from 1.0 to 0.8 at their life, and on; `bend` delays the fade to the end."""
    cell, cycle, soh = [], [], []
    for place, life in enumerate(lives):
        at = np.arange(1, int(life * 1.1))
        part = at / life
        fade = (1 - bend) * part + bend * part**8
        cell.append(np.full(len(at), place))
        cycle.append(at)
        soh.append(1.0 - 0.2 * fade)
    target = np.concatenate(soh)
    names = tuple(f"c{k}" for k in range(len(lives)))
    return Rows(names, np.concatenate(cell), np.concatenate(cycle), target, {}), target


def test_a_straight_fade_is_followed_to_its_end() -> None:
    cycle = np.arange(1, 101)
    assert remaining(cycle, 1.0 - 0.001 * cycle) == pytest.approx(100, abs=5)


def test_too_few_estimates_give_no_life() -> None:
    assert np.isnan(remaining(np.arange(10), np.linspace(1, 0.9, 10)))
    assert isinstance(LifeFit(2.0, 0.8)(np.arange(10), np.linspace(1, 0.9, 10)), NotServed)


def test_the_end_is_where_the_smoothed_capacity_stays_below_not_at_one_bad_reading() -> None:
    measured = np.linspace(1.0, 0.7, 61) + 0.001
    measured[10] = 0.1
    assert end_of_life(np.arange(61), measured) == 41
    assert end_of_life(np.arange(61), np.full(61, 0.9)) is None


def test_a_trend_that_beats_the_mean_life_is_served_with_an_interval() -> None:
    rows, told = _rows([100, 200, 300, 400, 600])
    fitted = calibrate(rows, told, 0.8)
    assert isinstance(fitted, LifeFit)
    cycle = np.arange(1, 151)
    life = fitted(cycle, 1.0 - 0.001 * cycle)
    assert isinstance(life, Life)
    assert life.interval.low <= 50 <= life.interval.high
    assert life.interval.coverage == 0.8


def test_a_trend_that_does_not_beat_the_mean_life_is_not_served() -> None:
    rows, told = _rows([290, 300, 300, 310, 305], bend=0.9)
    refusal = calibrate(rows, told, 0.8)
    assert isinstance(refusal, NotServed)
    assert "mean life" in refusal.reason


def test_too_few_cells_that_reach_the_end_are_not_served() -> None:
    rows, told = _rows([100, 200, 300])
    refusal = calibrate(rows, told, 0.8)
    assert isinstance(refusal, NotServed)
    assert refusal.reason.startswith("only 3 training cells")

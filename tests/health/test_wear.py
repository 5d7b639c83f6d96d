"""Laws of wear: made numbers are found, time steps do not matter, what is not told says so."""

import numpy as np
import pytest

from cellwarden.errors import UsageError
from cellwarden.health.fade_law import Usage
from cellwarden.health.population import History
from cellwarden.health.wear import Term, Wear, clock_rates, fit_wear, lost

BY_USE = Term("cycle", ("temperature",))
NUMBERS = np.array([-8.0, 25.0, 0.8])


def made(celsius: float, seed: int, charge_rate: float = 1.0) -> History:
    draw = np.random.default_rng(seed)
    usage, cycle = Usage(celsius, charge_rate), np.arange(1.0, 601)
    wear = Wear((BY_USE,), NUMBERS + np.array([draw.normal(0, 0.05), 0, 0]))
    loss = lost(wear, clock_rates(wear, usage)[:, None] * cycle)
    return History(cycle, 1 - loss + draw.normal(0, 0.001, 600), usage)


CELLS = [made(celsius, seed) for seed, celsius in enumerate((25.0, 35.0, 45.0) * 4)]


def test_made_numbers_lie_within_what_the_fit_states() -> None:
    fit = fit_wear(CELLS, (BY_USE,))
    assert not fit.clocks_alike
    for number, truth in zip(fit.numbers, NUMBERS, strict=True):
        assert number.told
        assert number.low <= truth <= number.high
        assert number.low < number.value < number.high
    assert fit.numbers[1].value == pytest.approx(25.0, abs=3)


def test_one_temperature_tells_no_activation_energy() -> None:
    fit = fit_wear([made(25.0, seed) for seed in range(12)], (BY_USE,))
    assert not fit.numbers[1].told
    assert fit.condition_number > 1e6


def test_days_and_cycles_in_one_ratio_are_said_to_be_alike() -> None:
    terms = (Term("day", ()), Term("cycle", ()))
    fit = fit_wear([made(25.0, seed) for seed in range(8)], terms)
    assert fit.clocks_alike
    mixed = [made(25.0, seed, charge_rate=rate) for seed, rate in enumerate((0.25, 1.0) * 4)]
    assert not fit_wear(mixed, terms).clocks_alike


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_cutting_time_into_pieces_changes_nothing(pieces: int) -> None:
    wear = Wear((Term("day", ()), BY_USE), np.array([-9.0, 0.6, *NUMBERS]))
    plan = [(Usage(25.0), 300.0), (Usage(45.0, 0.5), 200.0), (Usage(35.0), 100.0)]
    clock = np.zeros(2)
    for usage, cycles in plan:
        for _ in range(pieces):
            clock += clock_rates(wear, usage) * cycles / pieces
    whole = sum(clock_rates(wear, usage) * cycles for usage, cycles in plan)
    assert lost(wear, clock) == pytest.approx(float(lost(wear, whole)), rel=1e-12)


def test_more_numbers_than_cells_are_refused() -> None:
    with pytest.raises(UsageError, match="cannot tell"):
        fit_wear(CELLS[:2], (BY_USE,))

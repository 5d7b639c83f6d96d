"""Cycles come when they are due, and what came late is counted."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.edge.pace import Pace

costs = st.lists(st.floats(0.0, 0.35), min_size=1, max_size=200)


@given(costs)
def test_every_cycle_begins_in_step_with_the_first_whatever_the_others_took(
    cost: list[float],
) -> None:
    pace, now = Pace(0.1, 5.0), 5.0
    begun = []
    for one in cost:
        began = now
        begun.append(began)
        now += one
        now += pace.end(began, now)
    steps = [(at - 5.0) / 0.1 for at in begun]
    assert steps == pytest.approx([round(step) for step in steps], abs=1e-6)
    assert all(after > before for before, after in pairwise(begun))
    assert pace.cycle_count == len(cost)
    assert pace.missed_count == round((now - 5.0) / 0.1) - len(cost)
    assert (pace.overrun_count == 0) == (pace.missed_count == 0)
    assert pace.longest_second == pytest.approx(max(cost), abs=1e-6)


def test_a_thousand_cycles_do_not_drift() -> None:
    pace, now = Pace(0.1, 0.0), 0.0
    for number in range(1000):
        began = now
        now += 0.03 + 0.00001 * (number % 7)
        now += pace.end(began, now)
    assert now == pytest.approx(100.0, abs=1e-9)
    assert pace.overrun_count == 0


def test_counts_begin_anew_when_they_were_taken_and_the_step_does_not() -> None:
    pace = Pace(0.1, 0.0)
    pace.end(0.0, 0.25)
    told = pace.take()
    assert (told.cycle_count, told.overrun_count, told.missed_count) == (1, 1, 2)
    assert (pace.cycle_count, pace.overrun_count, pace.missed_count) == (0, 0, 0)
    assert pace.due_second == pytest.approx(0.3)

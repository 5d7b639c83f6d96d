from dataclasses import replace

import pytest

from cellwarden.drills.clean import Quiet
from cellwarden.drills.faults import Outcome
from cellwarden.drills.figures import (
    clean_figures,
    fault_figures,
    fault_summaries,
    warning_figures,
)
from cellwarden.drills.runaway import Warned

SEEN = Outcome(
    "hot",
    "summer",
    "codes",
    51.0,
    "°C",
    50.0,
    beyond=True,
    detected=True,
    reaction_second=0.8,
    allowance_second=1.0,
)
FOUND = [
    replace(SEEN, level=58.0),
    SEEN,
    replace(SEEN, condition="winter", level=52.0, reaction_second=1.2),
    replace(SEEN, condition="winter", level=51.0, detected=False, reaction_second=float("inf")),
    replace(SEEN, level=49.9, beyond=False, detected=False, reaction_second=float("inf")),
]


def value(figures: list, name: str) -> float:
    return next(figure["value"] for figure in figures if figure["name"] == name)


def test_a_fault_that_is_missed_or_late_is_told() -> None:
    figures = fault_figures(FOUND)
    assert value(figures, "faults.detected_fraction") == 0.75
    assert value(figures, "faults.late_count") == 1
    assert value(figures, "faults.raised_within_limit_count") == 0
    made_up = [replace(FOUND[-1], detected=True)]
    assert value(fault_figures(made_up), "faults.raised_within_limit_count") == 1


def test_the_smallest_seen_is_that_of_the_condition_in_which_least_is() -> None:
    [row] = fault_summaries(FOUND)
    assert row["smallest_detected"] == pytest.approx(2.0)
    assert (row["beyond"], row["detected"], row["late"]) == (4, 3, 1)
    assert row["of_limit"]
    assert not row["low"]


def test_false_alarms_come_with_the_bound_that_the_hours_allow() -> None:
    figures = clean_figures(Quiet(1000.0, 78, {}), Quiet(17.8, 18, {"a": 1}))
    assert value(figures, "faults.false_alarms_per_month") == 0.0
    assert value(figures, "faults.false_alarms_per_month_bound") == pytest.approx(2.188, abs=0.01)
    assert value(figures, "faults.trips.false_alarms_per_month") > 40.0


def test_a_warning_ahead_of_the_onset_is_below_zero_and_what_never_came_is_left_out() -> None:
    figures = warning_figures([Warned("A test, 5C", 10.0, float("nan"), float("nan"), 30.0, 99.0)])
    assert [figure["name"] for figure in figures] == [
        "faults.runaway.a_test_5c.warning_before_peak_s"
    ]
    ahead = warning_figures([Warned("t", 10.0, 12.0, 15.0, 30.0, 99.0)])
    assert value(ahead, "faults.runaway.t.warning_after_onset_s") == -5.0

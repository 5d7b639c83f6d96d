from cellwarden.domain import Interval
from cellwarden.health.second_life import grade


def test_the_low_end_decides_and_a_wide_interval_asks_for_a_test() -> None:
    sure = grade(0.9, Interval(0.87, 0.93, 0.9))
    assert (sure.letter, sure.certain) == ("A", True)
    assert grade(0.9, Interval(0.8, 1.0, 0.9)).letter == "B"
    wide = grade(0.9, Interval(0.5, 1.0, 0.9))
    assert wide.letter == "D"
    assert not wide.certain
    assert "spans several grades" in " ".join(wide.reasons)


def test_what_ages_badly_loses_grades_and_says_why() -> None:
    told = grade(0.9, Interval(0.87, 0.93, 0.9), 1e-3, 5.0, 1.1)
    assert told.letter == "C"
    assert told.reasons[1:] == ("fades fast", "fading speeds up")
    assert grade(0.65, Interval(0.62, 0.7, 0.9), 1e-3, 5.0, 2.0).letter == "D"


def test_what_is_not_known_is_a_test_and_takes_no_grade() -> None:
    told = grade(0.9, Interval(0.87, 0.93, 0.9))
    assert "ageing over some cycles" in told.tests
    assert "resistance by a pulse" in told.tests
    known = grade(0.9, Interval(0.87, 0.93, 0.9), 1e-5, 1.0, 1.0)
    assert known.letter == told.letter
    assert known.tests == ("insulation", "self-discharge", "visual inspection")

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.domain import Finding, Interval, Severity
from cellwarden.errors import UsageError

NUMBER = st.floats(allow_nan=False, allow_infinity=False)


@given(NUMBER, NUMBER, st.floats(0.001, 0.999))
def test_an_interval_has_its_ends_in_order_or_is_refused(
    one: float, other: float, coverage: float
) -> None:
    interval = Interval(min(one, other), max(one, other), coverage)
    assert interval.low <= interval.high
    if one != other:
        with pytest.raises(UsageError):
            Interval(max(one, other), min(one, other), coverage)


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.1, 1.1, float("nan")])
def test_a_coverage_that_says_never_or_always_is_refused(coverage: float) -> None:
    with pytest.raises(UsageError):
        Interval(0.0, 1.0, coverage)


def test_an_interval_of_nothing_known_is_refused() -> None:
    with pytest.raises(UsageError):
        Interval(float("nan"), 1.0, 0.9)


def test_alarms_outrank_warnings_and_evidence_is_not_shared() -> None:
    assert Severity.ALARM > Severity.WARNING > Severity.INFO
    one = Finding("bounds", Severity.ALARM, "voltage_volt", 0.0, "too high")
    other = Finding("bounds", Severity.ALARM, "voltage_volt", 0.0, "too high")
    one.evidence["value"] = 5.0
    assert not other.evidence
    assert one.item == -1

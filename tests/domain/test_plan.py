import numpy as np
import pytest

from cellwarden.domain import Plan
from cellwarden.errors import UsageError

TWO, ZERO = np.arange(2.0), np.zeros(2)


def test_a_plan_has_one_power_a_direction_an_interval() -> None:
    plan = Plan("p", TWO, TWO, ZERO)
    assert plan.charge_watt[1] == 1.0
    with pytest.raises(UsageError):
        Plan("p", TWO, np.zeros(3), ZERO)


def test_a_direction_is_named_and_never_signed() -> None:
    with pytest.raises(UsageError):
        Plan("p", TWO, -TWO, ZERO)
    with pytest.raises(UsageError):
        Plan("p", TWO, ZERO, -TWO)

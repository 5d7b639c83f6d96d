import pytest

from cellwarden.domain import Ceiling
from cellwarden.errors import UsageError


def test_a_ceiling_that_says_nothing_allows_all() -> None:
    order = Ceiling("hub")
    assert order.charge_ampere == order.discharge_watt == float("inf")


@pytest.mark.parametrize("value", [-1.0, float("nan")])
@pytest.mark.parametrize("name", ["charge_ampere", "discharge_ampere", "charge_watt"])
def test_a_ceiling_that_is_negative_or_no_number_is_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match="hub"):
        Ceiling("hub", **{name: value})

from collections.abc import Callable
from typing import Any

import pytest

from cellwarden.errors import UsageError
from cellwarden.physics.climate import CLIMATES
from cellwarden.physics.duty import DUTIES
from cellwarden.physics.fleet_config import FleetConfig, Group


@pytest.mark.parametrize(
    "change",
    [
        {"groups": ()},
        {"period_second": 0},
        {"period_second": 3601},
        {"start_unix_time_second": 1_735_689_601},
        {"soh_fraction": 0.0},
        {"air_factor": 0.0},
        {"chemistry": "unobtainium"},
    ],
)
def test_a_fleet_that_cannot_be_is_refused(
    fleet_of: Callable[..., FleetConfig], change: dict[str, Any]
) -> None:
    with pytest.raises(UsageError):
        fleet_of(**change)


def test_a_group_has_packs() -> None:
    with pytest.raises(UsageError):
        Group("none", 0, DUTIES["home"], CLIMATES["hot"])


def test_packs_are_counted_over_groups(fleet_of: Callable[..., FleetConfig]) -> None:
    assert fleet_of(7).pack_count == 7 * len(DUTIES)


def test_the_year_begins_where_the_fleet_starts(fleet_of: Callable[..., FleetConfig]) -> None:
    assert fleet_of().year_second == 0
    assert fleet_of(start_unix_time_second=1_735_689_600 + 366 * 86_400).year_second == 86_400

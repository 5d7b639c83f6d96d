"""Power goes away at random moments: nothing is lost and nothing stands twice."""

import pytest

from journeys.kills import Blows
from journeys.system import System


@pytest.mark.timeout(300)
def test_nothing_is_lost_and_nothing_stands_twice_after_twelve_kills(system: System) -> None:
    blows = Blows(system, count=12, seed=12)
    outcome = blows.run()
    assert sum(outcome.kill_count.values()) == 12
    assert len(outcome.kill_count) == 3
    assert outcome.boot_count > 1
    assert outcome.frame_count == blows.measured_count > 0

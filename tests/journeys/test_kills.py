"""Power goes away at random moments: nothing is lost and nothing stands twice."""

import pytest

from journeys.kills import Blows
from journeys.system import System


@pytest.mark.timeout(300)
def test_nothing_is_lost_and_nothing_stands_twice_after_twelve_kills(system: System) -> None:
    outcome = Blows(system, flow_second=30.0, seed=12).run(12)
    assert sum(outcome.kill_count.values()) == 12
    assert len(outcome.kill_count) == 3
    assert outcome.boot_count > 1
    assert outcome.frame_count == 2 * 600

import numpy as np
import pytest

from cellwarden.domain import OPEN
from cellwarden.drills import scene as scenes
from cellwarden.drills.scene import CONDITIONS, Scene


@pytest.fixture(scope="module")
def scene() -> Scene:
    return scenes.begin(CONDITIONS[0])


@pytest.mark.parametrize(
    "condition", [one for one in CONDITIONS if not one.rested_second], ids=lambda one: one.name
)
def test_a_pack_that_nothing_is_wrong_with_has_no_trouble(condition: scenes.Condition) -> None:
    begun = scenes.begin(condition)
    for _ in range(10):
        reading, diagnosis = begun.cycle()
        assert diagnosis.troubles == ()
    assert begun.bytes_pack.contactors_really_closed != condition.standby
    assert reading.frame.current_ampere == pytest.approx(50.0 * condition.rate, abs=1.0)


def test_a_fork_lives_on_by_itself(scene: Scene) -> None:
    before = scene.second
    fork = scene.fork()
    fork.bytes_pack.codes.append(lambda codes, _: codes["cell"].fill(20_000))
    for _ in range(8):
        reading, _ = fork.cycle()
    assert reading.frame.cell_voltage_volt == pytest.approx(2.0)
    assert fork.driven == OPEN
    assert scene.second == before
    assert not scene.bytes_pack.codes
    assert scene.diagnostics is fork.diagnostics


def test_forks_go_the_same_way(scene: Scene) -> None:
    first, second = (scene.fork() for _ in range(2))
    for _ in range(3):
        one, _ = first.cycle()
        other, _ = second.cycle()
    assert np.array_equal(one.frame.cell_voltage_volt, other.frame.cell_voltage_volt)

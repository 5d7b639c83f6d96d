import numpy as np
import pytest

from cellwarden.drills import scene as scenes
from cellwarden.drills.injection import Window
from cellwarden.drills.presences import presences
from cellwarden.drills.scene import CONDITIONS, Scene


@pytest.fixture(scope="module")
def scene() -> Scene:
    return scenes.begin(CONDITIONS[0])


def spoilt(scene: Scene, name: str, cycles: int = 3) -> tuple[Scene, list]:
    scene = scene.fork()
    row = next(one for one in scene.diagnostics.rows if one.name == name)
    injection = presences(row, scene)[0]
    begun = scene.second + scene.period_second
    injection.apply(scene, 1.0, Window(begun, begun + cycles * scene.period_second))
    return scene, [scene.cycle()[0] for _ in range(cycles + 2)]


def test_a_flipped_bit_of_a_group_costs_its_readings_and_no_others(scene: Scene) -> None:
    _, readings = spoilt(scene, "cell_voltage_missing")
    lost = [int(reading.monitors.frame_error_count.sum()) for reading in readings]
    assert lost == [1, 1, 1, 0, 0]
    unread = [int(np.isnan(reading.frame.cell_voltage_volt).sum()) for reading in readings]
    assert unread == [3, 3, 3, 0, 0]


def test_a_held_converter_stands_still_while_the_current_goes_down(scene: Scene) -> None:
    _, readings = spoilt(scene, "string_voltage_frozen")
    assert len({reading.frame.voltage_volt for reading in readings[:3]}) == 1
    assert abs(readings[2].frame.current_ampere) < 0.7 * 25.0


def test_a_silent_board_grows_old(scene: Scene) -> None:
    _, readings = spoilt(scene, "current_stale")
    ages = [reading.inputs.current_age_second for reading in readings]
    assert ages == pytest.approx([0.1, 0.2, 0.3, 0.0, 0.0], abs=1e-6)


def test_a_cut_link_is_mended_when_its_time_is_over(scene: Scene) -> None:
    _, readings = spoilt(scene, "chain_broken")
    assert [reading.monitors.broken_link for reading in readings] == [1, 1, 1, None, None]

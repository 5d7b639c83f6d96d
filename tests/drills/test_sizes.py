import numpy as np
import pytest

from cellwarden.control.signals import Signal
from cellwarden.drills import scene as scenes
from cellwarden.drills.injection import Window
from cellwarden.drills.scene import CONDITIONS, Scene
from cellwarden.drills.sizes import sizes

EXACT = (
    "cell_voltage_low_maximum",
    "string_voltage_high",
    "discharge_current_maximum",
    "discharge_temperature_high_maximum",
    "second_monitor",
    "cell_sum",
    "reference_voltage",
    "second_current",
    "temperature_spread",
    "insulation_lost",
    "gas_high",
    "coolant_hot",
    "cell_voltage_impossible",
    "temperature_impossible",
)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return scenes.begin(CONDITIONS[0])


@pytest.mark.parametrize("name", EXACT)
def test_what_is_said_to_arrive_is_what_the_row_reads(scene: Scene, name: str) -> None:
    row = next(one for one in scene.diagnostics.rows if one.name == name)
    injection = sizes(row, scene)[0]
    for level in injection.levels[::3]:
        fork = scene.fork()
        injection.apply(fork, level, Window(fork.second, np.inf))
        fork.cycle()
        index = fork.diagnostics.rows.index(row)
        read = float(fork.state.tally.value[index])
        assert read == pytest.approx(injection.arrives(level), abs=1e-9), Signal(row.signal).name

import math
from dataclasses import replace

import numpy as np
import pytest

from cellwarden.control import Situation, situation_of
from cellwarden.domain import Contactors, Diagnosis, Inputs, Reaction, Trouble
from control.scene import reading_of

NOTHING = Diagnosis()


def trouble(reaction: Reaction, opens_second: float = math.inf) -> Diagnosis:
    return Diagnosis((Trouble("t", reaction, 0.0, 1.0, 0.5, opens_second=opens_second),))


def test_a_whole_reading_is_complete_and_fails_nothing() -> None:
    now = situation_of(reading_of((3.7, 3.7), inputs=Inputs(memory_intact=True)), NOTHING)
    assert now.complete
    assert now.failing == ()


@pytest.mark.parametrize(
    ("volts", "celsius", "ampere", "failing"),
    [
        ((3.7, math.nan), 25.0, 0.0, ("cell_voltages",)),
        ((3.7, 3.7), math.nan, 0.0, ("temperatures",)),
        ((3.7, 3.7), 25.0, math.nan, ("current",)),
        ((), 25.0, 0.0, ("cell_voltages",)),
    ],
)
def test_what_was_not_read_is_named_and_leaves_the_reading_incomplete(
    volts: tuple[float, ...], celsius: float, ampere: float, failing: tuple[str, ...]
) -> None:
    now = situation_of(reading_of(volts, celsius=celsius, ampere=ampere), NOTHING)
    assert not now.complete
    assert now.failing == failing


def test_one_temperature_is_enough_to_begin() -> None:
    reading = reading_of((3.7, 3.7), celsius=(math.nan, 25.0))
    assert situation_of(reading, NOTHING).complete


def test_the_second_sensor_and_the_sum_of_cells_stand_in_for_a_silent_one() -> None:
    reading = reading_of((3.7, 3.8), ampere=math.nan, inputs=Inputs(second_current_ampere=-4.0))
    reading = replace(reading, frame=replace(reading.frame, voltage_volt=math.nan))
    now = situation_of(reading, NOTHING)
    assert now.current_ampere == -4.0
    assert now.pack_voltage_volt == pytest.approx(7.5)
    assert now.complete
    assert "current" in now.failing  # the self-test wants the first one too


def test_the_self_test_names_what_the_electronics_tell_against_themselves() -> None:
    inputs = Inputs(memory_intact=False, plus_feedback_closed=True, minus_feedback_closed=False)
    reading = reading_of((3.7, 3.7), inputs=inputs)
    monitors = replace(reading.monitors, broken_link=1, open_wire=np.array([True, False]))
    now = situation_of(replace(reading, monitors=monitors), NOTHING)
    assert now.failing == ("memory", "monitors", "open_wire", "plus_open")


@pytest.mark.parametrize(
    ("reaction", "told"),
    [
        (Reaction.DERATE, (False, False, False)),
        (Reaction.FORBID_CHARGE, (True, False, False)),
        (Reaction.FORBID_CLOSE, (True, True, False)),
        (Reaction.OPEN, (True, True, True)),
    ],
)
def test_a_stronger_reaction_asks_for_all_that_a_milder_one_does(
    reaction: Reaction, told: tuple[bool, bool, bool]
) -> None:
    now = situation_of(reading_of((3.7,)), trouble(reaction))
    assert (now.charge_forbidden, now.close_forbidden, now.fatal) == told


def test_danger_comes_when_the_delay_has_run_out() -> None:
    waits = trouble(Reaction.OPEN, opens_second=5.0)
    assert not situation_of(reading_of((3.7,), 4.9), waits).danger
    assert situation_of(reading_of((3.7,), 5.0), waits).danger


def test_a_switch_without_a_contact_is_believed_and_one_with_is_looked_at() -> None:
    driven = Contactors(plus_closed=True, minus_closed=True)
    assert all(Situation(0.0).follows(driven))
    seen = Situation(0.0, plus_feedback_closed=True, minus_feedback_closed=False)
    assert seen.follows(driven) == (True, False, True)

import math

from cellwarden.control.senses import sensed
from cellwarden.domain import CLOSED, OPEN
from control.sound import charge, reading, with_inputs, with_monitors


def test_what_is_not_known_is_neither_yes_nor_no() -> None:
    senses = sensed(with_inputs(reading(), interlock_closed=None, fuse_intact=False), OPEN)
    assert math.isnan(senses.interlock_closed)
    assert (senses.fuse_intact, senses.memory_intact) == (0.0, 1.0)
    assert (senses.plus_driven, sensed(reading(), CLOSED).plus_driven) == (0.0, 1.0)


def test_a_whole_chain_has_no_broken_link_and_the_first_chip_is_number_nought() -> None:
    assert math.isnan(sensed(reading(), CLOSED).broken_link)
    assert sensed(with_monitors(reading(), broken_link=0), CLOSED).broken_link == 0.0


def test_an_estimate_comes_along_where_there_is_one() -> None:
    assert sensed(reading(), CLOSED).innovation_volt is None
    assert sensed(reading(), CLOSED, charge(1.0)).innovation_volt is not None

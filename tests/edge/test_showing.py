"""Outputs see a controlled pack: its mode, its limits and its faults, and never hold it up."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from cellwarden.domain import FREE
from cellwarden.edge.device_config import DeviceConfig, PackPart
from cellwarden.edge.live import open_live
from cellwarden.edge.outputs.config import Outputs
from cellwarden.edge.outputs.view import PackView
from cellwarden.edge.showing import Reopened, Showing
from cellwarden.errors import Error, UnavailableError
from edge.live import charge, frame, pack

CONFIG = DeviceConfig(PackPart("NMC", 50.0, 12))


class Seen:
    def __init__(self) -> None:
        self.views: list[PackView] = []
        self.closed = False
        self.fails = False

    def show(self, view: PackView) -> None:
        if self.fails:
            raise UnavailableError("the bus is down")
        self.views.append(view)

    def close(self) -> None:
        self.closed = True


def shown(count: int, *, interlock: bool = True) -> list[PackView]:
    told = CONFIG.described("pack-1")
    views: list[PackView] = []
    told.control.show = Showing(told.pack, told.control.rows, views.append).note
    live = open_live(CONFIG, told)
    for _ in range(count):
        reading = live.read()
        inputs = replace(reading.inputs, interlock_closed=interlock)
        decision = told.control(replace(reading, inputs=inputs), charge(0.6), FREE)
        live.write(decision.command)
    return views


def test_a_view_comes_once_a_period_and_with_each_change_of_mode() -> None:
    views = shown(60)
    states = [view.state for view in views]
    assert states[-1] == "connected"
    assert set(states) >= {"self_test", "opening", "standby", "precharge", "connected"}
    changes = sum(before != after for before, after in pairwise(states))
    assert len(views) <= changes + 60 * 0.1 + 2
    last = views[-1]
    assert last.contactors_closed
    assert last.allowance is not None
    assert last.soc_fraction == np.float64(0.6)
    assert last.events == frozenset()


def test_a_fault_is_told_as_the_event_of_its_row() -> None:
    last = shown(40, interlock=False)[-1]
    assert "OPEN_DOOR_ERROR" in last.events
    assert not last.contactors_closed


def test_outputs_that_do_not_open_are_tried_again_and_told_once() -> None:
    told: list[Error] = []
    seen, tries = Seen(), []

    def make() -> Outputs:
        tries.append(1)
        if len(tries) < 3:
            raise UnavailableError("no such bus")
        return Outputs(None, [seen])

    outputs, view = Reopened(make, told.append), PackView(pack(), frame())
    outputs.close()  # nothing was opened yet
    for _ in range(2):
        try:
            outputs.show(view)
        except UnavailableError:
            continue
    outputs.show(view)
    assert len(seen.views) == 1
    assert [str(error) for error in told] == ["no such bus"]
    seen.fails = True
    for _ in range(3):
        outputs.show(view)
    assert len(told) == 2
    assert "the bus is down" in str(told[1])
    outputs.close()
    assert seen.closed

import threading
from dataclasses import dataclass, field

import pytest

from cellwarden.edge.outputs.background import Background
from cellwarden.edge.outputs.view import PackView
from cellwarden.errors import UnavailableError
from edge.carried import frame, pack


@dataclass
class Slow:
    """An output that takes its time, and sometimes fails."""

    shown: list[float] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)
    closed: bool = False

    def show(self, view: PackView) -> None:
        self.began.set()
        self.gate.wait(10)
        self.shown.append(view.frame.unix_time_second)
        if view.frame.unix_time_second == 3.0:
            raise UnavailableError("the bus is down", hint="Wait.")

    def close(self) -> None:
        self.closed = True


def view(at: float) -> PackView:
    return PackView(pack(), frame(unix_time_second=at))


def test_who_offers_never_waits_and_the_newest_is_shown() -> None:
    slow = Slow()
    behind = Background(slow)
    behind.show(view(1.0))
    assert slow.began.wait(10)
    for at in (2.0, 3.0, 4.0):
        behind.show(view(at))
    assert behind.skipped_count == 2
    slow.gate.set()
    behind.close()
    assert slow.shown == [1.0, 4.0]
    assert slow.closed


@pytest.mark.parametrize("last", [3.0, 5.0])
def test_a_failure_is_told_and_the_next_view_is_shown(last: float) -> None:
    slow = Slow()
    slow.gate.set()
    behind = Background(slow)
    for at in (3.0, last):
        slow.began.clear()
        behind.show(view(at))
        assert slow.began.wait(10)
    behind.close()
    assert slow.shown[-1] == last
    assert behind.trouble == ("the bus is down" if last == 3.0 else "")

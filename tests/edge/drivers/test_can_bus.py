import time

import pytest

from cellwarden.edge.drivers.can_bus import PythonCanBus
from cellwarden.edge.drivers.can_messages import encode_pack
from cellwarden.edge.drivers.can_probe import CanProbe
from cellwarden.edge.drivers.line import BusFrame
from cellwarden.edge.drivers.polled import Layout
from cellwarden.errors import UnavailableError
from edge.carried import frame

LAYOUT = Layout(14, 2)


def test_python_can_carries_both_ways() -> None:
    with PythonCanBus("virtual", "both") as one, PythonCanBus("virtual", "both") as other:
        other.send(BusFrame(0x7FF, b"\1"))
        assert one.hear(1.0) == BusFrame(0x7FF, b"\1")
        assert one.hear(0.01) is None
        for sent in encode_pack(frame(), 1):
            other.send(sent)
        shown = CanProbe(one, LAYOUT, period_second=0.2).sample()
        assert shown.current_ampere == pytest.approx(12.3)
        assert abs(shown.unix_time_second - time.time()) < 5


def test_an_interface_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(UnavailableError, match="nowhere"):
        PythonCanBus("nowhere", "can0")

"""A hub that is slow, gone or restarted: devices read on, keep what they read, and bring it."""

import os
import signal
import time
from contextlib import closing
from typing import Any

from cellwarden.edge.config import open_outbox
from journeys.system import Edge, System, twin, wait_for


def flowing(second: float) -> dict[str, Any]:
    """A pack that is read as time goes by."""
    period = 0.05
    return {
        "frame_count": int(second / period),
        "period_second": period,
        "live": True,
        "start_unix_time_second": float(int(time.time())),
    }


def made(edge: Edge, system: System, name: str) -> int:
    """Batches that a device has made, from its outbox: it says nothing while nothing moves."""
    assert edge.process.poll() is None, edge.said()
    with closing(open_outbox(system.home.device(name))) as outbox:
        return outbox.state.sequence


def reads_on(edge: Edge, system: System) -> int:
    """Wait until the device has made some more batches without its hub; gives how many it has."""
    before = made(edge, system, "left")
    wait_for(lambda: made(edge, system, "left") > before + 20, "the device to read on")
    return made(edge, system, "left")


def test_nothing_is_lost_while_the_hub_stands_still_or_is_restarted(system: System) -> None:
    hub = system.start_hub()
    for name in ("left", "right"):
        system.enrol(name, twin(name, **flowing(25.0)))
    edge = system.edge("left", "right")
    wait_for(lambda: edge.last("right")["sent_count"] > 5, "the first batches")
    os.kill(hub.pid, signal.SIGSTOP)
    kept = reads_on(edge, system)
    os.kill(hub.pid, signal.SIGCONT)
    wait_for(lambda: edge.last("left")["sent_count"] >= kept, "what was kept to be sent")
    system.stop_hub()
    kept_again = reads_on(edge, system)
    system.start_hub()
    wait_for(lambda: edge.last("left")["sent_count"] >= kept_again, "that to be sent too")
    assert edge.wait() == 0, edge.said()
    assert system.stop_hub() == 0
    system.check_stored("left", "right")
    system.verify()


def test_a_device_that_never_had_a_network_brings_everything_when_it_gets_one(
    system: System,
) -> None:
    system.enrol("remote", twin("remote", 1_000))
    edge = system.edge("remote")
    wait_for(lambda: edge.troubles("remote"), "the device to miss its hub")
    assert "no way to the hub" in edge.troubles("remote")[0]
    wait_for(lambda: made(edge, system, "remote") == 200, "everything to be read")
    assert edge.last("remote")["sent_count"] == 0
    system.start_hub()
    assert edge.wait() == 0, edge.said()
    assert system.stop_hub() == 0
    system.check_stored("remote")
    system.verify()

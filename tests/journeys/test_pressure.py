"""A hub that is slow, gone or restarted: devices read on, keep what they read, and bring it."""

import os
import signal
import time
from typing import Any

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
    from contextlib import closing

    from cellwarden.edge.config import open_outbox

    assert edge.process.poll() is None, edge.said()
    with closing(open_outbox(system.home.device(name))) as outbox:
        return outbox.state.sequence


def test_nothing_is_lost_while_the_hub_stands_still_or_is_restarted(system: System) -> None:
    for name in ("left", "right"):
        system.enrol(name, twin(name, **flowing(20.0)))
    hub = system.start_hub()
    edge = system.edge("left", "right")
    wait_for(lambda: edge.last("right")["sent_count"] > 5, "the first batches")
    for halt, go_on in (
        (lambda: os.kill(hub.pid, signal.SIGSTOP), lambda: os.kill(hub.pid, signal.SIGCONT)),
        (system.stop_hub, system.start_hub),
    ):
        halt()
        before = made(edge, system, "left")
        wait_for(lambda: made(edge, system, "left") > before + 20, "the device to read on")  # noqa: B023  called here
        go_on()
        acknowledged = edge.last("left")["sent_count"]
        wait_for(
            lambda: edge.last("left")["sent_count"] >= min(acknowledged + 20, 400),  # noqa: B023  called here
            "what was kept to be sent",
        )
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

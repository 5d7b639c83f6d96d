"""A check of a running hub holds while devices go on sending, and no row stands outside it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cellwarden.domain import Frames
from cellwarden.hub.audit import StoreView
from cellwarden.hub.service import Hub
from cellwarden.wire.audit import Report, audit
from hub.fleet import NOW, Clock, installation, open_hub
from trust.making import Maker


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    running = open_hub(tmp_path, Clock())
    yield running
    running.close()


def send(hub: Hub, maker: Maker, minute: int) -> None:
    volts = np.full(5, 3.7, dtype=np.float32)
    frames = Frames(
        NOW + 60.0 * minute + np.arange(5), volts, volts, volts[:, None], volts[:, None]
    )
    ack, refusal = hub.ingest.submit([maker.next(frames).encode()], maker.peer).result(30)
    assert ack is not None, refusal


def check(view: StoreView) -> Report:
    return audit(view, installation().roots, installation().note_key)


class Overtaken(StoreView):
    """Between the head that a check begins with and its end, a device sends more."""

    def __init__(self, hub: Hub, maker: Maker) -> None:
        super().__init__(hub.store)
        self._hub, self._maker = hub, maker

    def head(self) -> str:
        told = super().head()
        send(self._hub, self._maker, 1)
        return told


def test_what_comes_in_during_a_check_does_not_fail_it(hub: Hub) -> None:
    maker = installation().maker("busy")
    send(hub, maker, 0)
    report = check(Overtaken(hub, maker))
    assert report.ok, report.first_bad
    assert report.frame_count == 5, "only what the head proves was checked"


@pytest.mark.parametrize("leaf", [0, 1, 2, 900, -1])
def test_a_row_that_no_signed_batch_holds_is_found_wherever_it_stands(hub: Hub, leaf: int) -> None:
    maker = installation().maker("busy")
    send(hub, maker, 0)
    with hub.store.transaction():
        hub.store.execute(
            "INSERT INTO sample SELECT * REPLACE (? AS leaf_index, 77 AS frame_index)"
            " FROM sample LIMIT 1",
            [leaf],
        )
    assert not check(StoreView(hub.store)).ok

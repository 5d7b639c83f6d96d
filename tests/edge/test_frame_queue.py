"""Frames between loop and batches: none is lost silently, none is sent twice."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from cellwarden.domain import Frames
from cellwarden.edge.agent import Agent, Sender
from cellwarden.edge.frame_queue import FrameQueue
from cellwarden.edge.journal import Journal
from cellwarden.edge.outbox import Outbox
from cellwarden.edge.transport import CallTransport
from cellwarden.errors import UnavailableError
from edge.live import T, charge, frame
from trust.making import fleet

KEY = bytes(range(32))


@contextmanager
def queue(folder: Path, position: bytes = b"", **more: object) -> Iterator[FrameQueue]:
    options = {"flush_second": 0.0, "steady": lambda: 0.0} | more
    with closing(Journal(folder / "journal.sqlite", KEY)) as journal:
        yield FrameQueue(journal, position, **options)  # type: ignore[arg-type]


def put(into: FrameQueue, start: int, count: int, cells: int = 3) -> None:
    for number in range(start, start + count):
        into.put(frame(T + number, volt=3.0 + 0.001 * number, cells=cells), charge(0.5))


def seconds(frames: Frames | None) -> list[float]:
    assert frames is not None
    return (frames.unix_time_second - T).tolist()


def test_batches_come_out_in_order_and_the_rest_when_it_is_closed(tmp_path: Path) -> None:
    with queue(tmp_path) as here:
        put(here, 0, 4)
        here._flush()
        put(here, 4, 4)
        assert seconds(here.read(4)) == [0, 1, 2, 3]
        assert seconds(here.read(4)) == [4, 5, 6, 7]
        put(here, 8, 2)
        here.close()
        assert seconds(here.read(4)) == [8, 9]
        assert here.read(4) is None


def test_a_batch_does_not_wait_for_ever_to_be_full(tmp_path: Path) -> None:
    now = [0.0]

    def steady() -> float:
        now[0] += 1.0
        return now[0]

    with queue(tmp_path, steady=steady, batch_second=30.0) as here:
        put(here, 0, 2)
        assert seconds(here.read(60)) == [0, 1]
        assert now[0] > 30.0


def test_after_a_power_cut_what_was_journaled_comes_again_and_what_was_sent_does_not(
    tmp_path: Path,
) -> None:
    with queue(tmp_path) as here:
        put(here, 0, 4)
        assert seconds(here.read(4)) == [0, 1, 2, 3]
        position = here.position()
        put(here, 4, 2)
        here._flush()
        put(here, 6, 1)  # only in memory when the power goes
    with queue(tmp_path, position) as here:
        put(here, 10, 2)
        here.close()
        assert seconds(here.read(100)) == [4, 5, 10, 11]
    with queue(tmp_path, b"") as here:
        # The batch with these never reached the outbox: its position is the one before.
        here.close()
        assert seconds(here.read(100)) == [4, 5, 10, 11]


def test_a_new_cell_or_a_clock_that_is_set_back_begins_a_batch(tmp_path: Path) -> None:
    with queue(tmp_path) as here:
        put(here, 5, 2)
        put(here, 0, 2)
        put(here, 2, 1, cells=4)
        here.close()
        assert [seconds(here.read(100)) for _ in range(3)] == [[5, 6], [0, 1], [2]]


def test_what_an_agent_does_not_fetch_in_time_is_dropped_and_told(tmp_path: Path) -> None:
    with queue(tmp_path, highest_count=10) as here:
        put(here, 0, 25)
        here.close()
        assert seconds(here.read(100)) == [float(second) for second in range(15, 25)]
        (found,) = here.findings(T)
        assert found.kind == "dropped"
        assert found.evidence["left_out_count"] == 15.0
        assert here.findings(T) == []


def test_frames_that_are_thinned_out_are_told(tmp_path: Path) -> None:
    with queue(tmp_path, used_fraction=lambda: 0.6) as here:
        put(here, 0, 30)
        here.put(frame(T + 31), urgent=True)
        here.close()
        assert seconds(here.read(100)) == [0, 10, 20, 31]
        (found,) = here.findings(T)
        assert (found.kind, found.evidence["left_out_count"]) == ("thinned", 27.0)
        assert "one in 10 s" in found.message


def test_a_journal_that_a_disk_refuses_loses_nothing_in_memory(tmp_path: Path) -> None:
    with queue(tmp_path) as here:
        put(here, 0, 3)
        here._journal._db.execute("PRAGMA query_only = ON")
        with pytest.raises(UnavailableError):
            here.read(3)
        put(here, 3, 1)
        here._journal._db.execute("PRAGMA query_only = OFF")
        here.close()
        assert seconds(here.read(10)) == [0, 1, 2, 3]


def test_spoilt_pieces_are_told(tmp_path: Path) -> None:
    with queue(tmp_path) as here:
        put(here, 0, 3)
        here._flush()
        here._journal._db.execute("UPDATE piece SET body = zeroblob(50)")
    with queue(tmp_path) as here:
        (found,) = here.findings(T)
        assert "spoilt" in found.message


def test_three_weeks_off_line_come_in_whole_and_within_the_room(tmp_path: Path) -> None:
    """Simulated clock: a frame every ten seconds for three weeks, a hub that is away, then back."""
    count, apart = 21 * 8640, 10
    maker = fleet().maker("pack-1")
    quota = 2 << 20
    with (
        closing(Outbox(tmp_path / "outbox.sqlite", KEY)) as outbox,
        queue(
            tmp_path,
            used_fraction=lambda: outbox.waiting_bytes() / quota,
            highest_count=2000,
            batch_second=1e9,
        ) as here,
    ):
        agent = Agent(maker.device(fleet().note_key), here, outbox, batch_frames=720)
        kept = told = 0
        for first in range(0, count, 720):
            for number in range(first, first + 720):
                here.put(frame(T + apart * number, volt=3.0 + 1e-6 * number))
            ready = len(here._fresh) + sum(len(piece.frames) for piece in here._pieces)
            if ready >= 720:
                agent.step()
            told += int(sum(one.evidence["left_out_count"] for one in here.findings(T)))
        here.close()
        while agent.step():
            pass
        assert 0.5 * quota < outbox.waiting_bytes() < quota
        with fleet().open(tmp_path) as hub:
            sender = Sender(
                maker.device(fleet().note_key),
                outbox,
                CallTransport(lambda bodies: hub.send_bytes(maker, *bodies)),
            )
            while sender.step():
                pass
            assert outbox.waiting_count() == 0
            rows = hub.store.columns(
                "SELECT unix_time_second AS at, cell_voltage_volt[1] AS volt FROM sample"
                " ORDER BY leaf_index, frame_index"
            )
    kept = len(rows["at"])
    assert kept + told == count, "each frame is there, or was told to be left out"
    number = np.round((rows["at"] - T) / apart).astype(int)
    assert (np.diff(number) > 0).all()
    np.testing.assert_array_equal(rows["volt"], (3.0 + 1e-6 * number).astype(np.float32))
    gaps = np.diff(rows["at"])
    assert gaps[:1000].max() == apart, "the first are all there"
    assert gaps.max() <= 600.0, "and the last are thin, not missing"


def test_the_loop_never_waits_for_the_reader(tmp_path: Path) -> None:
    with queue(tmp_path) as here:
        reader = threading.Thread(target=lambda: here.read(1), daemon=True)
        with here._journal._lock:  # a disk that takes its time
            put(here, 0, 1)
            reader.start()
            done = threading.Event()
            writer = threading.Thread(target=lambda: (put(here, 1, 100), done.set()), daemon=True)
            writer.start()
            assert done.wait(5)
        reader.join(5)
        assert not reader.is_alive()

"""The outbox gives back what it was given, or says that it cannot; it never makes something up."""

import shutil
import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cellwarden.edge.outbox import ChainState, LastAck, Outbox
from cellwarden.errors import SealError, UnavailableError, UsageError

KEY = bytes(range(32))
COUNT = 40
REFUSED = (SealError, UnavailableError)


def message(sequence: int) -> bytes:
    return sequence.to_bytes(4, "big") * 300


def state(sequence: int) -> ChainState:
    return ChainState(3, sequence, sequence.to_bytes(32, "big"), b"position", b"estimator")


ACK = LastAck(10, 12, b"manifest", "a head")


@cache
def filled() -> Path:
    """An outbox with forty messages, ten of them acknowledged, closed in good order."""
    path = Path(mkdtemp(prefix="cellwarden-outbox-")) / "outbox.sqlite"
    outbox = Outbox(path, KEY)
    for _ in range(3):
        outbox.begin_boot()
    for sequence in range(1, COUNT + 1):
        outbox.append(message(sequence), state(sequence))
    outbox.acknowledge(ACK)
    outbox.close()
    return path


def read(path: Path) -> tuple[ChainState, LastAck | None, list[tuple[int, bytes]]]:
    """Everything that an outbox says."""
    outbox = Outbox(path, KEY)
    try:
        return outbox.state, outbox.last_ack(), outbox.after(0, 1 << 30)
    finally:
        outbox.close()


GOOD = (state(COUNT), ACK, [(n, message(n)) for n in range(1, COUNT + 1)])


def test_what_was_put_in_comes_out() -> None:
    assert read(filled()) == GOOD


def damaged(change: Callable[[bytearray], bytes | bytearray]) -> Path:
    folder = Path(mkdtemp(prefix="cellwarden-outbox-"))
    path = folder / "outbox.sqlite"
    path.write_bytes(change(bytearray(filled().read_bytes())))
    return path


def holds_or_says_so(path: Path) -> bool:
    """Whether it says that it does not hold; it must not say anything else."""
    try:
        found = read(path)
    except REFUSED:
        return True
    finally:
        shutil.rmtree(path.parent)
    assert found == GOOD
    return False


@given(st.integers(0, 1 << 40))
@example(834)  # the number of tables
@settings(max_examples=300, deadline=None)
def test_a_flipped_bit_is_noticed_or_changes_nothing(place: int) -> None:
    def flip(data: bytearray) -> bytearray:
        bit = place % (8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        return data

    holds_or_says_so(damaged(flip))


@given(st.integers(0, 1 << 40), st.integers(1, 4096), st.sampled_from([b"\x00", b"\xff", b"\x5a"]))
@example(3985, 1, b"\xff")  # inside the name of a table
@settings(max_examples=150, deadline=None)
def test_a_spoilt_stretch_is_noticed_or_changes_nothing(
    place: int, length: int, byte: bytes
) -> None:
    def spoil(data: bytearray) -> bytearray:
        start = place % len(data)
        stop = min(len(data), start + length)
        data[start:stop] = byte * (stop - start)
        return data

    holds_or_says_so(damaged(spoil))


@given(st.floats(0, 1, exclude_max=True))
@settings(max_examples=60, deadline=None)
def test_a_file_cut_short_is_noticed(part: float) -> None:
    assert holds_or_says_so(damaged(lambda data: data[: int(len(data) * part)]))


@pytest.mark.parametrize("size", [0, 1, 100, 512, 4096, 8192])
def test_a_file_cut_to_a_page_or_to_nothing_is_noticed(size: int) -> None:
    # An empty file is a valid new database to the engine; to a device it is a lost memory.
    assert holds_or_says_so(damaged(lambda data: data[:size]))


def test_another_key_opens_nothing() -> None:
    with pytest.raises(SealError):
        Outbox(filled(), bytes(32))


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_whatever_happens_to_it_the_chain_goes_on_where_it_was(data: st.DataObject) -> None:
    """Appending, acknowledging, pruning, closing and opening, in any order."""
    folder = Path(mkdtemp(prefix="cellwarden-outbox-"))
    path, keep = folder / "outbox.sqlite", data.draw(st.integers(0, 5000))
    outbox = Outbox(path, KEY, keep_bytes=keep)
    sequence, acknowledged, boot = 0, 0, 0
    try:
        for step in data.draw(st.lists(st.sampled_from(["append", "ack", "open", "boot"]))):
            if step == "append":
                sequence += 1
                told = ChainState(boot, sequence, bytes(32), b"", b"")
                outbox.append(message(sequence), told)
            if step == "ack" and sequence > acknowledged:
                acknowledged = data.draw(st.integers(acknowledged + 1, sequence))
                outbox.acknowledge(LastAck(acknowledged, acknowledged, b"", ""))
            if step == "open":
                outbox.close()
                outbox = Outbox(path, KEY, keep_bytes=keep)
            if step == "boot":
                boot += 1
                assert outbox.begin_boot().boot == boot
            assert (outbox.state.sequence, outbox.state.boot) == (sequence, boot)
            assert outbox.waiting_count() == sequence - acknowledged
            waiting = outbox.after(acknowledged, 1 << 30)
            assert waiting == [(n, message(n)) for n in range(acknowledged + 1, sequence + 1)]
            held = outbox.after(0, 1 << 30)
            assert [n for n, _ in held] == list(range(sequence - len(held) + 1, sequence + 1))
            kept = sum(len(body) for n, body in held if n <= acknowledged)
            assert kept <= keep + len(message(1))
    finally:
        outbox.close()
        shutil.rmtree(folder)


def test_a_message_moved_to_another_number_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    shutil.copy(filled(), path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE message SET sequence = -sequence WHERE sequence IN (20, 21)")
        db.execute("UPDATE message SET sequence = 41 + sequence WHERE sequence < 0")
    db.close()
    with pytest.raises(SealError):
        read(path)


@pytest.mark.parametrize(
    "loss",
    [
        "DELETE FROM state WHERE name = 'chain'",
        "DELETE FROM message WHERE sequence = 20",
        "DELETE FROM message WHERE sequence = 40",
        "DELETE FROM message WHERE sequence > 10",
        "UPDATE state SET body = (SELECT body FROM state WHERE name = 'ack') WHERE name = 'chain'",
        "UPDATE message SET body = 5 WHERE sequence = 3",
        "UPDATE message SET body = 'text' WHERE sequence = 3",
        "DELETE FROM state WHERE name = 'ack'",
        "DELETE FROM message WHERE sequence < 20",
        "INSERT INTO message SELECT 41, body FROM message WHERE sequence = 40",
        "UPDATE state SET body = NULL WHERE name = 'chain'",
        "UPDATE state SET body = 1.5 WHERE name = 'ack'",
        "DROP TABLE message",
    ],
)
def test_what_is_missing_inside_is_noticed(tmp_path: Path, loss: str) -> None:
    path = tmp_path / "outbox.sqlite"
    shutil.copy(filled(), path)
    db = sqlite3.connect(path)
    try:
        db.execute(loss)
        db.commit()
    except sqlite3.IntegrityError:
        return  # the table itself refuses
    finally:
        db.close()
    assert holds_or_says_so(path)


def test_a_message_that_vanishes_beside_a_running_device_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    shutil.copy(filled(), path)
    outbox = Outbox(path, KEY)
    db = sqlite3.connect(path)
    db.execute("DELETE FROM message WHERE sequence = 20")
    db.commit()
    db.close()
    with pytest.raises(SealError):
        outbox.after(10, 1 << 30)
    outbox.close()


def test_two_processes_of_one_device_do_not_make_two_histories(tmp_path: Path) -> None:
    first, second = (Outbox(tmp_path / "outbox.sqlite", KEY) for _ in range(2))
    first.append(message(1), state(1))
    with pytest.raises(UsageError):
        second.append(b"another", state(1))
    assert first.after(0, 1 << 30) == [(1, message(1))]
    first.close()
    second.close()

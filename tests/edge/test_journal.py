"""What was put into the journal is there after a power cut, bit for bit, or is not believed."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from cellwarden.edge.journal import Journal
from cellwarden.errors import UnavailableError
from cellwarden.wire import encode_columns
from trust.making import frames

KEY = bytes(range(32))

_WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from cellwarden.edge.journal import Journal
from trust.making import frames

journal = Journal(Path(sys.argv[1]), bytes(range(32)))
while True:
    number = journal.put(frames(seed=journal.last + 1))
    print(number, flush=True)
"""


def opened(folder: Path) -> "closing[Journal]":
    return closing(Journal(folder / "journal.sqlite", KEY))


def test_pieces_come_back_in_order_until_they_are_forgotten(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        assert [journal.put(frames(seed=seed)) for seed in (1, 2, 3)] == [1, 2, 3]
        journal.forget(1)
    with opened(tmp_path) as journal:
        found = journal.after(1)
        assert [number for number, _ in found] == [2, 3]
        for number, piece in found:
            assert encode_columns(piece) == encode_columns(frames(seed=number))
        assert journal.after(2)[0][0] == 3
        journal.forget(3)
        assert journal.put(frames(), after=9) == 10, "a number is not given again"


def test_killed_in_the_middle_of_writing_all_that_was_said_to_be_kept_is_there(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.sqlite"
    tests = str(Path(__file__).parents[1])
    for stop in (10, 25):
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path), tests], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        told = 0
        for line in process.stdout:
            told = int(line)
            if told >= stop:
                process.send_signal(signal.SIGKILL)
                break
        rest = process.stdout.read().split()
        process.stdout.close()
        process.wait()
        told = int(rest[-1]) if rest else told
        with opened(tmp_path) as journal:
            found = journal.after(0)
            assert len(found) >= told >= stop
            assert journal.lost_count == 0
            for number, piece in found:
                assert encode_columns(piece) == encode_columns(frames(seed=number))


def test_a_spoilt_or_moved_piece_is_not_believed_and_counted(tmp_path: Path) -> None:
    for spoil in (
        "UPDATE piece SET body = zeroblob(length(body)) WHERE number = 2",
        "UPDATE piece SET body = (SELECT body FROM piece WHERE number = 1) WHERE number = 2",
        "UPDATE piece SET body = 'text' WHERE number = 2",
    ):
        with opened(tmp_path) as journal:
            journal.forget(1 << 40)
            journal.last = 0
            for seed in (1, 2, 3):
                journal.put(frames(seed=seed))
        with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as db:
            db.execute(spoil)
            db.commit()
        with opened(tmp_path) as journal:
            assert [number for number, _ in journal.after(0)] == [1]
            assert journal.lost_count == 2


def test_nothing_of_the_readings_is_on_the_disk_in_the_clear(tmp_path: Path) -> None:
    told = frames(60)
    with opened(tmp_path) as journal:
        journal.put(told)
        seen = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert np.ascontiguousarray(told.cell_voltage_volt[5]).tobytes() not in seen
    assert b"voltage_volt" not in seen


def test_a_file_that_is_no_journal_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"x" * 4096)
    with pytest.raises(UnavailableError, match="journal"):
        Journal(tmp_path / "journal.sqlite", KEY)

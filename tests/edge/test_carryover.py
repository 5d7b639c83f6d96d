"""A restart clears no latched fault, whatever became of the power or of the memory."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from cellwarden.control.balance import Balanced
from cellwarden.control.charge_settings import Charged, Phase
from cellwarden.edge.carryover import Carried, Carryover
from cellwarden.edge.logbook import Logbook, open_logbook
from cellwarden.edge.medium import MemoryMedium
from cellwarden.errors import Error, UnavailableError, UsageError
from cellwarden.trust.keys import MemoryKeyStore

KEY = bytes(range(32))
CELLS = 4
CHARGED = Charged(Phase.BULK, 1, elapsed_second=60.0, charged_ah=3.5)


def book(medium: MemoryMedium) -> Logbook:
    return Logbook(medium, KEY)


def carryover(medium: MemoryMedium, cells: int = CELLS) -> Carryover:
    return Carryover(book(medium), cells)


def medium() -> MemoryMedium:
    return MemoryMedium(Logbook.byte_count())


def owed() -> Balanced:
    return Balanced(np.array([0.0, 0.2, 0.0, 0.1]), np.full(CELLS, 0.01), np.zeros(CELLS))


def test_what_was_handed_over_and_written_is_there_after_a_power_cut() -> None:
    disk = medium()
    first = carryover(disk)
    assert first.found.latched == ()
    assert first.found.balanced is None or not first.found.balanced.debt_ah.any()
    first.offer(Carried(("interlock_open",), CHARGED, owed()))
    first.settle()
    disk.cut_power(1)
    again = carryover(disk)
    assert again.intact
    assert again.found.latched == ("interlock_open",)
    assert (again.found.charged.phase, again.found.charged.charged_ah) == (Phase.BULK, 3.5)
    assert again.found.balanced is not None
    assert again.found.balanced.debt_ah.tolist() == [0.0, 0.2, 0.0, 0.1]


def test_a_reset_is_kept_too_and_the_rest_waits_for_its_pace() -> None:
    disk = medium()
    now = [0.0]
    first = Carryover(book(disk), CELLS, lambda: now[0])
    first.offer(Carried(("fuse_blown",), CHARGED, owed()))
    first.settle()
    now[0] = 1.0
    first.offer(Carried((), Charged(Phase.HOLD, 1, charged_ah=3.6), owed()))
    first.settle()
    disk.cut_power(1)
    again = carryover(disk)
    assert again.found.latched == ()
    assert again.found.charged.phase is Phase.BULK  # a second later is too soon for its medium
    first.close()
    assert carryover(disk).found.charged.phase is Phase.HOLD


def test_a_thread_keeps_the_newest_and_who_hands_it_over_never_waits_for_the_disk() -> None:
    class Slow(MemoryMedium):
        def sync(self) -> None:
            gate.wait(10)
            super().sync()

    gate, stopped = threading.Event(), threading.Event()
    gate.set()
    disk = Slow(Logbook.byte_count())
    here = carryover(disk)
    gate.clear()
    thread = threading.Thread(target=here.keep_on, args=(stopped.is_set, print), daemon=True)
    thread.start()
    began = time.monotonic()
    for number in range(200):
        here.offer(Carried((f"fault_{number}",)))
    assert time.monotonic() - began < 1.0
    gate.set()
    end = time.monotonic() + 10
    while b"fault_199" not in book(disk).state.get("latched", b""):
        assert time.monotonic() < end
        time.sleep(0.01)
    stopped.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_disk_that_does_not_serve_is_told_and_tried_again() -> None:
    disk = medium()
    here = carryover(disk)
    told: list[Error] = []
    stopped = threading.Event()

    def report(error: Error) -> None:
        told.append(error)
        disk.fails = False

    disk.fails = True
    here.offer(Carried(("gas_high",)))
    thread = threading.Thread(target=here.keep_on, args=(stopped.is_set, report), daemon=True)
    thread.start()
    end = time.monotonic() + 10
    while b"gas_high" not in book(disk).state.get("latched", b""):
        assert time.monotonic() < end
        time.sleep(0.01)
    stopped.set()
    assert isinstance(told[0], UnavailableError)


def damaged() -> MemoryMedium:
    """A memory with a record in its middle that nobody can read any more."""
    disk = medium()
    here = carryover(disk)
    places = []
    for name in ("one", "two", "three"):
        places.append(disk.read().rstrip(b"\0").__len__())
        here.offer(Carried((name,)))
        here.settle()
    disk.flip(8 * (places[1] + 40))
    return disk


def test_a_memory_with_a_hole_is_not_intact_until_a_person_resets_it() -> None:
    disk = damaged()
    assert not carryover(disk).intact
    here = carryover(disk)  # a restart is no reset
    assert not here.intact
    assert here.found.latched == ("three",)
    here.offer(here.found)
    here.settle()
    assert not here.intact
    here.forgive()
    seen = [here.intact]  # nothing is written yet
    here.settle()
    seen.append(here.intact)
    assert seen == [False, True]
    assert carryover(disk).intact


def test_a_second_hole_is_not_forgiven_with_the_first() -> None:
    disk = damaged()
    here = carryover(disk)
    here.forgive()
    here.settle()
    place = len(disk.read().rstrip(b"\0"))
    for name in ("four", "five"):
        here.offer(Carried((name,)))
        here.settle()
    disk.flip(8 * (place + 40))
    assert not carryover(disk).intact


def test_what_was_kept_for_other_cells_is_begun_anew_and_told() -> None:
    disk = medium()
    here = carryover(disk)
    here.offer(Carried((), CHARGED, owed()))
    here.close()
    other = carryover(disk, CELLS + 1)
    assert not other.intact
    assert other.found.balanced is None
    assert other.found.charged.phase is Phase.BULK


def test_more_cells_than_the_memory_has_room_for_are_refused_at_the_start() -> None:
    with pytest.raises(UsageError, match="do not fit"):
        carryover(medium(), 2000)


def test_after_it_was_closed_nothing_is_written(tmp_path: Path) -> None:
    keys = MemoryKeyStore()
    here = Carryover(open_logbook(tmp_path / "logbook", keys), CELLS)
    here.offer(Carried(("one",)))
    here.close()
    here.offer(Carried(("two",)))
    here.settle()
    again = Carryover(open_logbook(tmp_path / "logbook", keys), CELLS)
    assert again.found.latched == ("one",)
    again.close()

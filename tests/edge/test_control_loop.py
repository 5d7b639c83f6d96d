"""One cycle after the other: in time, in bounds, and open when there is nothing to go by."""

from collections.abc import Callable, Iterator
from contextlib import closing as closed
from pathlib import Path

import pytest

from cellwarden.domain import CLOSED, FREE, OPEN, Charge, Curb, Finding, Ordered, Reading, Severity
from cellwarden.edge.control_loop import Control, ControlLoop, Decision
from cellwarden.edge.frame_queue import FrameQueue
from cellwarden.edge.inference import ChargeSense, HealthSense, StrangeSense
from cellwarden.edge.journal import Journal
from cellwarden.edge.watchdog import SAFE, Guarded
from cellwarden.errors import DataError, SafetyError, UnavailableError
from edge.live import Hands, TablePack, closing, pack

Make = Callable[..., tuple[ControlLoop, TablePack, FrameQueue]]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with closed(Journal(tmp_path / "journal.sqlite", bytes(32))) as journal:

        def made(
            control: Control = closing, ordered: Ordered = FREE, **more: object
        ) -> tuple[ControlLoop, TablePack, FrameQueue]:
            hands = Hands()
            table = TablePack(hands, **more)  # type: ignore[arg-type]
            queue = FrameQueue(journal, flush_second=0.0, steady=lambda: 0.0)
            senses = ChargeSense(pack()), HealthSense(pack()), StrangeSense()
            loop = ControlLoop(
                table, control, queue, senses, ordered=lambda: ordered,
                steady=hands.steady, sleep=hands.sleep,
            )  # fmt: skip
            return loop, table, queue

        yield made


def run(loop: ControlLoop, count: int) -> None:
    left = iter(range(count))
    loop.run(lambda: next(left, None) is not None)


def test_a_command_a_cycle_and_a_frame_a_second(make: Make) -> None:
    loop, table, queue = make()
    run(loop, 100)
    times = [at for at, _ in table.commands[:-1]]
    assert times == pytest.approx([0.1 * number for number in range(100)])
    queue.close()
    frames = queue.read(1000)
    assert frames is not None
    seconds = frames.unix_time_second - frames.unix_time_second[0]
    assert seconds.tolist() == pytest.approx([float(number) for number in range(10)])
    assert frames.soc_fraction is not None
    assert (frames.soc_std_fraction > 0).all()


def test_the_pack_is_open_after_the_loop_however_it_ends(make: Make) -> None:
    loop, table, _ = make()
    run(loop, 3)
    assert table.last == SAFE
    assert table.commands[-2][1].contactors == CLOSED

    def broken(_reading: Reading, _soc: Charge | None, _ordered: Ordered) -> Decision:
        raise ZeroDivisionError

    loop, table, _ = make(broken)
    with pytest.raises(ZeroDivisionError):
        run(loop, 3)
    assert table.last == SAFE


def test_orders_in_force_bound_every_command(make: Make) -> None:
    loop, table, _ = make(ordered=Ordered(Curb(5.0, 7.0)))
    run(loop, 5)
    for _, command in table.commands[:-1]:
        assert command.high_charge_current_ampere == 5.0
        assert command.high_discharge_current_ampere == 7.0


def test_a_pack_that_is_silent_for_a_moment_keeps_its_contactors_and_for_long_does_not(
    make: Make,
) -> None:
    loop, table, _ = make(silent=range(5, 8))
    run(loop, 20)
    assert all(command.contactors == CLOSED for _, command in table.commands[:-1])
    loop, table, _ = make(silent=range(5, 30))
    run(loop, 40)
    opened = [at for at, command in table.commands[:-1] if command == SAFE]
    assert opened[0] == pytest.approx(0.3 + 0.5, abs=0.11)
    assert len(opened) > 10, "told again and again"
    assert table.commands[-2][1].contactors == CLOSED, "it serves again when it is heard again"
    (found,) = [one for one in loop.take_findings() if one.kind == "control"]
    assert found.severity is Severity.ALARM
    assert "silent" in found.message


@pytest.mark.parametrize("error", [UnavailableError("dead"), DataError("nonsense")])
def test_a_control_that_cannot_decide_opens_the_pack(make: Make, error: Exception) -> None:
    def dumb(_reading: Reading, _soc: Charge | None, _ordered: Ordered) -> Decision:
        raise error

    loop, table, _ = make(dumb)
    run(loop, 20)
    assert [command for _, command in table.commands] == [SAFE] * len(table.commands)
    assert loop.take_findings()


def test_overruns_are_counted_told_and_not_made_up_for(make: Make) -> None:
    loop, table, _ = make()
    table.hands.cost = [0.01] * 10 + [0.35] + [0.01] * 10
    run(loop, 21)
    times = [at - 0.01 for at, _ in table.commands[11:-1]]
    assert times == pytest.approx([1.4 + 0.1 * number for number in range(10)])
    (found,) = [one for one in loop.take_findings() if one.kind == "overrun"]
    assert found.evidence["overrun_count"] == 1.0
    assert found.evidence["missed_count"] == 3.0
    assert found.evidence["longest_second"] == pytest.approx(0.35)
    assert [one for one in loop.take_findings() if one.kind == "overrun"] == []


def test_what_a_control_finds_is_told_and_bounded(make: Make) -> None:
    def loud(reading: Reading, soc: Charge | None, ordered: Ordered) -> Decision:
        return closing(reading, soc, ordered, findings=(Finding("x", Severity.INFO, "", 0.0, "x"),))

    loop, _, _ = make(loud)
    run(loop, 400)
    found = loop.take_findings()
    assert sum(one.kind == "x" for one in found) == 256
    assert "144 more" in found[-1].message
    assert loop.take_findings() == []


def test_a_change_is_worth_a_frame_of_its_own(make: Make) -> None:
    seen = iter(range(100))

    def control(reading: Reading, soc: Charge | None, ordered: Ordered) -> Decision:
        return closing(reading, soc, ordered, changed=next(seen) == 13)

    loop, _, queue = make(control)
    run(loop, 25)
    queue.close()
    frames = queue.read(100)
    assert frames is not None
    seconds = frames.unix_time_second - frames.unix_time_second[0]
    assert seconds.tolist() == pytest.approx([0.0, 1.0, 1.3, 2.0])


def test_a_pack_that_was_opened_over_its_head_ends_the_loop(make: Make) -> None:
    loop, table, _ = make()
    loop.cycle()
    loop._guarded.shut_down()
    with pytest.raises(SafetyError):
        loop.cycle()
    assert table.last.contactors == OPEN
    with pytest.raises(SafetyError):
        Guarded.write(loop._guarded, table.commands[0][1])

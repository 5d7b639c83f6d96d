from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from cellwarden.domain import Finding, Frames, Pack, Severity
from cellwarden.guard import Watch, inspect, merge, pending

Record = Callable[..., Frames]
Look = Callable[..., list[Finding]]


@pytest.mark.parametrize("cells", [0, 1, 2, 8])
def test_a_healthy_record_gives_no_finding(
    record: Record, look: Look, pack: Pack, cells: int
) -> None:
    frames = record(1000, cells)
    assert look(frames, replace(pack, series_count=cells or 8)) == []
    assert look(frames, None) == []


def test_a_fault_that_lasts_an_hour_is_told_once_when_it_begins_and_once_when_it_ends(
    record: Record, pack: Pack
) -> None:
    frames = record(5000)
    frames.cell_temperature_celsius[100:3700, 2] = np.nan
    state, told = Watch(), []
    for start in range(0, 5000, 60):
        state, findings = inspect(frames.rows(start, start + 60), pack, state)
        told += findings
    assert [f.evidence["frame_count"] for f in told] == [20, 3600]
    assert {(f.kind, f.signal, f.item) for f in told} == {
        ("missing", "cell_temperature_celsius", 2)
    }
    assert {f.unix_time_second for f in told} == {frames.unix_time_second[100]}
    assert told[-1].evidence["last_unix_time_second"] == frames.unix_time_second[3699]
    assert pending(state) == []
    assert merge(told) == told[1:]


def test_a_fault_in_every_cell_is_one_finding_for_the_signal(
    record: Record, look: Look, pack: Pack
) -> None:
    frames = record(100, cells=12)
    frames.cell_voltage_volt[50:] = np.nan
    found = [f for f in look(frames, replace(pack, series_count=12)) if f.kind == "missing"]
    assert [(f.signal, f.item, f.evidence["item_count"]) for f in found] == [
        ("cell_voltage_volt", -1, 12)
    ]


def test_a_flapping_fault_stays_one_finding(record: Record, look: Look, pack: Pack) -> None:
    frames = record(600)
    frames.cell_voltage_volt[50:550:7, 3] = np.nan
    found = [f for f in look(frames, pack) if f.kind == "missing"]
    assert [f.evidence["frame_count"] for f in found] == [72]


def test_the_evidence_holds_value_limit_and_neighbours(
    record: Record, look: Look, pack: Pack
) -> None:
    frames = record(100)
    frames.cell_voltage_volt[50, 3] = 4.6
    found = next(f for f in look(frames, pack) if f.kind == "bounds")
    assert found.severity is Severity.ALARM
    assert found.item == 3
    assert found.evidence["value"] == pytest.approx(4.6)
    assert found.evidence["limit"] == pytest.approx(4.405)
    assert found.evidence["item_before"] == frames.cell_voltage_volt[50, 2]
    assert found.evidence["item_after"] == frames.cell_voltage_volt[50, 4]
    assert found.evidence["median"] == pytest.approx(3.7, abs=0.05)
    assert "cell_voltage_volt[3]" in found.message


def test_no_frames_change_nothing(record: Record, pack: Pack) -> None:
    state, _ = inspect(record(50), pack, Watch())
    assert inspect(record(50).rows(0, 0), pack, state) == (state, [])


def test_a_batch_from_the_past_or_of_another_width_begins_anew(record: Record, pack: Pack) -> None:
    state, _ = inspect(record(50), pack, Watch())
    state, early = inspect(record(50), pack, state)
    state, other = inspect(record(50, cells=9), None, state)
    assert early == other == []


def test_the_state_keeps_no_more_than_a_few_rows(record: Record, pack: Pack) -> None:
    state, _ = inspect(record(5000), pack, Watch())
    assert state.tail is not None
    assert len(state.tail) == 6
    assert state.tail.cell_voltage_volt.base is None

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from cellwarden.domain import Finding, Frames, Pack

Record = Callable[..., Frames]
Look = Callable[..., list[Finding]]


def told(findings: list[Finding], *kinds: str) -> set[tuple[str, str, int]]:
    return {(f.kind, f.signal, f.item) for f in findings if f.kind in kinds}


@pytest.mark.parametrize(
    "signal",
    ["voltage_volt", "current_ampere", "ambient_temperature_celsius", "humidity_fraction"],
)
def test_a_gap_is_told_and_no_other_rule_takes_it_for_a_value(
    record: Record, look: Look, pack: Pack, signal: str
) -> None:
    frames = record(200)
    getattr(frames, signal)[50:60] = np.nan
    found = look(frames, pack)
    assert told(found, "missing") == {("missing", signal, -1)}
    assert len(found) == 1


def test_a_sensor_that_is_not_there_misses_nothing(record: Record, look: Look, pack: Pack) -> None:
    frames = replace(record(100), ambient_temperature_celsius=None, humidity_fraction=None)
    assert look(frames, pack) == []


def test_a_stuck_cell_is_found_among_cells_that_move(
    record: Record, look: Look, pack: Pack
) -> None:
    frames = record(300)
    frames.cell_voltage_volt[60:, 4] = frames.cell_voltage_volt[60, 4]
    assert told(look(frames, pack), "stuck") == {("stuck", "cell_voltage_volt", 4)}


def test_a_cell_that_repeats_at_rest_is_not_stuck(record: Record, look: Look, pack: Pack) -> None:
    frames = record(300)
    frames.current_ampere[:] = 0
    frames.cell_voltage_volt[:] = np.linspace(3.70, 3.71, 8, dtype=np.float32)
    frames.voltage_volt[:] = frames.cell_voltage_volt.sum(axis=1)
    assert look(frames, pack) == []


def test_a_stuck_sensor_of_temperature_is_found_once_the_others_warm_up(
    record: Record, look: Look, pack: Pack
) -> None:
    frames = record(1000)
    frames.cell_temperature_celsius[:] += np.linspace(0, 9, 1000, dtype=np.float32)[:, None]
    frames.cell_temperature_celsius[100:, 1] = frames.cell_temperature_celsius[100, 1]
    assert told(look(frames, pack), "stuck") == {("stuck", "cell_temperature_celsius", 1)}


@pytest.mark.parametrize("cells", [0, 1, 8])
def test_a_stuck_current_is_found_by_the_voltage(
    record: Record, look: Look, pack: Pack, cells: int
) -> None:
    frames = record(1000, cells)
    frames.cell_voltage_volt[::10] += 0.05
    frames.voltage_volt[::10] += 0.05 * (cells or 8)
    frames.current_ampere[100:] = frames.current_ampere[100]
    pack = replace(pack, series_count=cells or 8)
    found = told(look(frames, pack), "stuck")
    assert found == told(look(frames, None), "stuck") == {("stuck", "current_ampere", -1)}


@pytest.mark.parametrize("cells", [0, 1])
def test_a_stuck_voltage_is_found_by_the_current(
    record: Record, look: Look, pack: Pack, cells: int
) -> None:
    frames = record(1000, cells)
    frames.current_ampere[::10] += 25
    frames.voltage_volt[100:] = frames.voltage_volt[100]
    frames.cell_voltage_volt[100:] = frames.cell_voltage_volt[100]
    pack = replace(pack, series_count=cells or 8)
    assert told(look(frames, pack), "stuck") == {("stuck", "voltage_volt", -1)}


def test_a_constant_current_with_a_falling_voltage_is_no_fault(
    record: Record, look: Look, pack: Pack
) -> None:
    frames = record(1000)
    frames.current_ampere[:] = -20
    fall = np.linspace(3.9, 3.5, 1000)[:, None] + 0.001 * np.arange(8)
    frames.cell_voltage_volt[:] = fall
    frames.voltage_volt[:] = fall.sum(axis=1)
    assert look(frames, pack) == []


def test_a_record_that_repeats_its_last_frame_is_found(
    record: Record, look: Look, pack: Pack
) -> None:
    frames = record(600)
    for name in ("voltage_volt", "current_ampere", "cell_voltage_volt"):
        column = getattr(frames, name)
        column[60:] = column[60]
    assert abs(frames.current_ampere[60]) > 10
    assert told(look(frames, pack), "frozen") == {("frozen", "current_ampere", -1)}

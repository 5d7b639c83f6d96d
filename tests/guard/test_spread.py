from collections.abc import Callable

import numpy as np
import pytest

from cellwarden.domain import Finding, Frames, Pack, Severity

Record = Callable[..., Frames]
Look = Callable[..., list[Finding]]


def test_a_cell_that_drifts_off_is_told_first_for_information_then_as_a_warning(
    record: Record, look: Look, pack: Pack
) -> None:
    frames = record(600)
    frames.cell_voltage_volt[:, 2] -= np.linspace(0, 0.5, 600, dtype=np.float32)
    found = [f for f in look(frames, pack) if f.kind == "spread"]
    assert [(f.severity, f.item) for f in found] == [(Severity.INFO, 2), (Severity.WARNING, 2)]
    assert found[0].unix_time_second < found[1].unix_time_second


def test_cells_that_differ_as_much_as_one_another_are_left_alone(
    record: Record, look: Look, pack: Pack
) -> None:
    frames = record(300)
    frames.cell_voltage_volt[:] += np.linspace(-0.12, 0.12, 8, dtype=np.float32)
    assert [f for f in look(frames, pack) if f.kind == "spread"] == []


def test_two_rows_apart_are_not_yet_a_spread(record: Record, look: Look, pack: Pack) -> None:
    frames = record(100)
    frames.cell_voltage_volt[50:52, 2] -= 0.4
    assert [f for f in look(frames, pack) if f.kind == "spread"] == []
    frames.cell_voltage_volt[52, 2] -= 0.4
    assert [f.item for f in look(frames, pack) if f.kind == "spread"] == [2]


def test_a_hot_sensor_is_told(record: Record, look: Look, pack: Pack) -> None:
    frames = record(100)
    frames.cell_temperature_celsius[:, 3] += 11
    assert [(f.signal, f.item) for f in look(frames, pack) if f.kind == "spread"] == [
        ("cell_temperature_celsius", 3)
    ]


@pytest.mark.parametrize(("factor", "kinds"), [(1.005, set()), (1.02, {"sum"}), (0.9, {"sum"})])
def test_the_cells_must_add_up_to_the_pack(
    record: Record, look: Look, pack: Pack, factor: float, kinds: set[str]
) -> None:
    frames = record(100)
    frames.voltage_volt[:] *= factor
    assert {f.kind for f in look(frames, pack)} == kinds


def test_no_sum_is_asked_of_a_pack_that_shows_some_of_its_cells(
    record: Record, look: Look, pack: Pack
) -> None:
    frames = record(100, cells=4)
    frames.voltage_volt[:] *= 2
    assert look(frames, pack) == []

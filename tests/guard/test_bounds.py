from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from cellwarden.domain import Finding, Frames, Pack, Severity

Record = Callable[..., Frames]
Look = Callable[..., list[Finding]]


@pytest.mark.parametrize(
    ("signal", "value"),
    [
        ("voltage_volt", np.inf),
        ("voltage_volt", 5000.0),
        ("current_ampere", -20_000.0),
        ("cell_voltage_volt", 1e38),
        ("cell_voltage_volt", -np.inf),
        ("cell_temperature_celsius", -273.15),
        ("ambient_temperature_celsius", 3000.0),
        ("humidity_fraction", 1.2),
    ],
)
def test_what_cannot_be_true_is_an_alarm_with_or_without_a_pack(
    record: Record, look: Look, pack: Pack, signal: str, value: float
) -> None:
    frames = record(100)
    getattr(frames, signal)[40] = value
    for known in (pack, None):
        found = [f for f in look(frames, known) if f.kind in {"bounds", "range"}]
        assert {f.kind for f in found} == {"range"}
        assert {(f.signal, f.severity) for f in found} == {(signal, Severity.ALARM)}


@pytest.mark.parametrize(
    ("volt", "severity"),
    [
        (4.204, None),
        (4.25, Severity.INFO),
        (4.35, Severity.WARNING),
        (4.45, Severity.ALARM),
        (2.996, None),
        (2.95, Severity.INFO),
        (2.85, Severity.WARNING),
        (2.75, Severity.ALARM),
    ],
)
def test_a_cell_is_told_for_the_outermost_tier_it_leaves(
    record: Record, look: Look, pack: Pack, volt: float, severity: Severity | None
) -> None:
    frames = record(100)
    frames.cell_voltage_volt[40, 1] = volt
    found = [f.severity for f in look(frames, pack) if f.kind == "bounds"]
    assert found == ([] if severity is None else [severity])


def test_a_pack_whose_cells_are_not_read_is_judged_by_its_own_voltage(
    record: Record, look: Look, pack: Pack
) -> None:
    frames = record(100, cells=0)
    frames.voltage_volt[40] = 8 * 4.35
    found = [f for f in look(frames, pack) if f.kind == "bounds"]
    assert [(f.signal, f.item, f.severity) for f in found] == [
        ("voltage_volt", -1, Severity.WARNING)
    ]
    assert found[0].evidence["value"] == pytest.approx(34.8)
    assert found[0].evidence["limit"] == pytest.approx(8 * 4.305)


def test_temperature_limits_follow_the_direction_of_the_current(
    record: Record, look: Look, pack: Pack
) -> None:
    frames = record(100)
    frames.cell_temperature_celsius[:] = 50
    frames.current_ampere[:] = -10
    assert not [f for f in look(frames, pack) if f.kind == "bounds"]
    frames.current_ampere[:] = np.nan
    assert not [f for f in look(frames, pack) if f.kind == "bounds"]
    frames.current_ampere[:] = 10
    found = [f for f in look(frames, pack) if f.kind == "bounds"]
    assert {f.signal for f in found} == {"cell_temperature_celsius"}


def test_current_limits_count_parallel_cells(record: Record, look: Look, pack: Pack) -> None:
    frames = record(100)
    frames.current_ampere[40:60] = 55
    assert [f.signal for f in look(frames, pack) if f.kind == "bounds"] == ["current_ampere"]
    assert not [f for f in look(frames, replace(pack, parallel_count=2)) if f.kind == "bounds"]

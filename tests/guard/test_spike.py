from collections.abc import Callable

import numpy as np

from cellwarden.domain import Finding, Frames, Pack

Record = Callable[..., Frames]
Look = Callable[..., list[Finding]]


def spikes(findings: list[Finding]) -> set[tuple[str, int]]:
    return {(f.signal, f.item) for f in findings if f.kind == "hampel"}


def test_a_single_stray_reading_of_a_cell_is_a_spike(
    record: Record, look: Look, pack: Pack
) -> None:
    frames = record(100)
    frames.cell_voltage_volt[50, 5] += 0.08
    found = look(frames, pack)
    assert spikes(found) == {("cell_voltage_volt", 5)}
    finding = next(f for f in found if f.kind == "hampel")
    assert finding.unix_time_second == frames.unix_time_second[50]
    assert finding.evidence["reading"] == frames.cell_voltage_volt[50, 5]


def test_a_spike_at_the_seam_of_two_batches_is_found_at_once_the_next_rows_are_there(
    record: Record, look: Look, pack: Pack
) -> None:
    for at in (59, 60, 61):
        frames = record(120)
        frames.cell_voltage_volt[at, 5] += 0.08
        assert spikes(look(frames, pack, 60)) == {("cell_voltage_volt", 5)}


def test_a_temperature_that_comes_back_is_a_spike(record: Record, look: Look, pack: Pack) -> None:
    frames = record(100)
    frames.cell_temperature_celsius[50, 0] += 4
    frames.ambient_temperature_celsius[70] += 4
    assert spikes(look(frames, pack)) == {
        ("cell_temperature_celsius", 0),
        ("ambient_temperature_celsius", -1),
    }


def test_a_pulse_of_the_current_is_a_spike_only_without_an_answer(
    record: Record, look: Look, pack: Pack
) -> None:
    frames = record(100)
    frames.current_ampere[50] -= 60
    assert spikes(look(frames, pack)) == {("current_ampere", -1)}
    frames.cell_voltage_volt[50] -= 0.12
    frames.voltage_volt[50] -= 0.96
    assert spikes(look(frames, pack)) == set()


def test_a_window_with_a_gap_is_not_judged(record: Record, look: Look, pack: Pack) -> None:
    frames = record(100)
    frames.cell_voltage_volt[50, 5] += 0.08
    frames.cell_voltage_volt[52, 5] = np.nan
    assert spikes(look(frames, pack)) == set()

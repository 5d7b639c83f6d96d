import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest

from cellwarden.domain import Finding, Frames, Pack
from cellwarden.guard.rate import RESISTANCE_OHM_AH

Record = Callable[..., Frames]
Look = Callable[..., list[Finding]]

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))


def rates(findings: list[Finding]) -> set[tuple[str, int]]:
    return {(f.signal, f.item) for f in findings if f.kind == "rate"}


def test_a_cell_that_shifts_against_its_siblings_is_found(
    record: Record, look: Look, pack: Pack
) -> None:
    frames = record(100)
    frames.cell_voltage_volt[50:, 5] -= 0.08
    assert rates(look(frames, pack)) == rates(look(frames, None)) == {("cell_voltage_volt", 5)}


def test_a_step_that_the_current_explains_is_not_told(
    record: Record, look: Look, pack: Pack
) -> None:
    frames = record(100, cells=1)
    frames.current_ampere[50:] += 50
    frames.cell_voltage_volt[50:] += 0.1
    frames.voltage_volt[50:] += 0.1
    assert rates(look(frames, pack)) == set()


def test_a_step_of_all_cells_without_current_is_told_of_the_pack(
    record: Record, look: Look, pack: Pack
) -> None:
    frames = record(100)
    frames.current_ampere[:] = 0
    frames.cell_voltage_volt[:] = 3.7 + 0.001 * np.arange(8)
    frames.cell_voltage_volt[50:] -= 0.5
    assert rates(look(frames, pack)) == {("voltage_volt", -1)}


def test_a_temperature_that_jumps_is_told_and_one_that_climbs_is_not(
    record: Record, look: Look, pack: Pack
) -> None:
    frames = record(100)
    frames.cell_temperature_celsius[:, 1] += 0.2 * np.arange(100, dtype=np.float32)
    assert rates(look(frames, pack)) == set()
    frames.cell_temperature_celsius[50:, 2] += 6
    assert rates(look(frames, pack)) == {("cell_temperature_celsius", 2)}


def test_nothing_is_said_across_a_gap_in_time(record: Record, look: Look, pack: Pack) -> None:
    frames = record(100)
    frames.unix_time_second[50:] += 7200
    frames.cell_voltage_volt[50:] -= 0.4
    frames.cell_temperature_celsius[50:] -= 15
    assert rates(look(frames, pack)) == set()


@pytest.mark.skipif(not (DATA / "lg_hg2").is_dir(), reason="needs the development data")
def test_the_expected_resistance_covers_the_drive_cycles_half_again() -> None:
    path = DATA / "lg_hg2" / "drive_1hz.parquet"
    for ambient in (40, 25, 10, 0, -10, -20):
        rows = duckdb.sql(
            "select voltage_V, current_A, test from read_parquet(?) where ambient_C = ?"
            " and test <> '557_Cap_1C'",
            params=[str(path), ambient],
        ).fetchnumpy()
        same = rows["test"][1:] == rows["test"][:-1]
        step = np.abs(np.diff(rows["current_A"]))
        beside = np.maximum(step, np.maximum(np.roll(step, 1), np.roll(step, -1)))
        steep = same & (beside > 0.6)
        ohm_ah = 3 * np.abs(np.diff(rows["voltage_V"]))[steep] / beside[steep]
        assert 1.5 * ohm_ah.max() <= np.interp(ambient, *RESISTANCE_OHM_AH), ambient

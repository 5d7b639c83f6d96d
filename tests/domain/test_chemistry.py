import os
from dataclasses import fields
from pathlib import Path

import duckdb
import numpy as np
import pytest

from cellwarden.domain import CHEMISTRIES, chemistry_named
from cellwarden.errors import UsageError

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))


def curve(name: str, soc: np.ndarray) -> np.ndarray:
    chemistry = CHEMISTRIES[name]
    volts: np.ndarray = np.interp(soc, chemistry.ocv_soc_fraction, chemistry.ocv_volt)
    return volts


def columns(query: str, *path: str) -> dict[str, np.ndarray]:
    file = DATA.joinpath(*path)
    if not file.exists():
        pytest.skip(f"needs {'/'.join(path)} under CELLWARDEN_DATA")
    found = duckdb.execute(query, [str(file)]).fetchnumpy()
    return {name: np.asarray(column, dtype=np.float64) for name, column in found.items()}


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_the_curve_rises_from_the_lower_to_the_upper_limit(name: str) -> None:
    chemistry = CHEMISTRIES[name]
    assert np.all(np.diff(chemistry.ocv_volt) > 0.0)
    assert np.all(np.diff(chemistry.ocv_soc_fraction) > 0.0)
    assert (chemistry.ocv_soc_fraction[0], chemistry.ocv_soc_fraction[-1]) == (0.0, 1.0)
    assert chemistry.ocv_volt[0] == chemistry.low_voltage_volt
    assert chemistry.ocv_volt[-1] == chemistry.high_voltage_volt
    assert len(chemistry.ocv_volt) == len(chemistry.ocv_soc_fraction)


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_the_nominal_voltage_is_about_the_mean_of_the_curve(name: str) -> None:
    chemistry = CHEMISTRIES[name]
    mean = np.trapezoid(chemistry.ocv_volt, chemistry.ocv_soc_fraction)
    assert abs(mean - chemistry.nominal_voltage_volt) < 0.2


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_every_number_names_its_source(name: str) -> None:
    chemistry = CHEMISTRIES[name]
    sourced = {field for field, _ in chemistry.sources}
    assert sourced == {field.name for field in fields(chemistry)} - {"name", "sources"}
    assert all(text for _, text in chemistry.sources)


def test_an_unknown_chemistry_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        chemistry_named("Pb")
    assert "LFP" in caught.value.hint
    assert chemistry_named("LFP") is CHEMISTRIES["LFP"]


def test_the_nmc_curve_is_the_slow_discharge_of_the_lg_cell() -> None:
    rows = columns(
        "select voltage_V as volt, ah from read_parquet(?)"
        " where ambient_C = 25 and current_A < -0.01 order by time_s",
        *("lg_hg2", "c20_ocv.parquet"),
    )
    soc = 1.0 - rows["ah"] / rows["ah"].min()
    inner = (soc > 0.02) & (soc < 0.97)
    gap = curve("NMC", soc[inner]) - (rows["volt"][inner] + 0.013)
    assert np.abs(gap).max() < 0.015
    assert np.abs(gap).mean() < 0.003


def rests(rows: dict[str, np.ndarray], shortest_second: float) -> tuple[np.ndarray, np.ndarray]:
    """Charge moved and voltage at the end of each rest that is long enough."""
    time, ampere, volt = rows["time_s"], rows["ampere"], rows["volt"]
    moved = np.concatenate([[0.0], np.cumsum(ampere[1:] * np.diff(time))]) / 3600.0
    idle = np.abs(ampere) < 0.05
    edges = np.flatnonzero(np.diff(idle))
    starts, stops = [0, *(edges + 1)], [*edges, len(time) - 1]
    ends = [
        stop
        for start, stop in zip(starts, stops, strict=True)
        if idle[start] and time[stop] - time[start] >= shortest_second
    ]
    return moved[ends], volt[ends]


def test_the_lfp_curve_is_where_the_k2_cell_rests() -> None:
    volts = []
    for celsius in (20, 30):
        rows = columns(
            "select time_s, current_A as ampere, voltage_V as volt from read_parquet(?)"
            f" where set_C = {celsius} order by time_s",
            *("reference_cells", "k2_lfp_26650_hppc_1hz.parquet"),
        )
        moved, volt = rests(rows, 3000.0)
        volts.append(volt)
    soc = 1.0 + moved / 2.2
    inner = soc > 0.02
    gap = curve("LFP", soc[inner]) - np.mean(volts, axis=0)[inner]
    assert np.count_nonzero(inner) >= 10
    assert np.abs(gap).max() < 0.008


def test_the_lmo_curve_is_where_the_leaf_cell_rests() -> None:
    rows = columns(
        "select time_s, current_A as ampere, voltage_V as volt from read_parquet(?)"
        " where test = 'hppc_25C' order by time_s",
        *("reference_cells", "nissan_leaf_lmo_33Ah.parquet"),
    )
    moved, volt = rests(rows, 3000.0)
    soc = (moved + 0.5) / 30.6
    gap = curve("LMO", soc[soc < 0.97]) - volt[soc < 0.97]
    assert len(gap) >= 9
    assert np.abs(gap).max() < 0.012


def test_the_lco_curve_lies_between_charge_and_discharge_of_the_calce_cell() -> None:
    rows = columns(
        "select test_time_s as time_s, current_A as ampere, voltage_V as volt"
        " from read_parquet(?) where cycle = 4 order by test_time_s",
        *("calce_cs2", "CS2_35.parquet"),
    )
    grid = np.linspace(0.1, 0.9, 17)
    halves = []
    for sign in (1.0, -1.0):
        mask = rows["ampere"] * sign > 0.005
        step = np.clip(np.diff(rows["time_s"][mask]), 0.0, 60.0)
        moved = np.concatenate([[0.0], np.cumsum(rows["ampere"][mask][1:] * step)])
        soc = (moved - moved.min()) / np.ptp(moved)
        order = np.argsort(soc)
        halves.append(np.interp(grid, soc[order], rows["volt"][mask][order]))
    charge, discharge = halves
    assert np.all(curve("LCO", grid) < charge)
    assert np.all(curve("LCO", grid) > discharge)

"""Models on the device: used while they answer well, put aside for good when they do not."""

import time
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from cellwarden.domain import Charge, Frame, Frames, Pack
from cellwarden.edge.inference import Budget, ChargeSense, HealthSense, StrangeSense
from cellwarden.edge.models import Regressor
from cellwarden.health import charge as built_in
from cellwarden.health.soc_model import CellModel
from cellwarden.physics.twin import Twin, TwinConfig
from cellwarden.registry import load
from cellwarden.registry.shelf import read_circuit
from conftest import Cell, joined
from edge.lines import line
from edge.live import T, charge, frame, pack

SHIPPED = Path(str(resources.files("cellwarden.health"))) / "models"


@pytest.fixture(scope="module")
def circuit() -> CellModel:
    return read_circuit("soc-lg-hg2")[0]


@pytest.fixture(scope="module")
def driven() -> tuple[Pack, list[Frame]]:
    """A pack of the twin that is discharged and charged."""
    config = TwinConfig(
        "pack-1",
        series_count=3,
        nominal_capacity_ah=50.0,
        period_second=30.0,
        duration_second=9000,
        discharge_rate=0.3,
    )
    frames = Twin(config).read(300)
    assert frames is not None
    return config.pack(), [row(frames, k) for k in range(len(frames))]


def row(frames: Frames, k: int) -> Frame:
    return Frame(
        float(frames.unix_time_second[k]),
        float(frames.voltage_volt[k]),
        float(frames.current_ampere[k]),
        frames.cell_voltage_volt[k].astype(float),
        frames.cell_temperature_celsius[k].astype(float),
    )


def alone(of: Pack, frames: list[Frame]) -> list[np.ndarray]:
    belief, told = built_in.init(of), []
    for one in frames:
        belief, charged = built_in.step(belief, one, of)
        told.append(charged.soc_fraction)
    return told


def test_a_signed_circuit_tells_the_charge_while_it_answers_well(
    circuit: CellModel, driven: tuple[Pack, list[Frame]]
) -> None:
    of, frames = driven
    sense = ChargeSense(of, circuit, "lg")
    told = [sense.step(one).soc_fraction for one in frames]
    assert sense.source == "lg"
    assert sense.take_findings() == []
    plain = alone(of, frames)
    assert not np.allclose(told, plain)
    assert np.abs(np.array(told) - plain).max() < 0.35


def test_without_a_model_the_built_in_filter_tells_it(driven: tuple[Pack, list[Frame]]) -> None:
    of, frames = driven
    sense = ChargeSense(of)
    told = [sense.step(one).soc_fraction for one in frames]
    np.testing.assert_array_equal(told, alone(of, frames))
    assert sense.source == "built in"


def spoilt(circuit: CellModel, how: str) -> CellModel:
    """A circuit that somebody has signed by mistake."""
    table = circuit.table.copy()
    if how == "nan":
        table[:, :, 0] = np.nan
    elif how == "broken":
        table = table[:, :, :1]
    else:
        table[:, :, 0] += 1.0  # a cell that is full seems empty
    return replace(circuit, table=table)


@pytest.mark.parametrize("how", ["nan", "broken", "a volt off"])
def test_a_model_that_answers_badly_is_put_aside_and_the_built_in_filter_goes_on(
    circuit: CellModel, driven: tuple[Pack, list[Frame]], how: str
) -> None:
    of, frames = driven
    sense = ChargeSense(of, spoilt(circuit, how), "bad")
    with np.errstate(all="ignore"):
        told = [sense.step(one).soc_fraction for one in frames]
    assert sense.source == "built in"
    (found,) = sense.take_findings()
    assert (found.kind, found.signal) == ("model", "soc_fraction")
    assert "bad is put aside" in found.message
    # From there on it is the built-in filter that never stopped.
    np.testing.assert_array_equal(told[-1], alone(of, frames)[-1])
    assert all(np.isfinite(one).all() for one in told)


def test_a_model_that_takes_too_long_too_often_is_put_aside(
    circuit: CellModel, driven: tuple[Pack, list[Frame]]
) -> None:
    of, frames = driven
    sense = ChargeSense(of, circuit, "slow", Budget(cpu_second=0.0, late_count=3))
    for one in frames[:2]:
        sense.step(one)
    assert sense.source == "slow"
    sense.step(frames[2])
    assert sense.source == "built in"
    assert "CPU" in sense.take_findings()[0].message


class Slow:
    """Rows that somebody computes for too long."""

    def tell(self, features: np.ndarray) -> tuple[np.ndarray, ...]:
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
        return (features[:, 0],) * 3


BAND = Regressor(("current_ampere", "soc_fraction"), "", line(
    ("current_ampere", "soc_fraction"), [0.0, 1.0], 3.2, half_width=0.05
))  # fmt: skip


def test_a_cell_that_is_not_as_expected_for_a_while_is_found_once_until_it_is_again() -> None:
    sense = StrangeSense(BAND, "band")

    def seen(start: int, volt: float, count: int) -> list[str]:
        cells = np.array([3.7, volt, 3.7])
        told = [
            sense.step(replace(frame(T + start + n), cell_voltage_volt=cells), charge(0.5))
            for n in range(count)
        ]
        return [one.message for found in told for one in found]

    assert seen(0, 3.72, 100) == []
    assert seen(100, 3.5, 29) == []
    assert seen(129, 3.7, 1) == []
    (found,) = seen(200, 3.5, 60)
    assert "cell 1" in found
    assert seen(260, 3.5, 100) == []
    assert seen(360, 3.7, 1) == []
    assert len(seen(400, 4.0, 60)) == 1
    assert seen(500, float("nan"), 60) == []


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (line(("moon",), [1.0], 0.0), "KeyError"),
        (replace(BAND.rows, half_width=None, coverage=None), "no interval"),
        (Slow(), "CPU"),
    ],
)
def test_an_expectation_that_is_none_is_put_aside(rows: object, reason: str) -> None:
    columns = rows.columns if hasattr(rows, "columns") else ("current_ampere",)
    sense = StrangeSense(Regressor(columns, "", rows), "bad", Budget(0.01, 2))  # type: ignore[arg-type]
    found = [one for n in range(5) for one in sense.step(frame(T + n), charge(0.5))]
    assert [one.kind for one in found] == ["model"]
    assert reason in found[0].message


def charged(cell: Cell, sense: HealthSense, cycles: int = 1) -> list[object]:
    """The frames of whole cycles, as a device sees them."""
    series = joined([part for _ in range(cycles) for part in cell.cycle()], 10.0)
    found: list[object] = []
    for at, volt, ampere in zip(
        series.test_time_second, series.voltage_volt, series.current_ampere, strict=True
    ):
        found += sense.step(
            Frame(T + float(at), float(volt), float(ampere), np.array([volt]), np.array([25.0]))
        )
    return found


SMALL = replace(pack(), cell=replace(pack().cell, nominal_capacity_ah=2.0), series_count=1)
TEN_SECOND = Cell(period_second=10.0)


def test_a_model_of_ones_own_tells_health_after_a_charge() -> None:
    own = line(("window_fraction", "taper_hour"), [1.0, 0.0], 0.3, half_width=0.02)
    sense = HealthSense(SMALL, Regressor(own.columns, "", own), "own")
    found = charged(TEN_SECOND, sense)
    assert [one.kind for one in found] == ["health"]  # type: ignore[attr-defined]
    assert sense.last is not None
    assert sense.last[1] == pytest.approx(0.3 + TEN_SECOND.window_fraction, abs=0.01)


def test_the_served_model_says_nothing_about_cells_that_it_is_not_for() -> None:
    sense = HealthSense(SMALL, load(), "soh")
    assert charged(TEN_SECOND, sense) == []
    assert sense.last is None


def test_a_health_that_no_cell_has_puts_the_model_aside_and_the_last_word_stands() -> None:
    wild = line(("window_fraction",), [100.0], 0.0)
    sense = HealthSense(SMALL, Regressor(wild.columns, "", wild), "wild")
    sense.last = (T, 0.9)
    found = charged(TEN_SECOND, sense, cycles=2)
    assert [one.kind for one in found] == ["model"]  # type: ignore[attr-defined]
    assert sense.last == (T, 0.9)


def test_a_short_charge_says_nothing() -> None:
    own = line(("window_fraction",), [1.0], 0.3)
    sense = HealthSense(SMALL, Regressor(own.columns, "", own), "own")
    for second in range(0, 300, 10):
        assert sense.step(frame(T + second, ampere=1.0, cells=1)) == []
    assert sense.step(frame(T + 310, cells=1)) == []


def test_what_is_kept_of_a_day_is_bounded() -> None:
    own = line(("window_fraction",), [1.0], 0.3)
    sense = HealthSense(SMALL, Regressor(own.columns, "", own), "own")
    one = frame(T, cells=1)
    for second in range(0, 200_000, 5):
        sense.step(replace(one, unix_time_second=T + second))
    assert len(sense._record.rows) <= 8640


def test_the_charge_of_a_pack_is_a_charge() -> None:
    assert isinstance(ChargeSense(pack()).step(frame()), Charge)

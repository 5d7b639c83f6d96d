"""How early a runaway is told: on two real abuse tests and on the twin's own runaways.

Rules
- Onset of the collapse is the first reading more than 0.1 V below what the cell showed before the
  test, while it has not come back since; the peak is the hottest thermocouple at its hottest.
- The warning is the first moment at which a sense speaks (suspected), or two do (imminent).
- The twin's gas is simulated, the databank calibrates onset and heat only; see `physics.runaway`.

`python -m cellwarden.drills.runaway` prints all of it.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import numpy as np

from cellwarden.control import runaway as warning
from cellwarden.control.evidence import measures_of
from cellwarden.datasets import data_folder
from cellwarden.domain import Board, Cell, Pack, chemistry_named, tiers
from cellwarden.physics import runaway as model
from cellwarden.physics.circuit import circuit_of
from cellwarden.physics.thermal import thermal_of
from cellwarden.readers import load

__all__ = ["SHORT_RATES", "Course", "Warned", "abuse_tests", "databank", "twin_runaway", "warn"]

SHORT_RATES: Final = (2.0, 5.0, 10.0)  # current of the short over capacity
_COLLAPSE_VOLT: Final = 0.1
_AHEAD: Final = 50  # readings before the test
_ABUSED_AH: Final = 26.0  # cell_list.xlsx
_CELLS: Final = 12
_VICTIM: Final = 4
_START_SECOND: Final = 60.0
_SENSOR_SECOND: Final = 5.0  # a thermistor follows its cell
_LONGEST_SECOND: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Course:
    """Readings of a test; NaN where a sensor was not read at that moment."""

    name: str
    second: np.ndarray
    cell_volt: np.ndarray
    celsius: np.ndarray
    gas_fraction: np.ndarray


@dataclass(frozen=True, slots=True)
class Warned:
    """When what was told; NaN for what did not come."""

    name: str
    suspected_second: float
    imminent_second: float
    collapse_second: float
    peak_second: float
    peak_celsius: float

    @property
    def before_peak_second(self) -> float:
        """From the first warning to the peak. [s]"""
        return self.peak_second - self.suspected_second

    @property
    def after_onset_second(self) -> float:
        """From the onset of the collapse to the first warning; below zero is ahead of it. [s]"""
        return self.suspected_second - self.collapse_second


def warn(course: Course, capacity_ah: float) -> Warned:
    """Run the warning over a test, reading by reading."""
    chemistry = chemistry_named("NMC")
    cell = Cell(chemistry, capacity_ah, tiers(chemistry, capacity_ah))
    measures = measures_of(Pack("abused", cell), Board())
    slopes = warning.begin(course.cell_volt.shape[1], course.celsius.shape[1])
    spoken = np.zeros(len(course.second))
    before = float(course.second[0])
    for index, now in enumerate(course.second.tolist()):
        slopes, voices = warning.step(
            slopes,
            now - before,
            course.cell_volt[index],
            course.celsius[index],
            current_ampere=0.0,
            gas_fraction=float(course.gas_fraction[index]),
            ohm=measures.ohm,
            deaf_below_volt=measures.deaf_below_volt,
        )
        spoken[index], before = float(voices.sense_count), now
    hottest = np.fmax.reduce(course.celsius, axis=1)
    peak = int(np.nanargmax(hottest))
    return Warned(
        course.name,
        _first(course.second, spoken >= 1.0),
        _first(course.second, spoken > 1.0),
        _first(course.second, _collapsed(course.cell_volt)),
        float(course.second[peak]),
        float(hottest[peak]),
    )


def _first(second: np.ndarray, there: np.ndarray) -> float:
    return float(second[np.argmax(there)]) if there.any() else float("nan")


def _collapsed(volt: np.ndarray) -> np.ndarray:
    """From when on a cell stays more than 0.1 V below its begin; it must end 1 V below."""
    lowest = np.fmin.reduce(volt, axis=1)
    begun = float(np.median(lowest[:_AHEAD]))
    down = lowest < begun - _COLLAPSE_VOLT
    if lowest[-1] > begun - 1.0:
        return np.zeros(len(down), dtype=bool)
    back = np.flatnonzero(~down)
    first = int(back[-1]) + 1 if len(back) else 0
    return np.arange(len(down)) >= first


def abuse_tests(folder: Path) -> list[Warned]:
    """Both indentation tests of a 26 Ah pouch cell, as their workbooks have them."""
    return [
        warn(_course(folder / "abuse_tests" / f"{name}.xlsx", title), _ABUSED_AH)
        for name, title in (
            ("snl_abuse", "SNL indentation"),
            ("ornl_abuse", "ORNL indentation"),
        )
    ]


def _course(path: Path, title: str) -> Course:
    """Voltages and thermocouples in order of time; each has its own clock in one of the books."""
    table = load(path)
    columns = {name: np.asarray(table[name], dtype=np.float64) for name in table.columns}  # type: ignore[union-attr, index]
    second, volt = columns["Running Time"], columns["Analog 1"]
    probes = np.stack([columns[f"TC 0{number}"] for number in range(1, 7)], axis=1)
    own = columns.get("Running Time 1", second)
    read = np.isfinite(own)
    celsius = np.full((len(second), 6), np.nan)
    # A thermocouple counts when the next voltage is read.
    place = np.minimum(np.searchsorted(second, own[read]), len(second) - 1)
    celsius[place] = probes[read]
    return Course(title, second, volt[:, None], celsius, np.full(len(second), np.nan))


def twin_runaway(rate: float, capacity_ah: float = 50.0, seed: int = 1) -> Warned:
    """A pack at rest in which one cell is shorted inside until it runs away, read at 10 Hz."""
    period = 0.1
    cell = model.runaway_of(
        circuit_of(chemistry_named("NMC"), capacity_ah), thermal_of(capacity_ah), capacity_ah
    )
    state = model.begin(np.full(_CELLS, 0.9), 25.0)
    short, none = np.zeros(_CELLS), np.zeros(_CELLS)
    generator = np.random.default_rng(seed)
    shown = state.temperature_celsius.copy()
    rows: list[tuple[float, np.ndarray, np.ndarray, float]] = []
    for index in range(round(_LONGEST_SECOND / period)):
        now = index * period
        short[_VICTIM] = rate * capacity_ah / 3.7 if now >= _START_SECOND else 0.0
        state, _ = model.advance(
            cell, state, period, short_siemens=short, outside_watt=none, air_celsius=25.0
        )
        shown = shown + (state.temperature_celsius - shown) * -np.expm1(-period / _SENSOR_SECOND)
        volts = model.shown_volt(cell, state, short)
        rows.append(
            (
                now,
                volts + generator.normal(0.0, 0.001, _CELLS),
                shown + generator.normal(0.0, 0.1, _CELLS),
                state.gas_fraction,
            )
        )
        if state.extent_fraction[_VICTIM] > 1.0 - 1e-6:
            break
    second, volt, celsius, gas = (np.array(column) for column in zip(*rows, strict=True))
    return warn(
        Course(f"twin, internal short at {rate:g}C", second, volt, celsius, gas), capacity_ah
    )


def databank(folder: Path) -> dict[str, float]:
    """What the model is calibrated on, from the databank itself."""
    path = folder / "failure_databank" / "calorimetry.parquet"
    heated = duckdb.sql(
        'select "Cell-Description" as cell,'
        ' median("Corrected-Total-Energy-Yield-kJ" / "Pre-Test-Cell-Mass-g") as heat,'
        ' median("Energy-Percent-Cell-Body-%") / 100 as kept,'
        ' median(try_cast("Avg-Cell-Temp-At-Trigger-degC" as double)) as onset,'
        " count(*) as tests"
        f" from read_parquet('{path}') where \"Pre-Test-State-of-Charge-%\" = 100"
        " and \"Trigger-Mechanism\" = 'Heater (Non-ISC)' group by cell"
    ).fetchnumpy()
    return {
        "onset_celsius": float(np.median(heated["onset"])),
        "heat_kj_per_gram": float(np.median(heated["heat"])),
        "kept_fraction": float(np.median(heated["kept"])),
        "cell_type_count": float(len(heated["cell"])),
        "test_count": float(np.sum(heated["tests"])),
    }


def _lines(folder: Path) -> list[str]:
    found = databank(folder)
    warned = [*abuse_tests(folder), *(twin_runaway(rate) for rate in SHORT_RATES)]
    head = ("test", "suspected", "imminent", "collapse", "peak", "peak °C")
    lines = [f"databank: {', '.join(f'{name} {value:.4g}' for name, value in found.items())}"]
    lines.append("{:32s}{:>10s}{:>10s}{:>10s}{:>10s}{:>9s}".format(*head))
    for one in warned:
        times = (one.suspected_second, one.imminent_second, one.collapse_second, one.peak_second)
        told = "".join("         -" if np.isnan(time) else f"{time:10.1f}" for time in times)
        lines.append(f"{one.name:32s}{told}{one.peak_celsius:9.0f}")
    return lines


if __name__ == "__main__":
    sys.stdout.write("\n".join(_lines(data_folder())) + "\n")

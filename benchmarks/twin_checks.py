"""How true the twin is: against PyBaMM, measured drives (LG HG2) and cells aged at NASA.

Everything that is fitted is fitted on other records than those that are scored.
- PyBaMM (DFN, Chen2020): the twin's circuit is made from a C/40 discharge and from pulses at 25 and
  40 °C,
  its lump has PyBaMM's heat capacity and cooling; scored on 1 C and C/2 discharges that warm up.
  PyBaMM's heat of mixing is on: without it, loss inside particles is nobody's heat.
  A year and two of SEI at rest are set beside the twin's law: a trend, not an error.
- LG HG2: the circuit of the twin as it is shipped (its resistances come from Mixed1) driven by the
  measured current of Mixed2 to 8, and circuits that `health.soc_identify` makes of three quarters
  of the drives, on the fourth. Charge starts where the data says and is counted from there.
- NASA: both speeds and the power of the cycle law are fitted on some cells of a group and scored
  on others, each from its own first capacity on; the law as shipped and "it stays as it was" stand
  beside.
  Groups whose tests change course (38 to 44, 49 to 56) or begin with discharges that were broken
  off (33, 34) are left out: their capacities are of different tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
from scipy.optimize import least_squares, nnls

from cellwarden.cli.bench import load_script
from cellwarden.domain import CHEMISTRIES
from cellwarden.domain.units import GAS_CONSTANT
from cellwarden.physics import aging as agings
from cellwarden.physics import circuit as circuits
from cellwarden.physics import thermal as thermals
from cellwarden.physics.aging import Law
from cellwarden.physics.circuit import Circuit, CircuitState, circuit_of
from cellwarden.physics.thermal import Thermal, thermal_of

HERE: Final = Path(__file__).parent
_M50_AH: Final = 5.0
Row = dict[str, Any]
# Cells of one treatment, the first for training: ambient [°C] and discharge.
_NASA: Final = {
    "24 °C, 2 A": ("B0005", "B0006", "B0007"),
    "24 °C, 4 A pulsed": ("B0025", "B0026", "B0027"),
    "43 °C, 4 A": ("B0029", "B0030", "B0031"),
    "4 °C, 1 A": ("B0045", "B0046", "B0047"),
}
_WHOLE: Final = 0.5  # of the first capacity: a test below it was broken off


def row(check: str, value: float, unit: str, data: str, text: str, *, figure: bool = False) -> Row:
    """One line of what was checked."""
    told = {"check": check, "value": float(f"{value:.3g}"), "unit": unit, "data": data}
    return told | {"text": text, "figure": figure}


def rows(pybamm: dict[str, Any] | None, data: Path, *, quick: bool) -> list[Row]:
    """Every check for which there is data."""
    told = against_pybamm(pybamm) if pybamm else []
    if (data / "lg_hg2").is_dir():
        told += against_drives(quick=quick)
    if (data / "nasa_pcoe").is_dir():
        told += against_nasa(data / "nasa_pcoe")
    return told


# --- the circuit -------------------------------------------------------------------------------


def driven(
    circuit: Circuit,
    thermal: Thermal | None,
    ampere: np.ndarray,
    celsius: np.ndarray,
    *,
    soc: np.ndarray,
    capacity_ah: float,
    second: np.ndarray | float,
) -> tuple[np.ndarray, np.ndarray]:
    """Voltage and temperature of cells under given currents, a column each.

    `celsius` is the air's; without a lump it is the cells'.
    """
    state = CircuitState(soc, np.zeros(len(soc)), np.zeros(len(soc)))
    warm, volts, warmth = celsius[0].copy(), np.empty(ampere.shape), np.empty(ampere.shape)
    lengths = np.broadcast_to(second, ampere.shape)
    for index, current in enumerate(ampere):
        if thermal is None:
            warm = celsius[index]
        state, volts[index] = circuits.step(
            circuit,
            state,
            current,
            circuits.arrhenius(circuit.activation_joule_per_mole, warm),
            capacity_ah=np.full(len(soc), capacity_ah),
            period_second=lengths[index],
        )
        if thermal is not None:
            over = volts[index] - circuits.open_circuit_voltage(circuit, state.soc_fraction)
            warm = thermals.step(
                replace(thermal, neighbour_watt_per_kelvin=0.0),
                warm,
                current * over,
                air_temperature_celsius=celsius[index],
                air_factor=np.ones(len(soc)),
                period_second=lengths[index],
            )
        warmth[index] = warm
    return volts, warmth


def _trace(told: dict[str, list[float]]) -> tuple[np.ndarray, ...]:
    return tuple(
        np.array(told[name])
        for name in ("time_second", "voltage_volt", "current_ampere", "temperature_celsius")
    )


def m50_circuit(told: dict[str, Any]) -> Circuit:
    """The circuit of PyBaMM's cell from its slow discharge and its pulses, nothing else."""
    time, volt, ampere, _ = _trace(told["slow"])
    gone = -np.cumsum(ampere * np.diff(time, append=time[-1])) / 3600.0
    capacity = float(gone[-1])
    grid = np.linspace(0.0, 1.0, circuits.POINT_COUNT)
    ocv = np.interp(grid, (1.0 - gone / capacity)[::-1], volt[::-1])
    circuit = replace(
        circuit_of(CHEMISTRIES["NMC"], _M50_AH), ocv_volt=ocv, activation_joule_per_mole=0.0
    )
    circuit = _pulsed(told["pulses"], circuit, capacity)
    warm = _pulsed(told["warm_pulses"], circuit, capacity)
    # The law of Arrhenius through both sums of resistances.
    kelvin = 273.15 + np.array(
        [told[p]["temperature_celsius"][0] for p in ("pulses", "warm_pulses")]
    )
    ohm = [c.ohmic_ohm + c.fast_ohm + c.slow_ohm for c in (circuit, warm)]
    slope = np.log(ohm[0] / ohm[1]) / (1.0 / kelvin[0] - 1.0 / kelvin[1])
    return replace(circuit, activation_joule_per_mole=float(slope * GAS_CONSTANT))


def _pulsed(told: dict[str, list[float]], circuit: Circuit, capacity: float) -> Circuit:
    """The resistances and lags that fit pulses best."""
    time, volt, ampere, _ = _trace(told)
    soc = 1.0 + np.cumsum(ampere * np.diff(time, prepend=0.0)) / 3600.0 / capacity
    over = volt - circuits.open_circuit_voltage(circuit, soc)
    kept = (soc > 0.1) & (soc < 0.95)  # noqa: PLR2004  where a mean resistance says something
    best: tuple[float, Circuit] = (np.inf, circuit)
    for fast in (5.0, 10.0, 20.0, 40.0):
        for slow in (100.0, 200.0, 400.0, 800.0, 1600.0):
            lags = [_lag(ampere, lag, 10.0) for lag in (fast, slow)]
            # The last column is the slow curve's own drop, which the curve must be raised by.
            columns = np.stack([ampere, *lags, np.ones(len(ampere))], axis=1)
            found, left = nnls(columns[kept], over[kept])
            if left < best[0]:
                raised = circuit.ocv_volt + found[3]
                best = left, replace(circuit, ohmic_ohm=found[0], fast_ohm=found[1],
                                     slow_ohm=found[2], fast_second=fast, slow_second=slow,
                                     ocv_volt=raised)  # fmt: skip
    return best[1]


def _lag(ampere: np.ndarray, lag: float, second: float) -> np.ndarray:
    out, held, decay = np.empty(len(ampere)), 0.0, np.exp(-second / lag)
    for index, current in enumerate(ampere):
        held = decay * held + (1.0 - decay) * current
        out[index] = held
    return out


def against_pybamm(told: dict[str, Any]) -> list[Row]:
    """One discharge and its heat, and how fast a cell at rest ages."""
    circuit = m50_circuit(told)
    capacity = -sum(told["slow"]["current_ampere"]) * 60.0 / 3600.0
    lump = Thermal(told["lump"]["joule_per_kelvin"], told["lump"]["watt_per_kelvin"], 0.0)
    found = []
    for name, words in (("discharge", "1 C"), ("half", "C/2")):
        time, volt, ampere, celsius = _trace(told[name])
        ours, warm = driven(
            circuit, lump, ampere[:, None], np.full((len(time), 1), 25.0), soc=np.ones(1),
            capacity_ah=capacity, second=10.0,
        )  # fmt: skip
        ours, warm = ours[:, 0], warm[:, 0]
        under = ampere < 0.0
        rmse = _rms(ours[under] - volt[under])
        hot, right = warm.max() - 25.0, celsius.max() - 25.0
        without = max(told["unmixed"]["temperature_celsius"]) - 25.0
        data = f"PyBaMM {told['version']}, DFN, Chen2020, {words}"
        found += [
            row(f"pybamm.{name}.rmse_volt", rmse, "V", data, figure=True,
                text=f"PyBaMM {words}: voltage off by {1e3 * rmse:.1f} mV RMS"),
            row(f"pybamm.{name}.rise_celsius", hot, "°C", data,
                text=f"PyBaMM {words}: warmer by {hot:.1f} °C, PyBaMM by {right:.1f} °C"
                + (f" ({without:.1f} without its heat of mixing)" if name == "discharge" else "")),
            row(f"pybamm.{name}.rise_error_celsius", hot - right, "°C", data, figure=True,
                text=f"PyBaMM {words}: temperature off by {_rms(warm - celsius):.2f} °C RMS"),
        ]  # fmt: skip
    return found + _rest(told)


def _rest(told: dict[str, Any]) -> list[Row]:
    """Loss at rest after one and two years: ours beside PyBaMM's SEI."""
    found = []
    data = f"PyBaMM {told['version']}, SPM, SEI limited by diffusion, OKane2022"
    for at, lost in told["rest"].items():
        celsius, soc = float(at.split(" ")[0]), float(at.rpartition(",")[2])
        ours = _calendar(Law(), np.array([365.0, 730.0]), celsius, soc)
        power = np.log2(lost[-1] / lost[-2])
        found.append(
            row(
                f"pybamm.rest.{celsius:g}c.{soc:g}", float(ours[0]), "1", data,
                text=f"a year at rest at {at}: {ours[0]:.2%} lost, PyBaMM {lost[-2]:.2%};"
                f" grows with time to the {np.log2(ours[1] / ours[0]):.2f}, PyBaMM {power:.2f}",
            )
        )  # fmt: skip
    return found


def _calendar(law: Law, days: np.ndarray, celsius: float, soc: float) -> np.ndarray:
    met, warm = (
        agings.calendar_exposure(law, np.array([soc])),
        agings.warmth(law, np.array(celsius)),
    )
    lost: np.ndarray = (days * met[0] * warm[0]) ** law.calendar_power
    return lost


# --- measured drives ---------------------------------------------------------------------------


def against_drives(*, quick: bool) -> list[Row]:
    """LG HG2's random drives, voltage under the measured current."""
    from cellwarden.health.soc_identify import identify, predict_volt

    soc = load_script("soc")
    runs = [run for run in soc.lg_runs() if run.fold >= 0]
    learnt = [run for run in runs if run.name.endswith("Mixed1")]
    others = [run for run in runs if run not in learnt]
    shipped = circuit_of(CHEMISTRIES["NMC"], 3.0)
    volts, _ = _driven(others, shipped, None)
    off = {"shipped": _off(others, volts, "voltage_volt"), "identified": []}
    for name, lump in (("still", thermal_of(3.0)), ("blown", _cooling(learnt, shipped))):
        off[name] = _off(others, _driven(others, shipped, lump)[1], "temperature_celsius")
    for fold in range(1 if quick else soc.FOLD_COUNT):
        model = identify(
            [r.record for r in runs if r.fold != fold] + soc.slow_curves(), soc.CAPACITY_AH
        )
        for run in runs:
            if run.fold == fold:
                miss = _rms(predict_volt(model, run.record) - run.record.voltage_volt)
                off["identified"].append((run.ambient_celsius, miss))
    named = {
        "shipped": ("lg.shipped.rmse_volt", "V", "as shipped, Mixed2-8"),
        "identified": ("lg.identified.rmse_volt", "V", "identified on other drives"),
        "still": ("lg.still_air.rmse_celsius", "°C", "temperature, cooling as shipped"),
        "blown": ("lg.temperature.rmse_celsius", "°C", "temperature, cooling fitted to Mixed1"),
    }
    return [_by_ambient(*named[name], misses) for name, misses in off.items()]


def _driven(
    runs: Sequence[Any], circuit: Circuit, lump: Thermal | None
) -> tuple[np.ndarray, np.ndarray]:
    """All runs side by side; the air is as warm as the cell was at first."""
    shape = max(len(run.record) for run in runs), len(runs)
    ampere, celsius, second = np.zeros(shape), np.zeros(shape), np.ones(shape)
    for column, run in enumerate(runs):
        record, length = run.record, len(run.record)
        ampere[:length, column] = record.current_ampere
        known = record.temperature_celsius
        celsius[:, column] = known[0] if lump else np.pad(known, (0, shape[0] - length), "edge")
        second[1:length, column] = np.diff(record.unix_time_second)
    soc = np.array([run.record.soc_fraction[0] for run in runs])
    return driven(circuit, lump, ampere, celsius, soc=soc, capacity_ah=2.78, second=second)


def _off(runs: Sequence[Any], told: np.ndarray, name: str) -> list[tuple[int, float]]:
    """The error of each run, with the chamber's temperature."""
    return [
        (run.ambient_celsius, _rms(told[: len(run.record), k] - getattr(run.record, name)))
        for k, run in enumerate(runs)
    ]


def _cooling(runs: Sequence[Any], circuit: Circuit) -> Thermal:
    """The lump whose way to the air fits best: the chamber blows, still air is what is shipped."""
    still = thermal_of(3.0)
    tried = [
        replace(still, air_watt_per_kelvin=still.air_watt_per_kelvin * factor)
        for factor in (1.0, 4.0, 8.0, 12.0, 16.0, 24.0)
    ]
    warmths = [_driven(runs, circuit, lump)[1] for lump in tried]
    misses = [np.mean([m for _, m in _off(runs, w, "temperature_celsius")]) for w in warmths]
    return tried[int(np.argmin(misses))]


def _by_ambient(check: str, unit: str, words: str, off: Sequence[tuple[int, float]]) -> Row:
    cold = sorted({ambient for ambient, _ in off})
    means = {a: float(np.mean([miss for at, miss in off if at == a])) for a in cold}
    scale, sign, digits = (1e3, "mV", 0) if unit == "V" else (1.0, "°C", 2)
    parts = ", ".join(f"{a} °C: {scale * miss:.{digits}f}" for a, miss in means.items())
    mean = float(np.mean([miss for _, miss in off]))
    data = f"lg_hg2, {len(off)} drives, {words}"
    text = f"LG HG2, {words}: {scale * mean:.{digits}f} {sign} RMS ({parts})"
    return row(check, mean, unit, data, text, figure=True) | {"by_ambient": means}


# --- aged cells --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Aged:
    """One cell's discharges: day, equivalent full cycles so far, capacity over its first."""

    celsius: float
    broken_count: int
    days: np.ndarray
    cycles: np.ndarray
    left: np.ndarray


def aged(folder: Path, cell: str) -> Aged:
    """The discharges of a cell, those that were broken off left out."""
    told = duckdb.execute(
        "select epoch(start::timestamp) as begun, ambient_C, capacity_Ah from read_csv(?) where"
        " battery_id = ? and type = 'discharge' and capacity_Ah is not null order by test_id",
        [str(folder / "tests.csv"), cell],
    ).fetchnumpy()
    time, celsius, capacity = (np.asarray(c, dtype=np.float64) for c in told.values())
    whole = capacity > _WHOLE * float(np.percentile(capacity[:20], 90))
    first = float(np.median(capacity[whole][:3]))
    return Aged(
        float(np.median(celsius)),
        int(np.sum(~whole)),
        (time[whole] - time[0]) / 86_400.0,
        np.cumsum(capacity)[whole] / first - 1.0,
        capacity[whole] / first,
    )


def faded(cell: Aged, law: Law) -> np.ndarray:
    """Capacity over the first by the law: at rest half charged, full cycles around the middle."""
    half = np.array([0.5])
    met = float(agings.cycle_exposure(law, half, 1.0)[0][0])
    use = np.maximum(cell.cycles, 0.0) * met
    return 1.0 - _calendar(law, cell.days, cell.celsius, 0.5) - use**law.cycle_power


def fit(cells: Sequence[Aged]) -> Law:
    """Both speeds and the power of the cycle law, by least squares over some cells."""

    def misses(found: np.ndarray) -> np.ndarray:
        law = _law(found)
        return np.concatenate([(faded(c, law) - c.left) / np.sqrt(len(c.left)) for c in cells])

    return _law(
        least_squares(misses, [0.5, 0.0, 0.7], bounds=([0.0, -5.0, 0.3], [3.0, 5.0, 2.0])).x
    )


def _told(law: Law) -> str:
    speeds = f"speed at rest {law.calendar_speed:.2f}, in use {law.cycle_speed:.2f}"
    return f"{speeds}, power {law.cycle_power:.2f}"


def _law(found: np.ndarray) -> Law:
    return Law(float(found[0]), float(np.exp(found[1])), cycle_power=float(found[2]))


def against_nasa(folder: Path) -> list[Row]:
    """Fitted on all but one cell of a group, scored on that one; and across groups."""
    groups = {name: [aged(folder, who) for who in names] for name, names in _NASA.items()}
    found, all_off = [], []
    for name, cells in groups.items():
        off, still, shipped, laws = [], [], [], []
        for index, held in enumerate(cells):
            laws.append(fit(cells[:index] + cells[index + 1 :]))
            off.append(_rms(faded(held, laws[-1]) - held.left))
            still.append(_rms(1.0 - held.left))
            shipped.append(_rms(faded(held, Law()) - held.left))
        all_off += off
        lost = [1.0 - float(c.left[-1]) for c in cells]
        law = laws[0]
        found.append(
            row(
                "nasa.rmse_fraction", float(np.mean(off)), "1",
                f"nasa_pcoe, {name}, {len(cells)} cells, each left out",
                text=f"NASA {name}: {np.mean(off):.2%} of the first capacity RMS"
                f" (law as shipped {np.mean(shipped):.2%}, no fade {np.mean(still):.2%}; lost in"
                f" the end {np.mean(lost):.1%}, {min(lost):.0%} to {max(lost):.0%}; {_told(law)};"
                f" {sum(c.broken_count for c in cells)} broken tests left out)",
            )
        )  # fmt: skip
    law = fit(groups["24 °C, 2 A"])
    apart = [_rms(faded(c, law) - c.left) for n, g in groups.items() if "2 A" not in n for c in g]
    found += [
        row("nasa.within_groups.rmse_fraction", float(np.mean(all_off)), "1",
            "nasa_pcoe, 12 cells, each left out of its group", figure=True,
            text=f"NASA, all groups: {np.mean(all_off):.2%} RMS on cells left out"),
        row("nasa.across_groups.rmse_fraction", float(np.mean(apart)), "1",
            "nasa_pcoe, fitted at 24 °C and 2 A, scored on the other groups", figure=True,
            text=f"NASA, fitted at 24 °C and 2 A alone: {np.mean(apart):.2%} RMS on other groups"),
    ]  # fmt: skip
    return found


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))

"""How fast and how true the twin of a fleet is, beside other programs on the same duty.

    cellwarden bench twin [--quick] [--peers] [--json]

Speed is CPU time (user and system) after compilation, the smallest of several runs, on one core.
- `twin.cell_steps_per_s`: 10,000 packs through half a day at 60 s a step, every built-in duty,
  ageing, heat and cycles counted.
- `twin.ratio.liionpack`: 160 cells discharged at 1 C for ten minutes in steps of 10 s.
- `twin.ratio.simses`: an LFP cell cycled daily for a year in steps of 60 s, with ageing.
- `twin.ratio.blast`: ten years of an electric car in Honolulu, hourly; whole runs of one cell.
With `--peers` each peer runs in its own environment in the same run (`benchmarks/peers/`); without,
the ratio stands against our own earlier measurement, named with its date. What the programs make of
the duty stands beside the times. Errors against PyBaMM, LG HG2 and NASA are `twin_checks.py`'s.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from cellwarden.cli.bench import load_script
from cellwarden.errors import UnavailableError, UsageError
from cellwarden.physics import fleet
from cellwarden.physics.circuit import Circuit
from cellwarden.physics.climate import CLIMATES, YEAR_HOUR, Climate
from cellwarden.physics.duty import DUTIES, Duty, duty_from
from cellwarden.physics.fleet_config import FleetConfig, Group

HERE: Final = Path(__file__).parent
_DAY: Final = 86_400
_SOURCE: Final = "design notes, November 2026"
# Seconds of CPU a cell-step, a cell-step, and ten years, as we measured them then on 2 cores.
_EARLIER: Final = {"liionpack": 1.1e-3, "simses": 10e-6, "blast": 2.0}
_GOALS: Final = {"liionpack": ">=1000", "simses": ">=30", "blast": ">=20"}
_ALIKE: Final = {
    "capacity_spread_fraction": 0.0,
    "resistance_spread_fraction": 0.0,
    "habit_spread_fraction": 0.0,
    "daily_spread_fraction": 0.0,
    "place_spread_celsius": 0.0,
    "phase_shifted": False,
}
Figure = dict[str, Any]


def data_folder() -> Path:
    """Where measured data lies, if it does."""
    return Path(os.environ.get("CELLWARDEN_DATA", HERE.parent / ".." / "shared" / "data")).resolve()


def cpu_second(work: Callable[[], object], runs: int) -> float:
    """The least CPU time of several runs, after one that compiles."""
    work()
    spent = []
    for _ in range(runs):
        before = time.process_time()
        work()
        spent.append(time.process_time() - before)
    return min(spent)


def mixed(pack_count: int, period: int) -> FleetConfig:
    """Every built-in duty, as many packs each."""
    groups = (
        Group(name, pack_count // len(DUTIES), duty, CLIMATES["temperate"])
        for name, duty in DUTIES.items()
    )
    return FleetConfig(tuple(groups), period_second=period)


def one_pack(duty: Duty, climate: Climate, count: int = 1, **changes: Any) -> FleetConfig:
    """Packs that are all alike, at one duty."""
    return FleetConfig((Group(duty.name, count, duty, climate),), **(_ALIKE | changes))


def still(celsius: float) -> Climate:
    """Air that never changes."""
    return Climate(f"{celsius:g} °C", np.full(YEAR_HOUR, celsius))


def own_steps(runs: int) -> list[Figure]:
    """Cell-steps a second and how long a fleet-year takes."""
    figures = []
    for period, share in ((60, 0.5), (1, 0.01)):
        config, second = mixed(10_000, period), int(_DAY * share)
        state = fleet.start(config)
        state, _ = fleet.step(config, state, 7 * 3600)  # into the morning's drive
        spent = cpu_second(lambda c=config, s=state, t=second: fleet.step(c, s, t), runs)  # type: ignore[misc]
        rate = config.pack_count * second / period / spent
        name = "twin.cell_steps_per_s" if period == 60 else f"twin.cell_steps_per_s.{period}s"  # noqa: PLR2004  the named one
        figures.append(_figure(name, rate, "1/s", data=f"10,000 packs, {period} s a step"))
    config = mixed(1000, 3600)
    spent = cpu_second(lambda: fleet.step(config, fleet.start(config), 365 * _DAY), 1)
    figures.append(
        _figure("twin.fleet_year.cpu_s", 10.0 * spent, "s", data="10,000 packs × 365 d, coarse")
    )
    return figures


def step_errors() -> list[Figure]:
    """How far the loss is off for the step: two packs a duty, 14 days against 1 s; worst pack."""

    def lost(period: int) -> np.ndarray:
        config = mixed(2 * len(DUTIES), period)
        told = fleet.truth(config, fleet.step(config, fleet.start(config), 14 * _DAY)[0])
        return told.calendar_loss_fraction + told.cycle_loss_fraction

    right = lost(1)
    smooth = np.repeat([duty.roughness == 0.0 for duty in DUTIES.values()], 2)
    figures = []
    for period in (10, 60, 3600):
        off = np.abs(lost(period) / right - 1.0)
        for name, share in (("", off), (".smooth", off[smooth])):
            figure = f"twin.step_error.{period}s{name}"
            figures.append(_figure(figure, share.max(), "1", data="worst pack, loss after 14 days"))
    return figures


def against_liionpack(peer: dict[str, Any] | None, circuit: Circuit | None, runs: int) -> Figure:
    """160 cells at 1 C for ten minutes."""
    fall = np.interp(np.arange(0, _DAY, 600), [0, 600, 1200, _DAY], [0.9, 0.9 - 1 / 6, 0.9, 0.9])
    duty = duty_from("discharge", np.arange(0, _DAY, 600), fall)
    config = one_pack(
        duty, still(25.0), 160, period_second=10, nominal_capacity_ah=5.0, circuit=circuit,
        voltage_noise_volt=0.0,
    )  # fmt: skip
    state = fleet.start(config)
    spent = cpu_second(lambda: fleet.step(config, state, 600), 5 * runs) / (160 * 60)
    figure = _ratio("liionpack", _each(peer), spent, peer)
    if peer is not None and circuit is not None:
        shown, volts = state, []
        for _ in range(60):
            shown, seen = fleet.step(config, shown, 10)
            volts.append(float(seen.voltage_volt.mean()))
        # Its first row is the pack after its first step.
        theirs = np.array(peer["voltage_volt"])[: len(volts)]
        figure["rmse_volt"] = _round(float(np.sqrt(np.mean((theirs - np.array(volts)) ** 2))))
    return figure


def against_simses(peer: dict[str, Any] | None, runs: int, *, quick: bool) -> Figure:
    """A year of daily cycles at 60 s a step."""
    days = 30 if quick else 365
    config = one_pack(DUTIES["home"], still(25.0), 20, chemistry="LFP", period_second=60)
    begun = fleet.start(config)
    spent = cpu_second(lambda: fleet.step(config, begun, days * _DAY), runs) / (20 * days * 1440)
    figure = _ratio("simses", _each(peer), spent, peer)
    state, seen = fleet.step(config, begun, days * _DAY)
    told = fleet.truth(config, state)
    figure["soh_fraction"] = _round(float(told.soh_fraction[0]), 5)
    figure["full_cycle_count"] = _round(float(seen.discharging_capacity_ah[0]) / 3.0, 4)
    return figure


def home_power(days: int) -> np.ndarray:
    """What the daily cycle means in power of a 3 Ah LFP cell, minute by minute; charges > 0. [W]"""
    duty = DUTIES["home"]
    rate = duty.change_fraction / np.diff(duty.stop_second, prepend=0) * 3600.0
    piece = np.searchsorted(duty.stop_second, np.arange(0, _DAY, 60), side="right")
    return np.tile(rate[piece] * 3.0 * 3.2, days)


def honolulu_car() -> tuple[Duty, Climate, str]:
    """A personal electric car hourly, and its air; built-in ones where the data is absent."""
    from cellwarden.datasets.duties import climate_named, duty_named

    try:
        car = duty_named("personal_ev_combined", data_folder())
        climate = climate_named("climate_nsrdb_honolulu", data_folder())
    except UsageError:
        return DUTIES["commuter"], CLIMATES["hot"], "built-in duty and climate"
    hours = np.arange(0, car.stop_second[-1], 3600)
    points = np.concatenate([[0], car.stop_second])
    charge = np.interp(hours, points, np.concatenate([car.soc_fraction[-1:], car.soc_fraction]))
    return duty_from("car", hours, charge), climate, "personal EV, Honolulu (duty_profiles)"


def hourly_year(duty: Duty, climate: Climate) -> dict[str, np.ndarray]:
    """The year as BLAST-Lite takes it."""
    hour = np.arange(YEAR_HOUR)
    points = np.concatenate([[0], duty.stop_second]) / 3600.0
    charge = np.concatenate([duty.soc_fraction[-1:], duty.soc_fraction])
    return {
        "Time_s": hour * 3600.0,
        "SOC": np.interp(hour % (duty.stop_second[-1] / 3600), points, charge),
        "Temperature_C": climate.air_temperature_celsius,
    }


def against_blast(
    peer: dict[str, Any] | None, duty: Duty, climate: Climate, runs: int, *, years: int
) -> list[Figure]:
    """Ten years of one car, and of one among five hundred."""
    config = one_pack(duty, climate)
    begun, second = fleet.start(config), years * 365 * _DAY
    spent = cpu_second(lambda: fleet.step(config, begun, second), runs)
    state, seen = fleet.step(config, begun, second)
    told = fleet.truth(config, state)
    figure = _ratio("blast", peer["cpu_s"] if peer else None, spent, peer)
    for name in ("soh_fraction", "calendar_loss_fraction", "cycle_loss_fraction"):
        figure[name] = _round(float(getattr(told, name)[0]), 4)
    figure["full_cycle_count"] = _round(float(seen.discharging_capacity_ah[0]) / 3.0, 4)
    figure["years"] = years
    many = one_pack(duty, climate, 200)
    ready = fleet.start(many)
    spent = cpu_second(lambda: fleet.step(many, ready, second // 5), 1) * 5 / 200
    return [figure, _figure("twin.ten_years_of_a_pack.cpu_s", spent * 10 / years, "s", "<=0.1")]


def run(*, quick: bool = False, peers: bool = False) -> dict[str, Any]:
    """All figures, as one object."""
    checks, runs = load_script("twin_checks"), 1 if quick else 3
    duty, climate, source = honolulu_car()
    others = _peers(duty, climate, quick=quick) if peers else {}
    pybamm = others.pop("pybamm", None)
    circuit = checks.m50_circuit(pybamm) if pybamm else None
    figures = own_steps(runs) + step_errors()
    figures.append(against_liionpack(others.get("liionpack"), circuit, runs))
    figures.append(against_simses(others.get("simses"), runs, quick=quick))
    years = 2 if quick and "blast" in others else 10
    figures += against_blast(others.get("blast"), duty, climate, runs, years=years)
    for figure in figures:
        if figure["name"] == "twin.ratio.blast":
            figure["data"] = source
    rows = checks.rows(pybamm, data_folder(), quick=quick)
    figures += [
        _figure(f"twin.{row['check']}", row["value"], row["unit"], data=row["data"])
        for row in rows
        if row.get("figure")
    ]
    notes = [_compared(figure) for figure in figures if figure["name"].startswith("twin.ratio.")]
    return {"figures": figures, "rows": rows, "notes": notes + [row["text"] for row in rows]}


def _peers(duty: Duty, climate: Climate, *, quick: bool) -> dict[str, dict[str, Any]]:
    """What each peer says; one that cannot be built here is left out, with a word."""
    environment = load_script("peers/environment")
    told = {}
    with tempfile.TemporaryDirectory() as folder:
        year, power = Path(folder) / "year.npz", Path(folder) / "power.npz"
        np.savez(year, **hourly_year(duty, climate))
        np.savez(power, power_watt=home_power(30 if quick else 365))
        arguments = {
            "liionpack": (),
            "simses": (str(power), "60"),
            "blast": (str(year), "2" if quick else "10"),
            "pybamm": (),
        }
        for who, words in arguments.items():
            try:
                told[who] = environment.measure(who, *words)
            except UnavailableError as error:
                print(f"{error}; {error.hint}", file=sys.stderr)
    return told


def _each(peer: dict[str, Any] | None) -> float | None:
    """Seconds a cell-step."""
    return peer["cpu_s"] / (peer["step_count"] * peer.get("cell_count", 1)) if peer else None


def _ratio(who: str, theirs: float | None, ours: float, peer: dict[str, Any] | None) -> Figure:
    measured = theirs if theirs is not None else _EARLIER[who]
    name = f"{who} {peer['version']}, this run" if peer else f"{who} ({_SOURCE})"
    figure = _figure(f"twin.ratio.{who}", measured / ours, "1", _GOALS[who])
    kept = {key: value for key, value in (peer or {}).items() if isinstance(value, float)}
    return figure | {
        "peers": {f"{name}, CPU s": _round(measured)},
        "own_cpu_s": _round(ours),
        "peer_says": {key: _round(value, 5) for key, value in kept.items() if key != "cpu_s"},
    }


def _compared(figure: Figure) -> str:
    who = figure["name"].rpartition(".")[2]
    ours = {
        key: figure[key]
        for key in ("soh_fraction", "calendar_loss_fraction", "cycle_loss_fraction",
                    "full_cycle_count", "rmse_volt", "years")
        if key in figure
    }  # fmt: skip
    said = (
        figure["peer_says"]
        or "not run (--peers runs it): the time is an earlier one, of another machine"
    )
    return f"{who}: {figure['value']:,} times; own {figure['own_cpu_s']:g} s, {ours}; peer {said}"


def _round(value: float, digits: int = 3) -> float:
    return float(f"{value:.{digits}g}")


def _figure(name: str, value: float, unit: str, goal: str = "", data: str = "") -> Figure:
    found: Figure = {"name": name, "value": _round(value), "unit": unit}
    return found | ({"goal": goal} if goal else {}) | ({"data": data} if data else {})

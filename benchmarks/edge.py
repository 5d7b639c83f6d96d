"""What a control cycle costs at the edge.

    cellwarden bench edge [--quick] [--json]

Rules
- The step is `control.step`: diagnostics, limits, machine, balancing and charging, for one pack
  of 1, 16 and 200 cells in series. Its readings come from the emulated pack through the bytes of
  its chain and board, while it starts, drives, brakes, charges and levels its cells; reading them
  is not part of the step.
- CPU time of the thread, a cycle each, garbage collection included. The first cycles, in which
  NumPy and the tables warm up, are left out.
- The estimate of charge is worked out once a second beside it and has its own figure.
- What a whole device needs is measured by `edge_device.py`, whose figures come after these.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from cellwarden.control.step import Believed, begin, control_of, step
from cellwarden.domain import Board, Request
from cellwarden.edge.drivers.emulated import EmulatedPack, emulate
from cellwarden.health import charge as charges
from cellwarden.physics import TwinConfig
from cellwarden.physics.hardware import Hardware, Outside

CELL_COUNTS: Final = (1, 16, 200)
_WARM_CYCLES: Final = 100
_CYCLES: Final = 3000
_QUICK_CYCLES: Final = 600
_GOAL_CELLS: Final = 200
_DRIVE: Final = (-1.5, -0.5, 0.4, 0.0)  # current over capacity, a second each


def _pack(cell_count: int) -> tuple[TwinConfig, Board]:
    board = Board(has_gas_sensor=True)
    twin = TwinConfig(
        "bench",
        series_count=cell_count,
        nominal_capacity_ah=50.0,
        period_second=board.period_second,
        soc_fraction=0.7,
        soc_spread_fraction=0.03,
        seed=7,
    )
    return twin, board


def _cycles(cell_count: int, cycle_count: int) -> tuple[list[float], list[float]]:
    """CPU seconds of each step, and of each estimate."""
    twin, board = _pack(cell_count)
    pack = twin.pack()
    emulated = EmulatedPack(Hardware(twin, board))
    driver = emulate(emulated)
    control = control_of(pack, board)
    state = begin(control, len(driver.sensor_cells))
    known = emulated.truth().soc_fraction
    believing, charge = charges.init(pack, known, soc_std_fraction=0.01), None
    steps, estimates = [], []
    for index in range(_WARM_CYCLES + cycle_count):
        request = _request(index, cycle_count)
        rate = _DRIVE[index // 10 % len(_DRIVE)] if request is Request.CONNECT else 0.0
        emulated.outside = Outside(
            demand_ampere=rate * twin.nominal_capacity_ah,
            charger_connected=request is Request.CHARGE,
        )
        reading = driver.read()
        reading = replace(reading, inputs=replace(reading.inputs, request=request))
        if index % 10 == 0:
            begun = time.thread_time()
            believing, charge = charges.step(believing, reading.frame, pack)
            estimates.append(time.thread_time() - begun)
        begun = time.thread_time()
        state, decision = step(control, state, reading, Believed(charge))
        steps.append(time.thread_time() - begun)
        driver.write(decision.command)
    return steps[_WARM_CYCLES:], estimates[_WARM_CYCLES // 10 :]


def _request(index: int, cycle_count: int) -> Request:
    """A third of the time it drives, a third it charges, a third it is levelled."""
    if index < _WARM_CYCLES // 10:
        return Request.STANDBY
    third = 3 * (index - _WARM_CYCLES) // cycle_count
    return (Request.CONNECT, Request.CHARGE, Request.BALANCE)[max(third, 0)]


def run(*, quick: bool) -> dict[str, Any]:
    """The figures of the control step."""
    count = _QUICK_CYCLES if quick else _CYCLES
    figures, rows = [], []
    for cells in CELL_COUNTS:
        steps, estimates = _cycles(cells, count)
        row = {"cells": cells, "cycles": count, **_told(steps)}
        row["charge_p50_ms"] = round(1e3 * float(np.median(estimates)), 3)
        rows.append(row)
        for name in ("p50_ms", "p99_ms", "max_ms"):
            figure = {"name": f"edge.step_{cells}.{name}", "value": row[name], "unit": "ms"}
            if cells == _GOAL_CELLS and name == "p99_ms":
                figure["goal"] = "<=1"
            figures.append(figure)
        figures.append(
            {
                "name": f"edge.charge_{cells}.p50_ms",
                "value": row["charge_p50_ms"],
                "unit": "ms",
            }
        )
    for figure in figures:
        figure["data"] = f"emulated pack, seed 7, {count} cycles of 100 ms"
    device = _device(quick=quick)
    return {"figures": figures + device["figures"], "rows": rows + device["rows"]}


def _device(*, quick: bool) -> dict[str, Any]:
    """Memory and CPU of a whole device: a script of its own, whose parts are confined processes."""
    script = Path(__file__).with_name("edge_device.py")
    line = [sys.executable, str(script), *(["--quick"] if quick else [])]
    told: dict[str, Any] = json.loads(
        subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True).stdout
    )
    return told


def _told(seconds: list[float]) -> dict[str, float]:
    cpu = 1e3 * np.array(seconds)
    return {
        "p50_ms": round(float(np.percentile(cpu, 50)), 3),
        "p99_ms": round(float(np.percentile(cpu, 99)), 3),
        "max_ms": round(float(cpu.max()), 3),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    print(json.dumps(run(quick=parser.parse_args().quick), indent=2))


if __name__ == "__main__":
    main()

"""BLAST-Lite ages the cell of Schmalstieg et al. by an hourly year, again and again. PATH YEARS."""

import json
import os
import sys
import warnings
from importlib.metadata import version

import numpy as np
from blast import models


def cpu_second() -> float:
    """User and system time of this process and its children."""
    return sum(os.times()[:4])


def main() -> None:
    """Print the figures."""
    warnings.simplefilter("ignore")
    given = np.load(sys.argv[1])
    year = {name: given[name].astype(float) for name in ("Time_s", "SOC", "Temperature_C")}
    runs, cell = [], None
    for _ in range(3):
        cell = models.Nmc111_Gr_Sanyo2Ah_Battery()
        before = cpu_second()
        cell.simulate_battery_life(year, threshold_time=float(sys.argv[2]))
        runs.append(cpu_second() - before)
    told = {
        "version": version("blast-lite"),
        "cpu_s": min(runs),
        "step_count": len(cell.outputs["q"]) - 1,
        "soh_fraction": float(cell.outputs["q"][-1]),
        "calendar_loss_fraction": 1.0 - float(cell.outputs["q_t"][-1]),
        "cycle_loss_fraction": 1.0 - float(cell.outputs["q_EFC"][-1]),
        "full_cycle_count": float(cell.stressors["efc"][-1]),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()

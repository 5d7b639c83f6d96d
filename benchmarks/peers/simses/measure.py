"""SimSES steps one LFP cell with its ageing through given powers. PATH PERIOD."""

import json
import os
import sys
from importlib.metadata import version

import numpy as np
from simses.battery import Battery
from simses.model.cell.sony_lfp import SonyLFP


def cpu_second() -> float:
    """User and system time of this process and its children."""
    return sum(os.times()[:4])


def main() -> None:
    """Print the figures."""
    power = np.load(sys.argv[1])["power_watt"].tolist()
    period = float(sys.argv[2])
    runs, told = [], {}
    for _ in range(2):
        battery = Battery(SonyLFP(), (1, 1), {"start_soc": 0.3, "start_T": 25.0}, degradation=True)
        charged, before = 0.0, cpu_second()
        for watt in power:
            battery.step(watt, period)
            charged += abs(battery.state.i)
        runs.append(cpu_second() - before)
        told = {
            "soh_fraction": battery.state.soh_Q,
            "full_cycle_count": charged * period / 3600.0 / 2.0 / 3.0,
        }
    print(
        json.dumps(
            {
                "version": version("simses"),
                "cpu_s": min(runs),
                "step_count": len(power),
                **told,
            }
        )
    )


if __name__ == "__main__":
    main()

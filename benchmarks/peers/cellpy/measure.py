"""cellpy reads a file, makes its step table and its summary. PATH RUNS [INSTRUMENT MODEL]."""

import json
import logging
import os
import sys
from importlib.metadata import version
from pathlib import Path

logging.disable(logging.CRITICAL)  # it warns of settings that nobody made

import cellpy  # noqa: E402  after its warnings are off

_LEAST = 3  # arguments, the script's own name among them


def cpu_second() -> float:
    """User and system time of this process and its children."""
    return sum(os.times()[:4])


def main() -> None:
    """Print the figures."""
    how = {"instrument": "custom", "instrument_file": str(Path(__file__).with_name("arbin.yml"))}
    if len(sys.argv) > _LEAST:
        how = dict(zip(("instrument", "model"), sys.argv[_LEAST:], strict=True))
    runs = []
    for _ in range(int(sys.argv[2])):
        before = cpu_second()
        cell = cellpy.get(
            filename=sys.argv[1],
            **how,
            cycle_mode="full_cell",
            nominal_capacity=1.1,
            mass=1.0,
            area=1.0,
        )
        runs.append(cpu_second() - before)
    summary = cell.data.summary
    ah = {"Ah": 1.0, "mAh": 1e-3}[cell.data.raw_units.charge]
    told = {
        "version": version("cellpy"),
        "cpu_s": min(runs),
        "charging_capacity_ah": (ah * summary["charge_capacity"]).tolist(),
        "discharging_capacity_ah": (ah * summary["discharge_capacity"]).tolist(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()

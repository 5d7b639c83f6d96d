"""PyProBE reads a file through its Parquet form and sums up its cycles. PATH RUNS [CYCLER]."""

import json
import os
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyprobe
from pyprobe.analysis import cycling


def cpu_second() -> float:
    """User and system time of this process and its children."""
    return sum(os.times()[:4])


def summed_up(path: str, cycler: Any = "arbin") -> Any:
    """The summary of each cycle, as PyProBE makes it."""
    with tempfile.TemporaryDirectory() as folder:
        kept = str(Path(folder) / "record.parquet")
        pyprobe.process_cycler_data(cycler=cycler, input_data_path=path, output_data_path=kept)
        cell = pyprobe.Cell(info={"Name": "cell"})
        cell.import_data("test", kept)
        # The default order: with the other one this version computes no coulombic efficiency.
        return cycling.summary(cell.procedure["test"]).data


def main() -> None:
    """Print the figures."""
    warnings.simplefilter("ignore")  # it warns that it infers cycles from the steps
    pyprobe.set_log_level("ERROR")
    runs = []
    for _ in range(int(sys.argv[2])):
        before = cpu_second()
        frame = summed_up(sys.argv[1], *sys.argv[3:4])
        runs.append(cpu_second() - before)
    told = {
        "version": version("PyProBE-Data"),
        "cpu_s": min(runs),
        "charging_capacity_ah": frame["Charge Capacity [Ah]"].to_list(),
        "discharging_capacity_ah": frame["Discharge Capacity [Ah]"].to_list(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()

"""liionpack: 160 cells of Chen2020, 16 in parallel and 10 in series, discharged for 10 min."""

import json
import os
import resource
from importlib.metadata import version
from typing import Any

import liionpack
import numpy as np
import pybamm

_PARALLEL, _SERIES, _SECOND, _STEP = 16, 10, 600, 10
_AMPERE = 5.0  # a cell, 1 C


def cpu_second() -> float:
    """User and system time of this process and its children."""
    return sum(os.times()[:4])


def solved() -> Any:
    """The pack after ten minutes of discharge."""
    netlist = liionpack.setup_circuit(Np=_PARALLEL, Ns=_SERIES, Rb=1e-4, Rc=1e-2, Ri=5e-2, V=4.0)
    words = f"Discharge at {_AMPERE * _PARALLEL} A for {_SECOND // 60} minutes"
    experiment = pybamm.Experiment([words], period=f"{_STEP} seconds")
    return liionpack.solve(
        netlist=netlist,
        parameter_values=pybamm.ParameterValues("Chen2020"),
        experiment=experiment,
        initial_soc=0.9,
    )


def main() -> None:
    """Print the figures."""
    liionpack.set_logging_level("ERROR")
    runs, output = [], None
    for _ in range(2):
        before = cpu_second()
        output = solved()
        runs.append(cpu_second() - before)
    volts = np.asarray(output["Terminal voltage [V]"])
    told = {
        "version": version("liionpack"),
        "cpu_s": min(runs),
        "step_count": volts.shape[0],
        "cell_count": volts.shape[1],
        "voltage_volt": volts.mean(axis=1).tolist(),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()

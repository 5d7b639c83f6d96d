"""PyBaMM's LG M50 (Chen2020): slow and pulsed discharges, a warm one, a year of SEI at rest."""

import json
import os
from importlib.metadata import version
from typing import Any

import numpy as np
import pybamm

_VOLT, _AMPERE, _TEMPERATURE = (
    "Terminal voltage [V]",
    "Current [A]",
    "Volume-averaged cell temperature [K]",
)


def cpu_second() -> float:
    """User and system time of this process and its children."""
    return sum(os.times()[:4])


def trace(solution: Any, every: float) -> dict[str, list[float]]:
    """Even samples of a run; positive current charges."""
    time = np.arange(0.0, float(solution.t[-1]), every)
    # A step of current stands twice in the solution's time.
    columns = {
        name: np.asarray(solution[name](time), dtype=float)
        for name in (_VOLT, _AMPERE, _TEMPERATURE)
    }
    return {
        "time_second": time.tolist(),
        "voltage_volt": columns[_VOLT].tolist(),
        "current_ampere": (-columns[_AMPERE]).tolist(),
        "temperature_celsius": (columns[_TEMPERATURE] - 273.15).tolist(),
    }


def discharged(words: list[str], *, warms: str = "", celsius: float = 25.0) -> Any:
    """A run of the Doyle-Fuller-Newman model from full."""
    values = pybamm.ParameterValues("Chen2020")
    values["Ambient temperature [K]"] = values["Initial temperature [K]"] = celsius + 273.15
    simulation = pybamm.Simulation(
        pybamm.lithium_ion.DFN(
            {"thermal": "lumped", "heat of mixing": warms} if warms else {"thermal": "isothermal"}
        ),
        parameter_values=values,
        experiment=pybamm.Experiment(words, period="10 seconds"),
    )
    return simulation.solve(initial_soc=1.0)


def lump() -> dict[str, float]:
    """What the lumped thermal model is made of."""
    values = pybamm.ParameterValues("Chen2020")
    geometry = pybamm.LithiumIonParameters()
    heat = values.evaluate(geometry.rho_c_p_eff(values.evaluate(geometry.T_ref)))
    volume = values["Cell volume [m3]"]
    way = values["Total heat transfer coefficient [W.m-2.K-1]"]
    return {
        "joule_per_kelvin": float(heat) * volume,
        "watt_per_kelvin": float(way) * values["Cell cooling surface area [m2]"],
    }


def rested(celsius: float, soc: float) -> list[float]:
    """Capacity lost to the SEI after 30, 90, 182, 365 and 730 days at rest."""
    values = pybamm.ParameterValues("OKane2022")
    values["Current function [A]"] = 0.0
    values["Ambient temperature [K]"] = values["Initial temperature [K]"] = celsius + 273.15
    simulation = pybamm.Simulation(
        pybamm.lithium_ion.SPM({"SEI": "solvent-diffusion limited"}),
        parameter_values=values,
    )
    days = np.array([0.0, 30.0, 90.0, 182.0, 365.0, 730.0])
    solution = simulation.solve(days * 86_400.0, initial_soc=soc)
    lost = np.asarray(solution["Loss of capacity to negative SEI [A.h]"].entries, dtype=float)
    at = np.interp(days, solution.t / 86_400.0, lost)
    return ((at - at[0])[1:] / 5.0).tolist()


def main() -> None:
    """Print the traces and the losses."""
    pybamm.set_logging_level("ERROR")
    pulses = ["Discharge at 1C for 3 minutes or until 2.5 V", "Rest for 40 minutes"] * 20
    before = cpu_second()
    full = ["Discharge at 1C until 2.5 V", "Rest for 1 hour"]
    warm = discharged(full, warms="true")
    told = {
        "version": version("pybamm"),
        "cpu_s": cpu_second() - before,
        "slow": trace(discharged(["Discharge at C/40 until 2.5 V"]), 60.0),
        "pulses": trace(discharged(pulses), 10.0),
        "warm_pulses": trace(discharged(pulses, celsius=40.0), 10.0),
        "discharge": trace(warm, 10.0),
        "half": trace(discharged(["Discharge at C/2 until 2.5 V"], warms="true"), 10.0),
        "unmixed": trace(discharged(full, warms="false"), 10.0),
        "lump": lump(),
        "rest": {
            f"{celsius:g} °C, {soc:g}": rested(celsius, soc)
            for celsius, soc in ((25.0, 0.5), (25.0, 0.95), (45.0, 0.5), (45.0, 0.95))
        },
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()

"""Series in, numbers out; pure.

Steps, cycles and what the shipped model reads load at once; the rest when it is first named,
because its libraries take longer to load than most commands run.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from cellwarden.features.capacity import Capacities, capacities
from cellwarden.features.charging import Charges, charges
from cellwarden.features.cycles import Runs, Samples, cut, samples
from cellwarden.features.limits import Limits, settled
from cellwarden.features.pieces import joined, steps_of_pieces
from cellwarden.features.steps import steps
from cellwarden.features.summary import cycle_table, cycles_of

if TYPE_CHECKING:
    from cellwarden.features.curves import (
        Branches,
        DeltaStatistics,
        branches,
        charge_curve,
        charge_matrix,
        delta_statistics,
        refuse_artefacts,
        voltage_curve,
        voltage_matrix,
    )
    from cellwarden.features.early import (
        DISCHARGE_MODEL,
        FULL_MODEL,
        VARIANCE_MODEL,
        EarlyCycles,
        EarlyFeatures,
        early_features,
        early_from_curves,
    )
    from cellwarden.features.impedance import (
        CircuitFit,
        KramersKronig,
        Semicircle,
        Spectrum,
        circuit_impedance,
        fit_circuit,
        kramers_kronig,
        long_spectra,
        ohmic_intercept,
        semicircle,
        wide_spectra,
    )
    from cellwarden.features.incremental import (
        Peaks,
        PeakUncertainty,
        Slope,
        Smoothing,
        differential_voltage,
        incremental_capacity,
        peak_uncertainty,
        peaks,
        voltage_noise_volt,
    )
    from cellwarden.features.partial import ChargeEnd, Windows, charge_end, voltage_windows
    from cellwarden.features.pulses import Interruptions, Pulses, find_interruptions, find_pulses
    from cellwarden.features.usage import (
        Rain,
        RainCycles,
        Usage,
        UsageBins,
        finish,
        pour,
        rainflow,
        record_usage,
    )

__all__ = [
    "DISCHARGE_MODEL",
    "FULL_MODEL",
    "VARIANCE_MODEL",
    "Branches",
    "Capacities",
    "ChargeEnd",
    "Charges",
    "CircuitFit",
    "DeltaStatistics",
    "EarlyCycles",
    "EarlyFeatures",
    "Interruptions",
    "KramersKronig",
    "Limits",
    "PeakUncertainty",
    "Peaks",
    "Pulses",
    "Rain",
    "RainCycles",
    "Runs",
    "Samples",
    "Semicircle",
    "Slope",
    "Smoothing",
    "Spectrum",
    "Usage",
    "UsageBins",
    "Windows",
    "branches",
    "capacities",
    "charge_curve",
    "charge_end",
    "charge_matrix",
    "charges",
    "circuit_impedance",
    "cut",
    "cycle_table",
    "cycles_of",
    "delta_statistics",
    "differential_voltage",
    "early_features",
    "early_from_curves",
    "find_interruptions",
    "find_pulses",
    "finish",
    "fit_circuit",
    "incremental_capacity",
    "joined",
    "kramers_kronig",
    "long_spectra",
    "ohmic_intercept",
    "peak_uncertainty",
    "peaks",
    "pour",
    "rainflow",
    "record_usage",
    "refuse_artefacts",
    "samples",
    "semicircle",
    "settled",
    "steps",
    "steps_of_pieces",
    "voltage_curve",
    "voltage_matrix",
    "voltage_noise_volt",
    "voltage_windows",
    "wide_spectra",
]

_LATER: Final = {
    "curves": (
        "Branches",
        "DeltaStatistics",
        "branches",
        "charge_curve",
        "charge_matrix",
        "delta_statistics",
        "refuse_artefacts",
        "voltage_curve",
        "voltage_matrix",
    ),
    "early": (
        "DISCHARGE_MODEL",
        "EarlyCycles",
        "EarlyFeatures",
        "FULL_MODEL",
        "VARIANCE_MODEL",
        "early_features",
        "early_from_curves",
    ),
    "impedance": (
        "CircuitFit",
        "KramersKronig",
        "Semicircle",
        "Spectrum",
        "circuit_impedance",
        "fit_circuit",
        "kramers_kronig",
        "long_spectra",
        "ohmic_intercept",
        "semicircle",
        "wide_spectra",
    ),
    "incremental": (
        "PeakUncertainty",
        "Peaks",
        "Slope",
        "Smoothing",
        "differential_voltage",
        "incremental_capacity",
        "peak_uncertainty",
        "peaks",
        "voltage_noise_volt",
    ),
    "partial": ("ChargeEnd", "Windows", "charge_end", "voltage_windows"),
    "pulses": ("Interruptions", "Pulses", "find_interruptions", "find_pulses"),
    "usage": (
        "Rain",
        "RainCycles",
        "Usage",
        "UsageBins",
        "finish",
        "pour",
        "rainflow",
        "record_usage",
    ),
}
_MODULE: Final = {name: module for module, names in _LATER.items() for name in names}


def __getattr__(name: str) -> Any:
    """A name of a module that is loaded when it is first used."""
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"cellwarden.features.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

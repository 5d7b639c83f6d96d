"""What a chemistry is: its voltages and temperatures, each constant with its source.

Rules
- State of charge 0 and 1 are where the open-circuit voltage meets the lowest and the highest
  allowed voltage, so the first and last points of each curve are those limits.
- "Typical" in a source says that the figure is the common value of commercial cells and was not
  measured here; the data sheet of the cell at hand comes first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cellwarden.errors import UsageError

__all__ = ["CHEMISTRIES", "Chemistry", "chemistry_named"]


@dataclass(frozen=True, slots=True)
class Chemistry:
    """A cathode and anode pair; constants are typical of commercial cells, not of one product.

    `ocv_soc_fraction` / `ocv_volt` is the open-circuit voltage at 25 °C on a grid of state of
    charge, rising. `sources` gives, for each field, where its number comes from.
    """

    name: str
    nominal_voltage_volt: float
    low_voltage_volt: float
    high_voltage_volt: float
    low_charge_temperature_celsius: float
    high_charge_temperature_celsius: float
    low_discharge_temperature_celsius: float
    high_discharge_temperature_celsius: float
    ocv_soc_fraction: tuple[float, ...]
    ocv_volt: tuple[float, ...]
    sources: tuple[tuple[str, str], ...]


# Finer at both ends, where curves bend.
_GRID: Final = (
    *(0.0, 0.01, 0.02, 0.04, 0.06, 0.08, 0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.45),
    *(0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90, 0.95, 0.98, 0.99, 1.0),
)
_WINDOW: Final = "typical of data sheets: charge 0..45 °C, discharge -20..60 °C"


def _sources(ocv: str, voltage: str, temperature: str = _WINDOW) -> tuple[tuple[str, str], ...]:
    voltages = ("nominal_voltage_volt", "low_voltage_volt", "high_voltage_volt")
    ranges = tuple(
        f"{end}_{way}_temperature_celsius"
        for way in ("charge", "discharge")
        for end in ("low", "high")
    )
    return (
        *((name, voltage) for name in voltages),
        *((name, temperature) for name in ranges),
        ("ocv_soc_fraction", "our grid, finer at both ends"),
        ("ocv_volt", ocv),
    )


def _chemistry(
    name: str,
    volts: tuple[float, float, float],
    ocv_volt: tuple[float, ...],
    sources: tuple[tuple[str, str], ...],
    celsius: tuple[float, float, float, float] = (0.0, 45.0, -20.0, 60.0),
) -> Chemistry:
    low, nominal, high = volts
    return Chemistry(name, nominal, low, high, *celsius, _GRID, ocv_volt, sources)


_LFP: Final = _chemistry(
    "LFP",
    (2.5, 3.2, 3.65),
    (
        *(2.500, 2.871, 2.955, 3.042, 3.094, 3.143, 3.171, 3.180, 3.199, 3.216, 3.230, 3.245),
        *(3.257, 3.261, 3.263, 3.264, 3.265, 3.266, 3.269, 3.276, 3.287, 3.296, 3.306, 3.315),
        *(3.326, 3.345, 3.650),
    ),
    _sources(
        "measured: voltage after 90 min of rest in a discharge pulse test of a K2 26650 cell at"
        " 20 and 30 °C, mean, on the discharge branch (data set reference_cells); the ends bent"
        " to meet the limits",
        "typical: K2 26650 and similar data sheets, charge to 3.65 V, discharge to 2.5 V",
    ),
)
_NMC: Final = _chemistry(
    "NMC",
    (2.8, 3.6, 4.2),
    (
        *(2.800, 2.920, 2.991, 3.091, 3.161, 3.224, 3.288, 3.409, 3.482, 3.515, 3.578, 3.623),
        *(3.656, 3.692, 3.735, 3.781, 3.830, 3.889, 3.931, 3.977, 4.029, 4.072, 4.091, 4.114),
        *(4.147, 4.165, 4.200),
    ),
    _sources(
        "measured: C/20 discharge of an LG 18650HG2 cell at 25 °C plus 13 mV, half the smallest"
        " gap to the C/20 charge (data set lg_hg2, doi 10.17632/cp3473x7xv.3); the ends bent to"
        " meet the limits. A discharge branch: below 30 % the charge branch lies 60..230 mV above",
        "doi 10.17632/cp3473x7xv.3: the tests run from 2.8 V to 4.2 V; nominal typical",
    ),
)
_NCA: Final = _chemistry(
    "NCA",
    (2.7, 3.6, 4.2),
    (
        *(2.700, 3.001, 3.107, 3.175, 3.199, 3.217, 3.236, 3.298, 3.359, 3.418, 3.476, 3.532),
        *(3.585, 3.634, 3.679, 3.722, 3.765, 3.812, 3.867, 3.926, 3.979, 4.029, 4.080, 4.135),
        *(4.173, 4.186, 4.200),
    ),
    _sources(
        "computed from the half-cell potentials of G.-H. Kim et al., doi 10.1149/1.3597614, with"
        " graphite at 0.68 when full and electrode capacities 1.02:1; not measured here",
        "doi 10.1149/1.3597614 (2.7 V, 4.2 V); nominal typical",
    ),
)
_LCO: Final = _chemistry(
    "LCO",
    (2.7, 3.7, 4.2),
    (
        *(2.700, 3.452, 3.540, 3.633, 3.661, 3.677, 3.692, 3.727, 3.760, 3.780, 3.792, 3.803),
        *(3.815, 3.830, 3.847, 3.867, 3.891, 3.914, 3.939, 3.969, 4.001, 4.038, 4.078, 4.120),
        *(4.145, 4.160, 4.200),
    ),
    _sources(
        "measured: C/2 charge and 1C discharge of CALCE CS2_35, cycles 3..6, taken linearly to"
        " zero current (data set calce_cs2, doi 10.1016/j.jpowsour.2011.08.040); coarse, because"
        " no slow cycle exists; the ends bent to meet the limits",
        "doi 10.1016/j.jpowsour.2011.08.040: 2.7 V, 4.2 V; nominal typical",
    ),
)
_LMO: Final = _chemistry(
    "LMO",
    (3.0, 3.8, 4.2),
    (
        *(3.000, 3.107, 3.211, 3.394, 3.516, 3.577, 3.624, 3.703, 3.753, 3.787, 3.822, 3.855),
        *(3.880, 3.898, 3.917, 3.936, 3.954, 3.970, 3.990, 4.023, 4.051, 4.068, 4.088, 4.133),
        *(4.172, 4.186, 4.200),
    ),
    _sources(
        "measured: voltage after 1 h of rest in a discharge pulse test of a 2013 Nissan Leaf cell"
        " (LMO with LNO) at 25 °C, joined by a monotone cubic (data set reference_cells, doi"
        " 10.5281/zenodo.2580327); the ends bent to meet the limits",
        "doi 10.5281/zenodo.2580327: the tests run from 3.0 V to 4.2 V; nominal typical",
    ),
)
_LTO: Final = _chemistry(
    "LTO",
    (1.5, 2.3, 2.7),
    (
        *(1.500, 1.708, 1.850, 1.982, 2.048, 2.092, 2.120, 2.163, 2.190, 2.209, 2.225, 2.240),
        *(2.255, 2.272, 2.290, 2.309, 2.330, 2.353, 2.380, 2.413, 2.450, 2.488, 2.530, 2.580),
        *(2.642, 2.670, 2.700),
    ),
    _sources(
        "typical: a layered-oxide cathode against the flat 1.55 V of lithium titanate, drawn to"
        " the nominal voltage; not measured here",
        "typical: 20 Ah class data sheets (1.5 V, 2.3 V, 2.7 V)",
        "typical: 20 Ah class data sheets, -30..55 °C both ways",
    ),
    (-30.0, 55.0, -30.0, 55.0),
)
_NA_ION: Final = _chemistry(
    "Na-ion",
    (2.0, 3.1, 3.95),
    (
        *(2.000, 2.140, 2.250, 2.397, 2.494, 2.566, 2.620, 2.711, 2.780, 2.843, 2.900, 2.956),
        *(3.010, 3.061, 3.110, 3.159, 3.210, 3.263, 3.320, 3.381, 3.450, 3.528, 3.620, 3.740),
        *(3.854, 3.900, 3.950),
    ),
    _sources(
        "typical: layered oxide against hard carbon, a slope without plateaus; not measured here",
        "typical of layered-oxide cells (2.0 V, 3.1 V, 3.95 V); some are used down to 1.5 V",
        "typical: charge -10..45 °C, discharge -30..60 °C",
    ),
    (-10.0, 45.0, -30.0, 60.0),
)

CHEMISTRIES: Final[Mapping[str, Chemistry]] = MappingProxyType(
    {row.name: row for row in (_LFP, _NMC, _NCA, _LCO, _LMO, _LTO, _NA_ION)}
)


def chemistry_named(name: str) -> Chemistry:
    """The chemistry of that name.

    Raises:
        UsageError: no such chemistry.
    """
    if name not in CHEMISTRIES:
        raise UsageError(
            f"no chemistry is called {name!r}", hint=f"Use one of {', '.join(CHEMISTRIES)}."
        )
    return CHEMISTRIES[name]

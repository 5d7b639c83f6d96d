"""A family of fade curves: a root, a line and a knee, each on a clock of its own.

    s(n) = s0 - sqrt(ct) - cl - 0.1 ck^p,   ct, cl, ck = ∫ rate dn over the cycles n

The root is the growth of a film that slows itself, the line is wear by use, the power p > 1 is what
speeds itself up and makes the knee; ck is 1 where the knee has taken a tenth of the nominal
capacity. A rate changes with usage, a clock never jumps: the order of mild and harsh times matters
only as far as the cycles done in each, and no step size enters.

Source: the root of time, J. Christensen and J. Newman, J. Electrochem. Soc. 151, A1977 (2004), doi
10.1149/1.1804812, and R. Spotnitz, J. Power Sources 113, 72 (2003); a power for the knee, P. M.
Attia et al., J. Electrochem. Soc. 169, 060517 (2022), doi 10.1149/1945-7111/ac6d13, section 2.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain.units import ABSOLUTE_ZERO_CELSIUS, GAS_CONSTANT
from cellwarden.errors import UsageError

__all__ = ["PARAMETERS", "RATES", "STRESSES", "Usage", "clocks", "fade", "slopes", "stress"]

PARAMETERS: Final = (
    "first_fraction", "log_root_rate", "log_line_rate", "log_knee_rate", "log_knee_bend",
)  # fmt: skip
RATES: Final = slice(1, 4)
STRESSES: Final = ("temperature", "charge_rate", "discharge_rate")
_KNEE: Final = 0.1
_REFERENCE_KELVIN: Final = 25.0 - ABSOLUTE_ZERO_CELSIUS
_MOST: Final = 1e3  # a loss above this is lost anyway; keeps powers finite


@dataclass(frozen=True, slots=True)
class Usage:
    """How a cell is used: what its ageing rates may depend on; a rate of 1.0 is 1C."""

    temperature_celsius: float = 25.0
    charge_rate: float = 1.0
    discharge_rate: float = 1.0

    def __post_init__(self) -> None:
        if not (
            self.temperature_celsius > ABSOLUTE_ZERO_CELSIUS
            and self.charge_rate > 0
            and self.discharge_rate > 0
        ):
            raise UsageError(
                f"no cell is used so: {self}", hint="Give °C and rates above zero, 1.0 for 1C."
            )


def stress(usage: Usage, names: tuple[str, ...]) -> Float64[np.ndarray, " column"]:
    """A one, then each named stress: (1/T25 - 1/T)/R in mol/kJ, or the logarithm of a rate.

    So the weight of a temperature is an activation energy in kJ/mol, that of a rate an exponent.

    Raises:
        UsageError: there is no such stress.
    """
    told = [1.0]
    for name in names:
        if name == "temperature":
            kelvin = usage.temperature_celsius - ABSOLUTE_ZERO_CELSIUS
            told.append((1 / _REFERENCE_KELVIN - 1 / kelvin) / GAS_CONSTANT * 1000)
        elif name in STRESSES:
            told.append(float(np.log(getattr(usage, name))))
        else:
            raise UsageError(f"no stress {name!r}", hint=f"There are {', '.join(STRESSES)}.")
    return np.array(told)


def clocks(
    parameters: Float64[np.ndarray, "*item parameter"], cycle: Float64[np.ndarray, "*item cycle"]
) -> Float64[np.ndarray, "clock *item cycle"]:
    """Clocks of root, line and knee after cycles of one usage. [1]"""
    rates = np.exp(np.clip(parameters[..., RATES], -30.0, 5.0))
    return np.stack([rates[..., k, None] * cycle for k in range(3)])


def fade(
    parameters: Float64[np.ndarray, "*item parameter"],
    clock: Float64[np.ndarray, "clock *item cycle"],
) -> Float64[np.ndarray, "*item cycle"]:
    """State of health where the clocks stand so. [1]"""
    root, line, knee = clock
    power = 1 + np.exp(parameters[..., 4, None])
    lost = np.sqrt(root) + line + _KNEE * _powered(knee, power)
    return np.asarray(parameters[..., 0, None] - lost)


def slopes(
    parameters: Float64[np.ndarray, "*item parameter"], cycle: Float64[np.ndarray, "*item cycle"]
) -> Float64[np.ndarray, "*item cycle parameter"]:
    """Derivatives of the state of health by each parameter. [1]"""
    root, line, knee = clocks(parameters, cycle)
    bend = np.exp(parameters[..., 4, None])
    raised = _KNEE * _powered(knee, 1 + bend)
    by_bend = -raised * bend * np.log(np.maximum(knee, 1e-12))
    columns = (np.ones_like(root), -0.5 * np.sqrt(root), -line, -(1 + bend) * raised, by_bend)
    return np.stack(columns, axis=-1)


def _powered(knee: np.ndarray, power: np.ndarray) -> np.ndarray:
    raised: np.ndarray = np.exp(np.minimum(power * np.log(np.maximum(knee, 1e-12)), np.log(_MOST)))
    return raised

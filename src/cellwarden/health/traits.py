"""How a battery ages, in a few numbers taken from its history so far.

Rules
- A rate is a slope over a third of the cycles seen, so that one odd capacity moves little.
- A rate is told as a decimal logarithm of what is lost in 100 cycles; a battery that lost nothing,
  or gained, has the least that is told apart (`_LEAST`).
- What was not measured is NaN and has no part in comparing.
"""

from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import DataError

__all__ = ["TRAITS", "traits"]

# Name -> what a person calls a low and a high one.
TRAITS: Final[dict[str, tuple[str, str]]] = {
    "fade_early_log10": ("slow fading at first", "fast fading at first"),
    "fade_late_log10": ("slow fading lately", "fast fading lately"),
    "bend_log10": ("slowing down", "bending down"),
    "first_soh_fraction": ("low from the start", "high from the start"),
    "cv_share_fraction": ("little held at full voltage", "long held at full voltage"),
    "cv_share_growth_log10": ("steady resistance", "growing resistance"),
    "temperature_celsius": ("cool", "hot"),
    "charge_rate_per_hour": ("gently charged", "fast charged"),
}
_LEAST: Final = 1e-4
_FEWEST_CYCLES: Final = 12


def traits(
    soh_fraction: Float64[np.ndarray, " cycle"],
    cv_share_fraction: Float64[np.ndarray, " cycle"] | None = None,
    temperature_celsius: float = np.nan,
    charge_rate_per_hour: float = np.nan,
) -> Float64[np.ndarray, " trait"]:
    """Numbers in the order of `TRAITS`; NaN where nothing was measured. [1]

    `soh_fraction` is capacity over nominal cycle by cycle, `cv_share_fraction` the part of each
    charge that was taken at constant voltage.

    Raises:
        DataError: too few cycles to tell a rate.
    """
    if len(soh_fraction) < _FEWEST_CYCLES:
        raise DataError(
            f"{len(soh_fraction)} cycles tell no rate", hint=f"Wait for {_FEWEST_CYCLES}."
        )
    third = len(soh_fraction) // 3
    early, late = (
        float(np.log10(max(-100 * _slope(part), _LEAST)))
        for part in (soh_fraction[:third], soh_fraction[-third:])
    )
    share = growth = np.nan
    if cv_share_fraction is not None and np.isfinite(cv_share_fraction).any():
        known = cv_share_fraction[np.isfinite(cv_share_fraction)]
        share = float(np.median(known))
        growth = float(np.log10(max(100 * _slope(known), _LEAST)))
    first = float(np.median(soh_fraction[:_FEWEST_CYCLES]))
    return np.array(
        [early, late, late - early, first, share, growth, temperature_celsius, charge_rate_per_hour]
    )


def _slope(values: Float64[np.ndarray, " cycle"]) -> float:
    """Least-squares change a cycle. [1]"""
    at = np.arange(len(values)) - (len(values) - 1) / 2
    return float(at @ values / (at @ at))

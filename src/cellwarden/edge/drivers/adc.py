"""Analogue to digital and back: what a code means against the reference it was measured with.

Rules
- A code is a ratio: what was measured over the converter's reference. Where the sensor hangs on
  the same reference, the reference drops out; where it does not, an error of the reference is an
  error of every reading, and only a second reference can tell.
- A code at the end of the range, or outside what the channel is specified for, is no reading.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cellwarden.errors import UsageError

__all__ = ["CELL", "RATIO", "REFERENCE", "Scale", "reference_holds"]

Values = Float64[np.ndarray, "*shape"]
Codes = Int64[np.ndarray, "*shape"]


@dataclass(frozen=True, slots=True)
class Scale:
    """One channel: value = (code - zero_code) * unit_per_code, between the two codes."""

    unit_per_code: float
    low_code: int
    high_code: int
    zero_code: int = 0

    def __post_init__(self) -> None:
        if self.unit_per_code <= 0.0 or self.low_code >= self.high_code:
            raise UsageError(
                "a channel needs a step above zero and a range", hint="Check its data sheet."
            )

    def value(self, codes: Codes) -> Values:
        """What a code means; NaN where the converter was at its end or beyond."""
        codes = np.asarray(codes, dtype=np.int64)
        good = (codes > self.low_code) & (codes < self.high_code)
        return np.where(good, (codes - self.zero_code) * self.unit_per_code, np.nan)

    def code(self, values: Values, reference_gain: Values | float = 1.0) -> Codes:
        """What the converter gives for a value; it stops at its ends, and NaN is the upper one.

        `reference_gain` is the reference over what it should be: a high one makes codes small.
        """
        with np.errstate(invalid="ignore"):
            raw = np.rint(values / reference_gain / self.unit_per_code) + self.zero_code
        bounded = np.clip(
            np.where(np.isnan(raw), self.high_code, raw), self.low_code, self.high_code
        )
        codes: np.ndarray = bounded.astype(np.int64)
        return codes


# A cell monitor of 16 bits and 100 µV a code, good up to 5 V (LTC68xx family); zero is a reading
# that a real cell does not give, but a short does: only the upper end is saturation.
CELL: Final = Scale(100e-6, -1, 50_000)
REFERENCE: Final = Scale(100e-6, 0, 50_000)
RATIO: Final = Scale(1.0 / 65_535, 0, 65_535)


def reference_holds(
    second_reference_volt: Values, nominal_volt: float, tolerance_fraction: float = 0.005
) -> Bool[np.ndarray, "*shape"]:
    """Whether the second reference, read with the first, is what it should be.

    Which of the two has moved cannot be told, so nothing is corrected. LTC6811: 2.985 to 3.015 V.
    """
    off = np.abs(second_reference_volt / nominal_volt - 1.0)
    held: np.ndarray = off <= tolerance_fraction
    return held

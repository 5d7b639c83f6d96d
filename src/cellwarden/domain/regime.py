"""How a pack is run day by day: its window of charge, its charging rate, when cooling begins."""

import math
from dataclasses import dataclass, fields

from cellwarden.errors import UsageError

__all__ = ["Regime", "RegimeBounds"]


@dataclass(frozen=True, slots=True)
class Regime:
    """The four settings of daily use; every one of them lies inside what the pack may do anyway."""

    low_soc_fraction: float = 0.05
    high_soc_fraction: float = 1.0
    charge_rate_per_hour: float = 1.0
    cooling_temperature_celsius: float = 40.0

    def __post_init__(self) -> None:
        sound = all(math.isfinite(getattr(self, field.name)) for field in fields(self))
        if not (sound and 0.0 <= self.low_soc_fraction < self.high_soc_fraction <= 1.0):
            raise UsageError(
                "a window of charge lies between 0 and 1, its low end below its high end",
                hint="Give low_soc_fraction < high_soc_fraction.",
            )
        if self.charge_rate_per_hour <= 0.0:
            raise UsageError("a charging rate is above zero", hint="Give it in 1/h.")


@dataclass(frozen=True, slots=True)
class RegimeBounds:
    """How far a device may go by itself, as an issuer with the role to say so has signed.

    `gentle` is the gentlest regime that it may choose, `free` the one without any restraint;
    `applies` says whether it may act or only propose; `unmet_day_fraction` how many more days and
    `unserved_fraction` how much more of the charge may be missed than in the free regime.
    """

    gentle: Regime
    free: Regime
    applies: bool = False
    unmet_day_fraction: float = 0.02
    unserved_fraction: float = 0.005
    expires_unix_time_second: float = math.inf

    def __post_init__(self) -> None:
        gentle, free = self.gentle, self.free
        if not (
            gentle.low_soc_fraction >= free.low_soc_fraction
            and gentle.high_soc_fraction <= free.high_soc_fraction
            and gentle.charge_rate_per_hour <= free.charge_rate_per_hour
            and gentle.cooling_temperature_celsius <= free.cooling_temperature_celsius
        ):
            raise UsageError(
                "the gentle end of the bounds is harsher than the free one",
                hint="Gentler is a narrower window, a slower charge, an earlier cooling.",
            )
        if not (0.0 <= self.unmet_day_fraction <= 1.0 and 0.0 <= self.unserved_fraction <= 1.0):
            raise UsageError("a share of days lies between 0 and 1", hint="Try 0.02.")

    def clip(self, regime: Regime) -> Regime:
        """The regime, brought inside the bounds."""
        gentle, free = self.gentle, self.free
        return Regime(
            min(max(regime.low_soc_fraction, free.low_soc_fraction), gentle.low_soc_fraction),
            max(min(regime.high_soc_fraction, free.high_soc_fraction), gentle.high_soc_fraction),
            max(
                min(regime.charge_rate_per_hour, free.charge_rate_per_hour),
                gentle.charge_rate_per_hour,
            ),
            max(
                min(regime.cooling_temperature_celsius, free.cooling_temperature_celsius),
                gentle.cooling_temperature_celsius,
            ),
        )

"""How a pack is charged, and what a charge that was interrupted goes on from."""

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Final, Literal

import cbor2

from cellwarden.control.curves import Curve
from cellwarden.domain import Interval, Pack
from cellwarden.errors import DecodeError, UsageError

__all__ = ["Charged", "Charging", "Phase", "Stage", "charging_of", "pack_state", "unpack_state"]

_NAN: Final = float("nan")
_VERSION: Final = 1


class Phase(StrEnum):
    """Where a charge is."""

    IDLE = "idle"  # nobody wants to charge
    REVIVE = "revive"  # a deeply discharged cell comes up gently
    BULK = "bulk"  # the current is what limits
    HOLD = "hold"  # the highest cell's voltage is what limits
    DONE = "done"
    REFUSED = "refused"  # until the charger is taken off


@dataclass(frozen=True, slots=True)
class Stage:
    """Up to a voltage of the highest cell, so much current over the label's capacity."""

    until_volt: float
    rate_per_hour: float


@dataclass(frozen=True, slots=True)
class Charging:
    """How a pack is charged.

    One stage is constant current then constant voltage, several are a multi-stage charge; `gentle`
    looks at the negative electrode instead, and the stages only cap it.

    Raises:
        UsageError: stages out of order, or rates that are none.
    """

    pack: Pack
    stages: tuple[Stage, ...]
    method: Literal["stages", "gentle"] = "gentle"
    high_volt: float = 4.2
    target_fraction: float = 1.0
    cutoff_rate_per_hour: float = 0.05
    full_second: float = 30.0
    full_within_volt: float = 0.010
    hold_margin_volt: float = 0.005  # below it, until the voltage no longer counts as held
    revive_rate_per_hour: float = 0.1
    revive_volt: float = 2.8
    revive_margin_volt: float = 0.1
    refuse_volt: float = 2.5
    revive_second: float = 3600.0
    most_second: float = 48 * 3600.0
    most_fraction: float = 1.3
    least_rate_per_hour: float = 0.05
    again_fraction: float = 0.05
    anode_margin_volt: float = 0.010
    plates: bool = True
    warmth_celsius: Curve = field(default_factory=lambda: Curve((38.0, 43.0), (1.0, 0.2)))

    def __post_init__(self) -> None:
        volts = [stage.until_volt for stage in self.stages]
        rates = (
            *(stage.rate_per_hour for stage in self.stages),
            self.cutoff_rate_per_hour,
            self.revive_rate_per_hour,
            self.least_rate_per_hour,
        )
        if not (
            volts
            and all(a < b for a, b in pairwise(volts))
            and volts[-1] == self.high_volt
            and self.refuse_volt <= self.revive_volt < self.high_volt
            and all(rate > 0.0 for rate in rates)
            and 0.0 < self.target_fraction <= 1.0
        ):
            raise UsageError(
                "a charge has stages of rising voltage, the last up to high_volt",
                hint="Check the stages, rates above 0, refuse_volt <= revive_volt < high_volt.",
            )


def charging_of(pack: Pack, method: Literal["stages", "gentle"] = "gentle") -> Charging:
    """A charge of a pack from its chemistry: up to the window, at most at the operating tier.

    `stages` is constant current and constant voltage at half the tier, as data sheets rate cells.
    """
    kind, tiers = pack.cell.chemistry, pack.cell.limits
    high = kind.high_voltage_volt
    rate = tiers.operating.high_charge_current_ampere / pack.cell.nominal_capacity_ah
    return Charging(
        pack,
        (Stage(high, rate if method == "gentle" else 0.5 * rate),),
        method,
        high_volt=high,
        revive_volt=kind.low_voltage_volt,
        refuse_volt=tiers.maximum.low_voltage_volt,
        plates=kind.name != "LTO",
    )


@dataclass(frozen=True, slots=True)
class Charged:
    """What the next step needs; it outlives a power cut (`pack_state`).

    The clock is the controller's own and begins anew after a cut: the first step then counts no
    time. Elapsed times are those in which the pack was being charged.
    """

    phase: Phase = Phase.IDLE
    stage: int = 0
    elapsed_second: float = 0.0
    revived_second: float = 0.0
    full_second: float = 0.0
    charged_ah: float = 0.0
    refusal: str = ""
    rate_per_hour: float = _NAN  # the gentlest that is in time
    clock_second: float = _NAN
    planned_clock_second: float = _NAN
    hours: float = float("inf")  # left, as it was forecast then
    hours_band: Interval | None = None


def pack_state(state: Charged) -> bytes:
    """The state as bytes; the clock, and what was planned on it, stay behind."""
    kept = (
        state.phase,
        state.stage,
        state.elapsed_second,
        state.revived_second,
        state.full_second,
        state.charged_ah,
        state.refusal,
        state.rate_per_hour,
    )
    return cbor2.dumps([_VERSION, *kept])


def unpack_state(data: bytes) -> Charged:
    """The state that was packed.

    Raises:
        DecodeError: these bytes are no such state.
    """
    try:
        version, phase, stage, *numbers = cbor2.loads(data)
        *times, refusal, rate = numbers
        elapsed, revived, full, charged = (float(value) for value in times)
        valid = min(elapsed, revived, full, charged) >= 0.0 and int(stage) >= 0
        if version == _VERSION and valid and isinstance(refusal, str):
            return Charged(
                Phase(phase), int(stage), elapsed, revived, full, charged, refusal, float(rate)
            )
    except (cbor2.CBORDecodeError, TypeError, ValueError, OverflowError) as error:
        raise DecodeError(
            "these bytes are no state of a charge", hint="Begin the charge anew."
        ) from error
    raise DecodeError("these bytes are no state of a charge", hint="Begin the charge anew.")

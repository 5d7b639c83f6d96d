"""What the state machine needs to know of one cycle, and nothing else."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cellwarden.domain import Contactors, Diagnosis, Reaction, Reading, Request

__all__ = ["SWITCHES", "Situation", "situation_of"]

SWITCHES: Final = ("plus", "minus", "precharge")
_NAN: Final = float("nan")


@dataclass(frozen=True, slots=True)
class Situation:
    """One cycle as the machine sees it.

    `failing` names the checks of the self-test that do not hold now, `complete` says that every
    cell, a temperature and the current have been read. `charge_forbidden`, `close_forbidden`,
    `fatal` and `danger` are what diagnostics ask for, the mildest first; `fatal` is there from the
    first moment of a fault that opens, `danger` when its delay has run out.
    """

    clock_second: float
    pack_voltage_volt: float = _NAN
    link_voltage_volt: float = _NAN
    current_ampere: float = _NAN
    plus_feedback_closed: bool | None = None
    minus_feedback_closed: bool | None = None
    precharge_feedback_closed: bool | None = None
    request: Request | None = None
    request_age_second: float = 0.0
    complete: bool = True
    failing: tuple[str, ...] = ()
    charge_forbidden: bool = False
    close_forbidden: bool = False
    fatal: bool = False
    danger: bool = False

    @property
    def feedback(self) -> tuple[bool | None, bool | None, bool | None]:
        """What the auxiliary contacts say, in the order of `SWITCHES`."""
        return (
            self.plus_feedback_closed,
            self.minus_feedback_closed,
            self.precharge_feedback_closed,
        )

    def follows(self, driven: Contactors) -> tuple[bool, bool, bool]:
        """Whether each switch is as it is driven; one without a contact is believed."""
        plus, minus, precharge = self.feedback
        return (
            plus is None or plus == driven.plus_closed,
            minus is None or minus == driven.minus_closed,
            precharge is None or precharge == driven.precharge_closed,
        )


def situation_of(reading: Reading, diagnosis: Diagnosis) -> Situation:
    """Reduce a cycle's reading and what is held against it to what the machine decides on."""
    inputs, frame = reading.inputs, reading.frame
    reaction = diagnosis.reaction
    cells, sensors = frame.cell_voltage_volt, frame.cell_temperature_celsius
    cells_read = bool(len(cells)) and bool(np.isfinite(cells).all())
    warmth_read = bool(np.isfinite(sensors).any())
    current = _first_read(frame.current_ampere, inputs.second_current_ampere)
    summed = float(np.sum(cells)) if cells_read else _NAN
    return Situation(
        clock_second=reading.clock_second,
        pack_voltage_volt=_first_read(frame.voltage_volt, summed),
        link_voltage_volt=float(inputs.link_voltage_volt),
        current_ampere=current,
        plus_feedback_closed=inputs.plus_feedback_closed,
        minus_feedback_closed=inputs.minus_feedback_closed,
        precharge_feedback_closed=inputs.precharge_feedback_closed,
        request=inputs.request,
        request_age_second=float(inputs.request_age_second),
        complete=cells_read and warmth_read and bool(np.isfinite(current)),
        failing=_failing(reading, cells_read=cells_read, warmth_read=warmth_read),
        charge_forbidden=reaction >= Reaction.FORBID_CHARGE,
        close_forbidden=reaction >= Reaction.FORBID_CLOSE,
        fatal=reaction >= Reaction.OPEN,
        danger=diagnosis.must_open(reading.clock_second),
    )


def _first_read(*values: float) -> float:
    return next((float(value) for value in values if np.isfinite(value)), _NAN)


def _failing(reading: Reading, *, cells_read: bool, warmth_read: bool) -> tuple[str, ...]:
    """Checks of the self-test that do not hold; what the pack does not have is not checked."""
    inputs, monitors = reading.inputs, reading.monitors
    checks = (
        ("memory", inputs.memory_intact is not False),
        ("cell_voltages", cells_read),
        ("temperatures", warmth_read),
        ("current", bool(np.isfinite(reading.frame.current_ampere))),
        ("monitors", monitors.broken_link is None),
        ("open_wire", not bool(monitors.open_wire.any())),
        ("plus_open", inputs.plus_feedback_closed is not True),
        ("minus_open", inputs.minus_feedback_closed is not True),
        ("precharge_open", inputs.precharge_feedback_closed is not True),
    )
    return tuple(name for name, holds in checks if not holds)

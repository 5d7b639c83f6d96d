"""A pack with nothing wrong, cycle by cycle; a test changes what it is about."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from cellwarden.control import diagnose
from cellwarden.control.diagnose import Diagnostics, DiagnosticsState
from cellwarden.domain import (
    CHEMISTRIES,
    CLOSED,
    Board,
    Cell,
    Charge,
    Contactors,
    Diagnosis,
    Frame,
    Inputs,
    Monitors,
    Pack,
    Reading,
    Request,
    tiers,
)

BOARD = Board(has_second_monitor=True, has_gas_sensor=True)
CELLS, SENSORS, CHIPS = 24, 12, 2
Change = Callable[[Reading], Reading]


def pack(chemistry: str = "NMC", cells: int = CELLS, capacity_ah: float = 3.0) -> Pack:
    kind = CHEMISTRIES[chemistry]
    return Pack("p", Cell(kind, capacity_ah, tiers(kind, capacity_ah)), cells)


def reading(
    index: int = 0, amperes: float = -1.5, volts: float = 3.7, celsius: float = 25.0
) -> Reading:
    """One cycle; the last digits move, as those of a converter do."""
    wobble = 1e-4 * (index % 3)
    cells = np.full(CELLS, volts + wobble)
    return Reading(
        0.1 * index,
        Frame(
            1.7e9 + 0.1 * index,
            CELLS * (volts + wobble),
            amperes + wobble,
            cells,
            np.full(SENSORS, celsius + wobble),
        ),
        Monitors(
            np.zeros(CHIPS, dtype=np.int64),
            np.full(CHIPS, 3.0),
            np.zeros(CHIPS),
            np.zeros(CELLS, dtype=bool),
            cells.copy(),
        ),
        Inputs(
            link_voltage_volt=CELLS * volts,
            second_current_ampere=amperes,
            insulation_ohm=5e6,
            gas_fraction=0.0,
            coolant_temperature_celsius=20.0,
            plus_feedback_closed=True,
            minus_feedback_closed=True,
            precharge_feedback_closed=False,
            interlock_closed=True,
            fuse_intact=True,
            clock_error_second=0.0,
            memory_intact=True,
            authenticated=True,
            request=Request.CONNECT,
        ),
    )


def with_frame(given: Reading, **changes: Any) -> Reading:
    return replace(given, frame=replace(given.frame, **changes))


def with_inputs(given: Reading, **changes: Any) -> Reading:
    return replace(given, inputs=replace(given.inputs, **changes))


def with_monitors(given: Reading, **changes: Any) -> Reading:
    return replace(given, monitors=replace(given.monitors, **changes))


def charge(ratio: float = 0.0) -> Charge:
    """An estimate in which the last cell is `ratio` standard deviations off."""
    innovation = np.zeros(CELLS)
    innovation[-1] = 0.005 * ratio
    one = np.ones(CELLS)
    return Charge(0.0, 0.5 * one, 0.01 * one, innovation, 0.005 * one)


def run(
    diagnostics: Diagnostics,
    readings: Iterable[Reading],
    state: DiagnosticsState | None = None,
    *,
    driven: Contactors = CLOSED,
    estimate: Charge | None = None,
    precharge_failed: bool = False,
) -> tuple[DiagnosticsState, list[Diagnosis]]:
    """Step through readings."""
    state = diagnose.begin(diagnostics, SENSORS) if state is None else state
    told = []
    for given in readings:
        state, diagnosis = diagnose.step(
            diagnostics, state, given, driven, estimate, precharge_failed=precharge_failed
        )
        told.append(diagnosis)
    return state, told


def names(diagnosis: Diagnosis) -> set[str]:
    return {trouble.name for trouble in diagnosis.troubles}

"""What the rows of the fault table read: one number each, worked out anew in every cycle.

Rules
- A number is the worst of the items that it runs over; `item` says what those items are.
- NaN says that nothing is known in this cycle; a number at rest ("does not apply") is never NaN.
- A reading outside its sensor's range counts as no reading everywhere but in `*_IMPOSSIBLE`.
"""

from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

__all__ = ["CELL_RANGE_VOLT", "SENSOR_RANGE_CELSIUS", "SIGNALS", "About", "Signal"]

CELL_RANGE_VOLT: Final = (-0.1, 4.9)  # cell monitors read 0..5 V (LTC6811 data sheet), less 2 %
SENSOR_RANGE_CELSIUS: Final = (-40.0, 120.0)  # of NTC thermistors in packs, typical data sheets


class Signal(IntEnum):
    """The numbers, in the order in which `evidence.gather` gives them."""

    HIGH_CELL_VOLTAGE = 0
    LOW_CELL_VOLTAGE = 1
    STRING_VOLTAGE = 2
    CHARGE_CURRENT = 3
    DISCHARGE_CURRENT = 4
    HIGH_CHARGE_TEMPERATURE = 5
    LOW_CHARGE_TEMPERATURE = 6
    HIGH_DISCHARGE_TEMPERATURE = 7
    LOW_DISCHARGE_TEMPERATURE = 8
    VOLTAGE_SPREAD = 9
    TEMPERATURE_SPREAD = 10
    SECOND_MONITOR = 11
    CELL_SUM = 12
    REFERENCE = 13
    SECOND_CURRENT = 14
    MODEL = 15
    OPEN_CURRENT = 16
    TEMPERATURE_JUMP = 17
    OPEN_WIRE = 18
    CELL_FROZEN = 19
    STRING_FROZEN = 20
    CURRENT_FROZEN = 21
    TEMPERATURE_FROZEN = 22
    CELL_MISSING = 23
    STRING_MISSING = 24
    CURRENT_MISSING = 25
    TEMPERATURE_MISSING = 26
    TEMPERATURES_LEFT = 27
    VOLTAGE_AGE = 28
    CURRENT_AGE = 29
    MONITOR_AGE = 30
    CELL_IMPOSSIBLE = 31
    STRING_IMPOSSIBLE = 32
    CURRENT_IMPOSSIBLE = 33
    TEMPERATURE_IMPOSSIBLE = 34
    PLUS_FEEDBACK = 35
    MINUS_FEEDBACK = 36
    PRECHARGE_FEEDBACK = 37
    WELD = 38
    INSULATION = 39
    INTERLOCK = 40
    FUSE = 41
    GAS = 42
    CLOCK_ERROR = 43
    CLOCK_BACKWARDS = 44
    CYCLE = 45
    MEMORY = 46
    AUTHENTICATION = 47
    BUS_ERRORS = 48
    FRAME_ERRORS = 49
    CHAIN = 50
    MASTER = 51
    PRECHARGE = 52
    RUNAWAY = 53
    COOLANT = 54


@dataclass(frozen=True, slots=True)
class About:
    """Unit and meaning of a signal, and what it is the worst of."""

    unit: str
    meaning: str
    item: str = ""


_S: Final = Signal
SIGNALS: Final = MappingProxyType(
    {
        _S.HIGH_CELL_VOLTAGE: About("V", "highest cell voltage", "cell"),
        _S.LOW_CELL_VOLTAGE: About("V", "lowest cell voltage", "cell"),
        _S.STRING_VOLTAGE: About("V", "voltage of the string, by its own sensor"),
        _S.CHARGE_CURRENT: About("A", "current into the pack"),
        _S.DISCHARGE_CURRENT: About("A", "current out of the pack"),
        _S.HIGH_CHARGE_TEMPERATURE: About("°C", "hottest sensor while it charges", "sensor"),
        _S.LOW_CHARGE_TEMPERATURE: About("°C", "coldest sensor while it charges", "sensor"),
        _S.HIGH_DISCHARGE_TEMPERATURE: About("°C", "hottest sensor otherwise", "sensor"),
        _S.LOW_DISCHARGE_TEMPERATURE: About("°C", "coldest sensor otherwise", "sensor"),
        _S.VOLTAGE_SPREAD: About(
            "V", "highest less lowest cell, rested 5 min, between 15 % and 95 % charge", "cell"
        ),
        _S.TEMPERATURE_SPREAD: About("K", "hottest less coldest sensor", "sensor"),
        _S.SECOND_MONITOR: About("V", "cell voltage against the redundant monitor", "cell"),
        _S.CELL_SUM: About("V", "sum of the cells against the string's voltage"),
        _S.REFERENCE: About("V", "second reference of a chip against its nominal value", "chip"),
        _S.SECOND_CURRENT: About("A", "current against the second current sensor"),
        _S.MODEL: About(
            "σ",
            "voltage against the charge estimate's, beyond the middle of three cells or more",
            "cell",
        ),
        _S.OPEN_CURRENT: About("A", "current with all coils off for 1 s"),
        _S.TEMPERATURE_JUMP: About("K", "change of a sensor in a cycle", "sensor"),
        _S.OPEN_WIRE: About("1", "cells whose wire is open", "cell"),
        _S.CELL_FROZEN: About("s", "cell voltage equal to the bit while current flows", "cell"),
        _S.STRING_FROZEN: About(
            "s", "string voltage equal to the bit while the current is C/20 off"
        ),
        _S.CURRENT_FROZEN: About(
            "s", "current equal to the bit while the string is 5 mV a cell off"
        ),
        _S.TEMPERATURE_FROZEN: About(
            "s", "temperature equal to the bit while current flows", "sensor"
        ),
        _S.CELL_MISSING: About("1", "cells without a reading", "cell"),
        _S.STRING_MISSING: About("1", "no reading of the string's voltage"),
        _S.CURRENT_MISSING: About("1", "no reading of the current"),
        _S.TEMPERATURE_MISSING: About("1", "temperature sensors without a reading", "sensor"),
        _S.TEMPERATURES_LEFT: About("1", "temperature sensors with a reading"),
        _S.VOLTAGE_AGE: About("s", "age of the cell voltages"),
        _S.CURRENT_AGE: About("s", "age of the current"),
        _S.MONITOR_AGE: About("s", "age of a chip's last good reading", "chip"),
        _S.CELL_IMPOSSIBLE: About("V", "cell voltage beyond what a monitor can read", "cell"),
        _S.STRING_IMPOSSIBLE: About("V", "string voltage beyond what its cells can give"),
        _S.CURRENT_IMPOSSIBLE: About("A", "current beyond what the fuse lets through"),
        _S.TEMPERATURE_IMPOSSIBLE: About("K", "temperature beyond the sensor's range", "sensor"),
        _S.PLUS_FEEDBACK: About("1", "plus contactor not as driven"),
        _S.MINUS_FEEDBACK: About("1", "minus contactor not as driven"),
        _S.PRECHARGE_FEEDBACK: About("1", "precharge contactor not as driven"),
        _S.WELD: About("1", "a main contactor closed with its coil off, or the link still live"),
        _S.INSULATION: About("Ω/V", "insulation over string voltage"),
        _S.INTERLOCK: About("1", "interlock loop open"),
        _S.FUSE: About("1", "fuse blown"),
        _S.GAS: About("1", "volume fraction of vent gas"),
        _S.CLOCK_ERROR: About("s", "wall clock against its time source"),
        _S.CLOCK_BACKWARDS: About("s", "a clock ran backwards"),
        _S.CYCLE: About("s", "time since the last cycle"),
        _S.MEMORY: About("1", "memory damaged"),
        _S.AUTHENTICATION: About("1", "pack failed its challenge"),
        _S.BUS_ERRORS: About("1", "errors of the bus in a cycle"),
        _S.FRAME_ERRORS: About("1", "refused frames of a chip in a cycle", "chip"),
        _S.CHAIN: About("1", "chips behind a broken link", "chip"),
        _S.MASTER: About("s", "age of the last request"),
        _S.PRECHARGE: About("1", "precharge gave up"),
        _S.RUNAWAY: About("1", "senses that speak of a cell about to run away", "cell"),
        _S.COOLANT: About("°C", "temperature of the coolant"),
    }
)

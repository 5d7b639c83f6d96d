"""Every name a number may carry when it is stored, sent or shown, with its unit, sign and range.

Rules
- A name ends in its unit, in the spelling of the Battery Data Format (BDF, LF Energy).
- Positive current charges the cell.
- Fractions are 0..1; time is Unix seconds, UTC; temperature is degrees Celsius at boundaries.
- NaN in a measured column says "no reading"; it is never a zero and never the last value again.

The nomenclature page of the documentation is generated from `QUANTITIES`.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

__all__ = ["ABSOLUTE_ZERO_CELSIUS", "FARADAY", "GAS_CONSTANT", "QUANTITIES", "Quantity", "quantity"]

ABSOLUTE_ZERO_CELSIUS: Final = -273.15
GAS_CONSTANT: Final = 8.314462618  # J/(mol K), CODATA 2018, exact
FARADAY: Final = 96485.33212  # C/mol, CODATA 2018, exact


@dataclass(frozen=True, slots=True)
class Quantity:
    """One named quantity and the range outside which a number cannot be true."""

    name: str
    unit: str
    meaning: str
    bdf_label: str = ""
    low: float = float("-inf")
    high: float = float("inf")
    sensed: bool = False


_INF: Final = float("inf")
_TABLE: Final = (
    Quantity("unix_time_second", "s", "time, seconds since 1970-01-01 UTC", "Unix Time / s", 0.0),
    Quantity("test_time_second", "s", "time since the record began", "Test Time / s", 0.0),
    Quantity(
        "voltage_volt",
        "V",
        "terminal voltage of cell or pack",
        "Voltage / V",
        -10.0,
        2000.0,
        sensed=True,
    ),
    Quantity(
        "current_ampere",
        "A",
        "current through the terminals; positive charges",
        "Current / A",
        -10_000.0,
        10_000.0,
        sensed=True,
    ),
    Quantity(
        "cell_voltage_volt", "V", "voltage of each cell in series", "", -10.0, 10.0, sensed=True
    ),
    Quantity(
        "cell_temperature_celsius",
        "°C",
        "reading of each cell sensor",
        "",
        -90.0,
        1200.0,
        sensed=True,
    ),
    Quantity(
        "surface_temperature_celsius",
        "°C",
        "temperature on the cell's surface",
        "Surface Temperature / degC",
        -90.0,
        1200.0,
        sensed=True,
    ),
    Quantity(
        "ambient_temperature_celsius",
        "°C",
        "temperature around the cell or pack",
        "Ambient Temperature / degC",
        -90.0,
        1200.0,
        sensed=True,
    ),
    Quantity(
        "humidity_fraction", "1", "relative humidity around the pack", "", 0.0, 1.0, sensed=True
    ),
    Quantity("cycle_count", "1", "running number of the cycle", "Cycle Count / 1", 0.0),
    Quantity("step_count", "1", "running number of the step", "Step Count / 1", 0.0),
    Quantity("step_index", "1", "number of the step in the tester's programme", "Step Index / 1"),
    Quantity(
        "charging_capacity_ah", "Ah", "charge put in, as counted", "Charging Capacity / Ah", 0.0
    ),
    Quantity(
        "discharging_capacity_ah",
        "Ah",
        "charge taken out, as counted",
        "Discharging Capacity / Ah",
        0.0,
    ),
    Quantity("charging_energy_wh", "Wh", "energy put in, as counted", "Charging Energy / Wh", 0.0),
    Quantity(
        "discharging_energy_wh",
        "Wh",
        "energy taken out, as counted",
        "Discharging Energy / Wh",
        0.0,
    ),
    Quantity(
        "internal_resistance_ohm",
        "Ω",
        "resistance as the tester measured it",
        "Internal Resistance / ohm",
        0.0,
    ),
    Quantity("capacity_ah", "Ah", "charge a full discharge delivers", "", 0.0),
    Quantity("nominal_capacity_ah", "Ah", "capacity on the maker's label", "", 0.0),
    Quantity("energy_wh", "Wh", "electrical energy", "", 0.0),
    Quantity("resistance_ohm", "Ω", "direct-current resistance", "", 0.0),
    Quantity(
        "soc_fraction", "1", "state of charge: charge left over charge when full", "", 0.0, 1.0
    ),
    Quantity("soc_std_fraction", "1", "standard deviation of the state of charge", "", 0.0, 1.0),
    Quantity(
        "soh_fraction", "1", "state of health: capacity now over nominal capacity", "", 0.0, 1.5
    ),
    Quantity("life_cycle_count", "1", "full cycles left until the stated end of life", "", 0.0),
    Quantity("innovation_volt", "V", "measured minus predicted terminal voltage", ""),
    Quantity("innovation_std_volt", "V", "standard deviation expected of the innovation", "", 0.0),
    Quantity("power_watt", "W", "electrical power; positive charges", "Power / W"),
    Quantity("charge_watt", "W", "power drawn from the grid side", "", 0.0),
    Quantity("discharge_watt", "W", "power given to the grid side", "", 0.0),
    Quantity("frame_count", "1", "samples of one pack", "", 0.0),
    Quantity("value_count", "1", "numbers, one sensor at one time stamp each", "", 0.0),
)

# Columns of the tables of steps and cycles; `features.steps` and `features.summary` define them.
_START: Final = "as the step or cycle begins"
_END: Final = "as the step or cycle ends"
_OVER: Final = (
    ("start", _START),
    ("end", _END),
    ("mean", "mean over time"),
    ("lowest", "lowest reading"),
    ("highest", "highest reading"),
)
_READ: Final = (
    ("voltage_volt", "V", "voltage"),
    ("current_ampere", "A", "current"),
    ("surface_temperature_celsius", "°C", "temperature on the cell's surface"),
)
_WAYS: Final = (("charging", "charge"), ("discharging", "discharge"))
_SUMMED: Final = (
    *(
        Quantity(f"{place}_{time}", "s", f"{meaning}, {when}")
        for place, when in (("start", _START), ("end", _END))
        for time, meaning in (("test_time_second", "test time"), ("unix_time_second", "Unix time"))
    ),
    *(
        Quantity(f"{over}_{name}", unit, f"{meaning}: {how}")
        for name, unit, meaning in _READ
        for over, how in _OVER
    ),
    Quantity("start_row_index", "1", "first row of a step or cycle, counted from 0", "", 0.0),
    Quantity("stop_row_index", "1", "row after the last of a step or cycle", "", 0.0),
    Quantity("duration_second", "s", "length of a step or cycle", "", 0.0),
    Quantity("gap_count", "1", "intervals too long to count over", "", 0.0),
    Quantity("relaxation_volt", "V", "voltage as a rest ends less as it begins"),
    Quantity("relaxation_time_second", "s", "time until 1 - 1/e of a relaxation", "", 0.0),
    Quantity("coulombic_efficiency_fraction", "1", "charge out over charge in before it", "", 0.0),
    Quantity("energy_efficiency_fraction", "1", "energy out over energy in before it", "", 0.0),
    *(
        row
        for way, word in _WAYS
        for row in (
            Quantity(f"{way}_counter_ah", "Ah", f"growth of the tester's {word} counter", "", 0.0),
            Quantity(f"mean_{way}_voltage_volt", "V", f"energy over charge of the {word}"),
            Quantity(f"mean_{way}_current_ampere", "A", f"mean current while it does {word}"),
            Quantity(f"{way}_resistance_ohm", "Ω", f"resistance as a {word} begins"),
            Quantity(f"{word}_relaxation_volt", "V", f"relaxation after a {word}"),
            Quantity(f"{word}_relaxation_time_second", "s", f"its time after a {word}", "", 0.0),
            *(
                quantity
                for part, held in (("cc", "constant current"), ("cv", "constant voltage"))
                for quantity in (
                    Quantity(f"{part}_{way}_time_second", "s", f"{word} at {held}", "", 0.0),
                    Quantity(f"{part}_{way}_capacity_ah", "Ah", f"{word} at {held}", "", 0.0),
                )
            ),
        )
    ),
)

QUANTITIES: Final = MappingProxyType({row.name: row for row in (*_TABLE, *_SUMMED)})


def quantity(name: str) -> Quantity:
    """The row of the table for a name.

    Raises:
        KeyError: no such quantity; add a row before you store or send it.
    """
    return QUANTITIES[name]

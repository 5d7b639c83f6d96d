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

# What `features` says of a cell, a curve, a pulse, a spectrum or its use: docs/features.md.
_END_OF_CHARGE: Final = (("cc_voltage", "volt", "V"), ("cv_current", "ampere", "A"))
_FEATURES: Final = (
    Quantity("delta_minimum_log10_ah", "log10 Ah", "lowest ΔQ(V) of two discharges"),
    Quantity("delta_variance_log10_ah2", "log10 Ah²", "variance of ΔQ(V)"),
    Quantity("delta_skewness_log10_ratio", "log10 1", "skewness of ΔQ(V)"),
    Quantity("delta_kurtosis_log10_ratio", "log10 1", "kurtosis of ΔQ(V)"),
    Quantity("fade_slope_ah", "Ah", "capacity gained a cycle, of a line through the first cycles"),
    Quantity("fade_intercept_ah", "Ah", "capacity of that line at cycle 0"),
    Quantity("second_capacity_ah", "Ah", "capacity of the second cycle", "", 0.0),
    Quantity("capacity_rise_ah", "Ah", "highest capacity less the second cycle's"),
    Quantity("charge_time_second", "s", "mean time of the first charges", "", 0.0),
    Quantity("temperature_integral_celsius_hour", "°C h", "temperature over the first cycles"),
    Quantity("least_resistance_ohm", "Ω", "lowest resistance of the first cycles"),
    Quantity("resistance_rise_ohm", "Ω", "resistance of the late cycle less the second's"),
    Quantity("incremental_capacity_ah_per_volt", "Ah/V", "dQ/dV along a branch"),
    Quantity("differential_voltage_volt_per_ah", "V/Ah", "dV/dQ along a branch"),
    Quantity("ohmic_ohm", "Ω", "resistance at the first row under load"),
    Quantity("polarisation_ohm", "Ω", "resistance added since the first row under load"),
    Quantity("diffusion_ohm_per_root_second", "Ω/√s", "slope of an interruption over √t"),
    Quantity("frequency_hertz", "Hz", "frequency of an impedance", "", 0.0),
    Quantity("warburg_ohm_per_root_second", "Ω/√s", "σ of the diffusion impedance σ(1 - j)/√ω"),
    Quantity("inductance_henry", "H", "inductance in series", "", 0.0),
    Quantity("window_capacity_ah", "Ah", "charge within a voltage window", "", 0.0),
    Quantity("window_time_second", "s", "time within a voltage window", "", 0.0),
    *(
        quantity
        for stretch, unit_name, unit in _END_OF_CHARGE
        for quantity in (
            Quantity(f"{stretch}_mean_{unit_name}", unit, "mean over the end of a charge"),
            Quantity(f"{stretch}_std_{unit_name}", unit, "standard deviation over it", "", 0.0),
            Quantity(f"{stretch}_kurtosis_ratio", "1", "excess kurtosis over it"),
            Quantity(f"{stretch}_skewness_ratio", "1", "skewness over it"),
            Quantity(f"{stretch}_slope_{unit_name}_per_second", f"{unit}/s", "slope over it"),
            Quantity(f"{stretch}_entropy_nat", "nat", "entropy over it; grows with its rows"),
        )
    ),
    Quantity("equivalent_full_cycle_count", "1", "charge both ways over twice capacity", "", 0.0),
    Quantity("charge_rate_per_hour", "1/h", "current over capacity; positive charges"),
)

# What drivers and outputs tell of a pack beside its frames: docs/drivers.md.
_TOLD: Final = (
    Quantity("lowest_cell_voltage_volt", "V", "the lowest cell of a pack", "", -10.0, 10.0),
    Quantity("highest_cell_voltage_volt", "V", "the highest cell of a pack", "", -10.0, 10.0),
    Quantity("lowest_temperature_celsius", "°C", "the coldest sensor of a pack", "", -90.0, 1200.0),
    Quantity(
        "highest_temperature_celsius", "°C", "the hottest sensor of a pack", "", -90.0, 1200.0
    ),
    Quantity("charge_limit_ampere", "A", "highest current that may charge now", "", 0.0),
    Quantity("discharge_limit_ampere", "A", "highest current that may discharge now", "", 0.0),
    Quantity("high_charge_current_ampere", "A", "limit of the charging current", "", 0.0),
    Quantity("high_discharge_current_ampere", "A", "limit of the discharging current", "", 0.0),
    Quantity("charge_voltage_volt", "V", "what a charger is asked to hold", "", 0.0),
    Quantity("charge_current_ampere", "A", "what a charger is asked to give", "", 0.0),
    Quantity("cooling_fraction", "1", "cooling asked for, of the highest", "", 0.0, 1.0),
    Quantity("link_voltage_volt", "V", "voltage behind the contactors", "", -10.0, 2000.0),
    Quantity("second_current_ampere", "A", "a redundant current sensor", "", -10_000.0, 10_000.0),
    Quantity("second_cell_voltage_volt", "V", "a redundant cell monitor", "", -10.0, 10.0),
    Quantity("coolant_temperature_celsius", "°C", "temperature of the coolant", "", -90.0, 1200.0),
    Quantity("insulation_ohm", "Ω", "insulation of the pack against its case", "", 0.0),
    Quantity("gas_fraction", "1", "vent gas in the air around the cells", "", 0.0, 1.0),
    Quantity("clock_error_second", "s", "wall clock less its time source"),
    Quantity("reference_volt", "V", "a monitor's second reference, read with the first", "", 0.0),
    Quantity("age_second", "s", "time since a reading was good", "", 0.0),
    Quantity("frame_error_count", "1", "refused frames of a monitor in a cycle", "", 0.0),
    Quantity("balancing_count", "1", "cells that are being drained", "", 0.0),
)

QUANTITIES: Final = MappingProxyType(
    {row.name: row for row in (*_TABLE, *_SUMMED, *_FEATURES, *_TOLD)}
)


def quantity(name: str) -> Quantity:
    """The row of the table for a name.

    Raises:
        KeyError: no such quantity; add a row before you store or send it.
    """
    return QUANTITIES[name]

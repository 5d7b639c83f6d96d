"""What is told of a pack over MQTT: one table of metrics for Sparkplug and Home Assistant."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cellwarden.edge.outputs.view import PackView

__all__ = ["Metric", "Value", "metrics_of", "values_of"]

Value = float | bool | str | None


@dataclass(frozen=True, slots=True)
class Metric:
    """A name that ends in its unit, how it is read, and how Home Assistant shows it.

    `shown_unit` and `factor` are for screens only; `device_class` and `state_class` are its words.
    """

    name: str
    read: Callable[[PackView], Value]
    unit: str = ""
    shown_unit: str = ""
    factor: float = 1.0
    device_class: str = ""
    title: str = ""


def _number(read: Callable[[PackView], float]) -> Callable[[PackView], Value]:
    def told(view: PackView) -> Value:
        value = read(view)
        return value if math.isfinite(value) else None

    return told


def _allowed(name: str) -> Callable[[PackView], Value]:
    def told(view: PackView) -> Value:
        return None if view.allowance is None else float(getattr(view.allowance, name))

    return told


def _why(name: str) -> Callable[[PackView], Value]:
    def told(view: PackView) -> Value:
        if view.allowance is None:
            return None
        return ", ".join(restraint.name for restraint in getattr(view.allowance, name))

    return told


_TABLE: Final = (
    Metric(
        "voltage_volt",
        _number(lambda view: view.frame.voltage_volt),
        "V",
        device_class="voltage",
        title="Voltage",
    ),
    Metric(
        "current_ampere",
        _number(lambda view: view.frame.current_ampere),
        "A",
        device_class="current",
        title="Current (positive charges)",
    ),
    Metric(
        "power_watt",
        _number(lambda view: view.power_watt),
        "W",
        device_class="power",
        title="Power (positive charges)",
    ),
    Metric(
        "soc_fraction",
        _number(lambda view: view.soc_fraction),
        "1",
        "%",
        100.0,
        "battery",
        "State of charge",
    ),
    Metric(
        "soc_std_fraction",
        _number(lambda view: view.soc_std_fraction),
        "1",
        "%",
        100.0,
        title="State of charge, standard deviation",
    ),
    Metric(
        "soh_fraction",
        _number(lambda view: view.soh_fraction),
        "1",
        "%",
        100.0,
        title="State of health",
    ),
    Metric(
        "lowest_cell_voltage_volt",
        _number(lambda view: view.lowest_cell_voltage_volt),
        "V",
        device_class="voltage",
        title="Lowest cell",
    ),
    Metric(
        "highest_cell_voltage_volt",
        _number(lambda view: view.highest_cell_voltage_volt),
        "V",
        device_class="voltage",
        title="Highest cell",
    ),
    Metric(
        "lowest_temperature_celsius",
        _number(lambda view: view.lowest_temperature_celsius),
        "°C",
        device_class="temperature",
        title="Coldest sensor",
    ),
    Metric(
        "highest_temperature_celsius",
        _number(lambda view: view.highest_temperature_celsius),
        "°C",
        device_class="temperature",
        title="Hottest sensor",
    ),
    Metric(
        "charge_limit_ampere",
        _allowed("charge_ampere"),
        "A",
        device_class="current",
        title="Charge limit",
    ),
    Metric(
        "discharge_limit_ampere",
        _allowed("discharge_ampere"),
        "A",
        device_class="current",
        title="Discharge limit",
    ),
    Metric("charge_limited_by", _why("charge_by"), title="Charge limited by"),
    Metric("discharge_limited_by", _why("discharge_by"), title="Discharge limited by"),
    Metric("state", lambda view: view.state or None, title="State"),
    Metric("contactors_closed", lambda view: view.contactors_closed, title="Contactors closed"),
    Metric("events", lambda view: ", ".join(sorted(view.events)), title="Events"),
    Metric("balancing_count", lambda view: float(view.balancing_count), title="Cells balancing"),
)


def metrics_of(cell_count: int) -> tuple[Metric, ...]:
    """The table with a row for each cell."""

    def cell(place: int) -> Metric:
        return Metric(
            f"cell_{place + 1}_voltage_volt",
            _number(lambda view: float(view.frame.cell_voltage_volt[place])),
            "V",
            device_class="voltage",
            title=f"Cell {place + 1}",
        )

    return (*_TABLE, *(cell(place) for place in range(cell_count)))


def values_of(view: PackView) -> tuple[Value, ...]:
    """What the rows read of a view; None where nothing is known."""
    return tuple(row.read(view) for row in metrics_of(len(view.frame.cell_voltage_volt)))

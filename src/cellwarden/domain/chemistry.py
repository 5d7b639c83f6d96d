"""What a chemistry is: its voltages and temperatures, each constant with its source."""

from dataclasses import dataclass

__all__ = ["Chemistry"]


@dataclass(frozen=True, slots=True)
class Chemistry:
    """A cathode and anode pair; constants are typical of commercial cells, not of one product.

    `ocv_soc_fraction` / `ocv_volt` is the open-circuit voltage at 25 °C on a grid of state of
    charge, rising. `sources` gives, for each field, where its number comes from.
    """

    name: str
    nominal_voltage_volt: float
    low_voltage_volt: float
    high_voltage_volt: float
    low_charge_temperature_celsius: float
    high_charge_temperature_celsius: float
    low_discharge_temperature_celsius: float
    high_discharge_temperature_celsius: float
    ocv_soc_fraction: tuple[float, ...]
    ocv_volt: tuple[float, ...]
    sources: tuple[tuple[str, str], ...]

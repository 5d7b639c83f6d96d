"""What the vehicle, the inverter or a person asks of a pack."""

from enum import StrEnum

__all__ = ["Request"]


class Request(StrEnum):
    """What the pack should do; it does so when it is safe to."""

    STANDBY = "standby"  # contactors open, awake
    CONNECT = "connect"  # serve a load, charging by it allowed
    CHARGE = "charge"  # serve a charger
    BALANCE = "balance"  # stay open and level the cells
    SERVICE = "service"  # stay open for a technician
    RESET = "reset"  # an operator has seen to the latched faults

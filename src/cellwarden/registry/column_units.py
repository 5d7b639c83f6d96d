"""The units of the columns of public tables, whose names do not say them."""

import re
from typing import Final

__all__ = ["unit_of"]

_LATER: Final = r"(?P<later>_(?:smooth|since_start|recent|long|so_far))?"
# A name, the unit where it was measured, and whether its past enters as a logarithm.
_UNITS: Final = (
    (r"voltage_(?:mean|std)", "V", False),
    (r"current_(?:mean|std)", "A", False),
    (r"(?:cc|cv)_q", "Ah", True),
    (r"(?:cc|cv)_charge_time", "s", True),
    (r"(?:voltage|current)_(?:kurtosis|skewness|slope|entropy)", "as the table has it", False),
    (r"U\d+", "V", False),
    (r"step_\d+_\d+_volt", "V", False),
    (r"step_\d+_\d+_log_volt", "log V", False),
    (r"Z(?:Real|Imag)_.*Hz", "ohm", False),
    (r"soc_pct", "%", False),
    (r"cycle_count", "cycles", False),
)  # fmt: skip
_ENDS: Final = (
    ("_celsius", "°C"),
    ("_log10_ah2", "log10 Ah²"),
    ("_log10_ah", "log10 Ah"),
    ("_log10_ratio", "log10"),
    ("_ratio", "1"),
    ("_ah", "Ah"),
    ("_volt", "V"),
)


def unit_of(column: str) -> str:
    """The unit of a column by its name; empty where it is not known. [text]"""
    for pattern, unit, shares in _UNITS:
        if found := re.fullmatch(pattern + _LATER, column):
            return f"log {unit}" if shares and found["later"] else unit
    return next((unit for end, unit in _ENDS if column.endswith(end)), "")

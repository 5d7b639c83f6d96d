"""A pack: equal cells in series and parallel, known by a name."""

import re
from dataclasses import dataclass
from typing import Final

from cellwarden.domain.cell import Cell
from cellwarden.errors import UsageError

__all__ = ["DEVICE_NAME", "Pack", "check_name"]

DEVICE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def check_name(name: str) -> str:
    """The name of a device, once it is known to be one.

    Raises:
        UsageError: not 1 to 63 letters, digits, dots, dashes or underscores.
    """
    if not DEVICE_NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a device",
            hint="Use 1 to 63 letters, digits, dots, dashes or underscores; begin with a letter"
            " or a digit.",
        )
    return name


@dataclass(frozen=True, slots=True)
class Pack:
    """`series_count` groups of `parallel_count` cells each."""

    name: str
    cell: Cell
    series_count: int = 1
    parallel_count: int = 1

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.series_count < 1 or self.parallel_count < 1:
            raise UsageError("a pack has at least one cell", hint="Give counts of 1 or more.")

    @property
    def nominal_capacity_ah(self) -> float:
        """Capacity of the pack on its label. [Ah]"""
        return self.cell.nominal_capacity_ah * self.parallel_count

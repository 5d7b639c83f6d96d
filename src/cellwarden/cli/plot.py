"""`plot`: one picture from one file, in one command."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cellwarden.domain import Series, Table
from cellwarden.errors import DataError, UsageError
from cellwarden.features.curves import Direction, branches
from cellwarden.features.numbering import number_cycles
from cellwarden.features.summary import cycle_table
from cellwarden.plots import fade, fan, histogram, incremental, nyquist, sweeps, write
from cellwarden.readers import load

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PICTURES", "Wish", "named_cycles", "plot_command"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to see of a file."""

    direction: Direction = "discharge"
    cycles: tuple[int, ...] = ()
    column: str = "voltage_volt"
    nominal_capacity_ah: float | None = None


def named_cycles(text: str) -> tuple[int, ...]:
    """Cycle numbers from a list with commas.

    Raises:
        UsageError: something in it is no number.
    """
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise UsageError(f"cycles are {text!r}", hint="Write them as 1,100,500.") from None


def plot_command(picture: str, file: Path, out: Path | None, wish: Wish) -> Path:
    """Draw a picture of a file and write it; without `out`, beside where one stands.

    Raises:
        UsageError: there is no such picture or file.
        DataError: the file does not hold what the picture shows.
    """
    draw = PICTURES.get(picture)
    if draw is None:
        raise UsageError(
            f"there is no picture {picture!r}", hint=f"There are {', '.join(PICTURES)}."
        )
    target = out or Path(f"{file.name.split('.')[0]}-{picture}.png")
    write(draw(load(file), wish), target)
    return target


def _series(held: Series | Table, what: str) -> Series:
    if isinstance(held, Series):
        return held
    raise DataError(
        f"{held.source or held.name}: {held.kind}, where {what} needs a record in time",
        hint="Open a file with time, voltage and current.",
    )


def _fan(held: Series | Table, wish: Wish) -> "Figure":
    series = number_cycles(_series(held, "a fan"))
    return fan(series.name, branches(series, wish.direction), wish.cycles)


def _incremental(held: Series | Table, wish: Wish) -> "Figure":
    series = number_cycles(_series(held, "dQ/dV"))
    return incremental(series.name, branches(series, wish.direction), wish.cycles)


def _fade(held: Series | Table, wish: Wish) -> "Figure":
    nominal = wish.nominal_capacity_ah
    if isinstance(held, Series):
        return fade(cycle_table(held), nominal or held.nominal_capacity_ah)
    return fade(held, nominal)


def _nyquist(held: Series | Table, _: Wish) -> "Figure":
    if isinstance(held, Series):
        raise DataError(
            f"{held.name}: a record in time, where spectra are needed",
            hint="Open a file that holds impedance at frequencies.",
        )
    return nyquist(held.name, sweeps(held))


def _histogram(held: Series | Table, wish: Wish) -> "Figure":
    return histogram(held, wish.column)


PICTURES: Final[dict[str, Callable[[Series | Table, Wish], "Figure"]]] = {
    "fan": _fan,
    "fade": _fade,
    "dqdv": _incremental,
    "nyquist": _nyquist,
    "histogram": _histogram,
}

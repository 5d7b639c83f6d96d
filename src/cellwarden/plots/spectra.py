"""Impedance in the complex plane, the way that every electrochemist draws it."""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from cellwarden.domain import Table
from cellwarden.errors import DataError
from cellwarden.plots.style import blank, name_ramp, ramp

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Sweep", "nyquist", "sweeps"]

_MOST_SPECTRA: Final = 24  # more than these run together
_LEAST_POINTS: Final = 3
_USUAL_PERCENT: Final = (1.0, 99.0)
_FAR_TIMES: Final = 3.0
_MILLI_BELOW_OHM: Final = 0.5
_REAL: Final = re.compile(r"^(z|impedance|zrect)?_?re(al)?(_?z)?(_ohm)?$|^re\(z\)", re.IGNORECASE)
_IMAGINARY: Final = re.compile(
    r"^(z|impedance|zrect)?_?im(ag(inary)?)?(_?z)?(_ohm)?$|^-?im\(z\)", re.IGNORECASE
)
_FREQUENCY: Final = re.compile(r"^f(req(uency)?)?[\s_/(]*(hz|hertz)?\)?$", re.IGNORECASE)
_WIDE: Final = re.compile(r"^z(?P<part>re|im)[a-z]*_(?P<hertz>[\d.e+-]+)hz$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """One spectrum as it was measured, point after point; the frequency is NaN where none is known.

    Positive imaginary part is inductive.
    """

    frequency_hertz: np.ndarray
    impedance_ohm: np.ndarray


def sweeps(table: Table) -> list[Sweep]:
    """The spectra of a table: a row each with a column a frequency, or a row a point. [Hz, Ω]

    A long table's spectrum ends where its frequency, or its counter of points, turns back. The
    sign of the imaginary part is told by the numbers: most of a cell's spectrum is capacitive.

    Raises:
        DataError: the table holds no spectra.
    """
    found = _wide(table) or _long(table)
    found = [one for one in found if len(one.impedance_ohm) >= _LEAST_POINTS]
    if not found:
        raise DataError(
            f"{table.name}: no spectra among {', '.join(list(table)[:12])}",
            hint="Open a file with real and imaginary impedance.",
        )
    together = np.concatenate([one.impedance_ohm.imag for one in found])
    if np.median(together) > 0:
        found = [Sweep(one.frequency_hertz, one.impedance_ohm.conj()) for one in found]
    return found


def _wide(table: Table) -> list[Sweep]:
    parts: dict[str, dict[float, np.ndarray]] = {"re": {}, "im": {}}
    for name in table:
        match = _WIDE.match(name)
        if match:
            parts[match["part"].lower()][float(match["hertz"])] = table[name]
    both = sorted(set(parts["re"]) & set(parts["im"]), reverse=True)
    if not both:
        return []
    z = np.array([parts["re"][f] + 1j * parts["im"][f] for f in both]).T
    return [Sweep(np.array(both), row) for row in z]


def _long(table: Table) -> list[Sweep]:
    real, imaginary, frequency = (
        next((name for name in table if pattern.match(name)), None)
        for pattern in (_REAL, _IMAGINARY, _FREQUENCY)
    )
    if real is None or imaginary is None:
        return []
    z = np.asarray(table[real], dtype=float) + 1j * np.asarray(table[imaginary], dtype=float)
    counter = frequency or next((name for name in table if name.lower() == "point"), None)
    order = np.arange(len(table)) if counter is None else np.asarray(table[counter], dtype=float)
    hertz = np.full(len(table), np.nan) if frequency is None else order
    return [
        Sweep(hertz[piece][known], z[piece][known])
        for piece in _pieces(order)
        if (known := np.isfinite(z[piece])).any()
    ]


def _pieces(order: np.ndarray) -> list[slice]:
    """One slice a sweep: it goes one way and begins anew when it jumps back."""
    step = np.sign(np.diff(order))
    way = 1.0 if np.count_nonzero(step > 0) > np.count_nonzero(step < 0) else -1.0
    edges = [0, *(np.flatnonzero(step == -way) + 1).tolist(), len(order)]
    return [slice(a, b) for a, b in pairwise(edges) if b > a]


def nyquist(name: str, taken: list[Sweep]) -> "Figure":
    """Spectra, -Im over Re, the earliest dark, decades of frequency marked. [Ω]

    At most 24, evenly chosen, are drawn.

    Raises:
        DataError: there are none.
        UsageError: matplotlib is not installed.
    """
    if not taken:
        raise DataError(f"{name}: no spectra", hint="Open a file that holds impedance.")
    shown = [taken[at] for at in _evenly(len(taken))]
    middle = float(np.median(np.abs(np.concatenate([one.impedance_ohm for one in shown]))))
    unit, factor = ("mΩ", 1e3) if middle < _MILLI_BELOW_OHM else ("Ω", 1.0)
    many = f"{len(taken)} spectra" if len(taken) > 1 else "one spectrum"
    drawn = f", {len(shown)} drawn" if len(shown) < len(taken) else ""
    known = np.isfinite(shown[0].frequency_hertz).any()
    note = f"{many}{drawn}" + ("; dots at decades of frequency" if known else "")
    figure, axes = blank(name, f"Re Z / {unit}", f"-Im Z / {unit}", note=note, square=True)
    for at, one in enumerate(shown):
        colour = ramp(at / max(len(shown) - 1, 1))
        x, y = factor * one.impedance_ohm.real, -factor * one.impedance_ohm.imag
        axes.plot(x, y, "-", color=colour, linewidth=1.1)
        decade = _decades(one.frequency_hertz)
        axes.plot(x[decade], y[decade], "o", color=colour, markersize=3.2)
        if len(shown) == 1:
            _name_decades(axes, one.frequency_hertz, x, y)
    _keep_in_view(axes, factor * np.concatenate([one.impedance_ohm.conj() for one in shown]))
    name_ramp(figure, axes, "spectrum", 1.0, float(len(taken)))
    return figure


def _keep_in_view(axes: "Axes", z: np.ndarray) -> None:
    """A few broken points must not make the rest small."""
    limits = []
    for part in (z.real, z.imag):
        low, high = np.percentile(part, _USUAL_PERCENT)
        air = 0.15 * (high - low)
        limits.append((max(part.min(), low - air), min(part.max(), high + air)))
    if any(
        np.ptp(part) > _FAR_TIMES * (high - low)
        for part, (low, high) in zip((z.real, z.imag), limits, strict=True)
    ):
        axes.set_aspect("equal", adjustable="box")
        axes.set_xlim(limits[0])
        axes.set_ylim(limits[1])


def _evenly(count: int) -> list[int]:
    return sorted(set(np.linspace(0, count - 1, min(count, _MOST_SPECTRA)).round().astype(int)))


def _decades(frequency: np.ndarray) -> np.ndarray:
    """The point nearest to each whole decade inside the sweep. [1]"""
    if not np.all(frequency > 0):
        return np.empty(0, dtype=int)
    logged = np.log10(frequency)
    whole = np.arange(np.ceil(logged.min() - 0.01), np.floor(logged.max() + 0.01) + 1)
    return np.array(sorted({int(np.abs(logged - ten).argmin()) for ten in whole}), dtype=int)


def _name_decades(axes: "Axes", frequency: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    for at in _decades(frequency):
        value = frequency[at]
        text = f"{value / 1e3:.3g} kHz" if value >= 1e3 else f"{value:.3g} Hz"  # noqa: PLR2004  a kilohertz
        axes.annotate(text, (x[at], y[at]), xytext=(4, 5), textcoords="offset points", fontsize=7.5)

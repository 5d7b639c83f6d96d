"""Pictures that a battery person expects, from values; the `plot` extra brings matplotlib."""

from cellwarden.plots.comparison import comparison
from cellwarden.plots.fade import fade
from cellwarden.plots.fan import fan
from cellwarden.plots.histogram import histogram
from cellwarden.plots.incremental import incremental
from cellwarden.plots.spectra import Sweep, nyquist, sweeps
from cellwarden.plots.style import write

__all__ = [
    "Sweep",
    "comparison",
    "fade",
    "fan",
    "histogram",
    "incremental",
    "nyquist",
    "sweeps",
    "write",
]

"""Intervals that hold for a cell never seen, however the errors are distributed.

Rules
- The cell is what is exchangeable, not the row: rows of one cell share its error.
- Each calibration cell carries the weight 1/(k+1), shared by its rows; the last 1/(k+1) belongs
  to the new cell and is taken as infinite. With fewer cells than `needed_cells` the half-width is
  infinite, so nothing is served.

The guarantee, coverage of a random row of a new cell, is for errors of cells that took no part in
the fit; here each error is of the fit that left its cell out (jackknife), for which it holds up
to how much one cell moves the fit. The card therefore states the coverage found on cells left out
of both.

Source: Y. Lee, R. F. Barber, R. Willett, "Distribution-free inference with hierarchical data",
arXiv 2306.06342; R. F. Barber et al., Ann. Statist. 49, 486 (2021), doi 10.1214/20-AOS1965.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import UsageError

__all__ = ["half_width", "needed_cells"]


def needed_cells(coverage: float) -> int:
    """Fewest calibration cells that can support a coverage. [1]"""
    if not 0 < coverage < 1:
        raise UsageError(
            f"coverage must lie between 0 and 1, not {coverage}", hint="Give for example 0.8."
        )
    # k/(k+1) >= coverage; the small term keeps 0.9 from asking for ten cells by rounding.
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def half_width(errors: Sequence[Float64[np.ndarray, " row"]], coverage: float) -> float:
    """Half-width of the interval, from the errors of each calibration cell. [unit of the errors]"""
    filled = [np.abs(cell) for cell in errors if len(cell)]
    if len(filled) < needed_cells(coverage):
        return math.inf
    size = np.concatenate(filled)
    weight = np.concatenate([np.full(len(c), 1 / (len(filled) + 1) / len(c)) for c in filled])
    order = np.argsort(size, kind="stable")
    enough = np.flatnonzero(np.cumsum(weight[order]) >= coverage - 1e-9)
    return float(size[order][enough[0]])

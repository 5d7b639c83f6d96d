"""Cycle numbers for a record that brought none."""

from dataclasses import replace

import numpy as np

from cellwarden.domain import Series
from cellwarden.features.limits import Limits
from cellwarden.features.summary import cycle_table

__all__ = ["number_cycles"]


def number_cycles(series: Series, limits: Limits | None = None) -> Series:
    """The record with the number of its cycle at each row; one that has numbers stays as it is. [1]

    Cycles are those of `cycle_table`; rows before the first belong to it.
    """
    if series.cycle_count is not None:
        return series
    table = cycle_table(series, limits)
    if len(table) == 0:
        return replace(series, cycle_count=np.ones(len(series), dtype=np.int64))
    place = np.searchsorted(table["start_row_index"], np.arange(len(series)), side="right") - 1
    number = table["cycle_count"][np.maximum(place, 0)]
    return replace(series, cycle_count=number.astype(np.int64))

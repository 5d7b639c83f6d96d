"""A life from the capacity of the first hundred cycles alone, where no curves are kept.

Rules
- A cell has reached its end at the first cycle from which the median of five capacities stays
  below 80 % of nominal; a cell whose record ends before has not failed, and is left out of tests.
- Features are medians and slopes of cycles 2 to 100, and the temperature; nothing later.
"""

from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Table
from cellwarden.errors import DataError
from cellwarden.health.found import Found, marks_of
from cellwarden.health.task import Task

__all__ = ["COLUMNS", "find_fade"]

_NOMINAL_AH: Final = 1.1
_END: Final = 0.8
_SMOOTHED: Final = 5
_EARLY: Final = 100
_ALL: Final = (2, _EARLY)
_LATE: Final = (51, _EARLY)
_SECOND: Final = (2, 4)
_LAST: Final = (96, _EARLY)
COLUMNS: Final = (
    "temperature_celsius",
    "second_capacity_ah",
    "hundredth_capacity_ah",
    "capacity_rise_ah",
    "fade_slope_ah",
    "late_fade_slope_ah",
)


def find_fade(path: Path, table: Table) -> Found:
    """The cells of a table of capacity a cycle, with their lives. [cycles]

    Raises:
        DataError: no cell has a hundred cycles.
    """
    rows, lives, going, cells, curves = [], [], [], [], []
    short: dict[str, str] = {}
    for name in dict.fromkeys(table["cell"].tolist()):
        own = table["cell"] == name
        order = np.argsort(table["cycle"][own], kind="stable")
        cycle = table["cycle"][own][order].astype(np.float64)
        capacity = table["capacity_Ah"][own][order].astype(np.float64)
        end = _end(cycle, capacity)
        last = float(cycle[-1])
        if last < _EARLY or (end is not None and end <= _EARLY):
            short[str(name)] = "no hundred cycles before its end"
            continue
        celsius = float(np.median(table["temperature_C"][own]))
        rows.append(_features(cycle, capacity, celsius))
        lives.append(last if end is None else end)
        going.append(end is None)
        cells.append(str(name))
        curves.append(np.interp(np.arange(2.0, _EARLY + 1), cycle, capacity))
    if not cells:
        raise DataError(f"{path}: no cell has a hundred cycles", hint="Give longer records.")
    task = Task(
        name="life.fade",
        unit="cycles",
        target_name="cycle life",
        protocol="",
        columns=COLUMNS,
        features=np.array(rows),
        target=np.array(lives),
        cell=np.arange(len(cells)),
        cells=tuple(cells),
        folds=(),
        logarithmic=True,
        choices={"temperature": COLUMNS[:1], "capacity": COLUMNS[1:], "both": COLUMNS},
        censored=np.array(going) if any(going) else None,
    )
    taken = {
        "cell": "cell",
        "target": f"cycles until {_END:.0%} of {_NOMINAL_AH:g} Ah",
        "features": f"temperature and capacity of cycles 2 to {_EARLY}",
    }
    marks = marks_of(np.array(curves), np.arange(len(cells)), len(cells))
    return Found(
        task, "life", "fade", str(path), taken, marks, left_out=short, nominal_ah=_NOMINAL_AH
    )


def _end(
    cycle: Float64[np.ndarray, " cycle"], capacity: Float64[np.ndarray, " cycle"]
) -> float | None:
    """The cycle at which the end is reached; None where it is not. [cycles]"""
    half = _SMOOTHED // 2
    padded = np.pad(capacity, half, mode="edge")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, _SMOOTHED), axis=1)
    above = np.flatnonzero(smooth >= _END * _NOMINAL_AH)
    first = int(above[-1]) + 1 if len(above) else 0
    return float(cycle[first]) if first < len(cycle) else None


def _features(
    cycle: Float64[np.ndarray, " cycle"], capacity: Float64[np.ndarray, " cycle"], celsius: float
) -> list[float]:
    early, late, second, last = (
        (cycle >= low) & (cycle <= high) for low, high in (_ALL, _LATE, _SECOND, _LAST)
    )
    start = float(np.median(capacity[second]))
    return [
        celsius,
        start,
        float(np.median(capacity[last])),
        float(capacity[early].max()) - start,
        float(np.polyfit(cycle[early], capacity[early], 1)[0]),
        float(np.polyfit(cycle[late], capacity[late], 1)[0]),
    ]

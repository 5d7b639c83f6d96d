"""What a record shows and a reader leaves as it is: gaps, repeats, clocks that run back."""

from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import quantity

__all__ = ["observe"]

_GAP_SECOND: Final = 3600.0
_GAP_STEPS: Final = 100.0  # a slow logger's step is no gap
_CLOCK_SLACK: Final = 0.01  # two clocks part by this fraction before it is worth a word
_CLOCK_SLACK_SECOND: Final = 120.0
_YEAR_SECOND: Final = 31_557_600.0
_LONGEST_YEARS: Final = 10.0  # longer than any cell was cycled
_CLOCKS: Final = (("test_time_second", "test time"), ("unix_time_second", "clock"))

_Column = Float64[np.ndarray, " time"]


def observe(columns: dict[str, _Column]) -> list[str]:
    """One sentence for each thing that is odd; rows count from 1."""
    found = [
        sentence
        for name, title in _CLOCKS
        if name in columns
        for sentence in _clock(columns[name], title)
    ]
    # Two clocks see the same gap; the test's own is the finer.
    gaps = _gaps(columns["test_time_second"], "test time")
    found += gaps or _gaps(columns.get("unix_time_second", np.zeros(0)), "clock")
    found += _clocks_apart(columns)
    found += _span(columns["test_time_second"])
    for name, column in columns.items():
        missing = int(np.count_nonzero(~np.isfinite(column)))
        if missing:
            found.append(f"{missing} of {len(column)} rows carry no {name}")
        row = quantity(name)
        wild = int(np.count_nonzero((column < row.low) | (column > row.high)))
        if wild:
            found.append(f"{wild} readings of {name} lie outside {row.low:g} to {row.high:g}")
    return found


def _clock(time: _Column, title: str) -> list[str]:
    step = np.diff(time)
    if not step.size:
        return []
    found = []
    back = np.flatnonzero(step < 0)
    if back.size:
        row = int(back[0])
        found.append(
            f"{title} runs backwards {_times(back.size)}, first from row {row + 1} to {row + 2}"
            f" ({time[row]:.10g} s, then {time[row + 1]:.10g} s)"
        )
    same = int(np.count_nonzero(step == 0))
    if same:
        found.append(f"{title} stands still {_times(same)}: a row has the time of the row before")
    return found


def _gaps(time: _Column, title: str) -> list[str]:
    step = np.diff(time)
    ahead = step[step > 0]
    if not ahead.size:
        return []
    limit = max(_GAP_SECOND, _GAP_STEPS * float(np.median(ahead)))
    gaps = np.flatnonzero(step > limit)
    if not gaps.size:
        return []
    longest = int(gaps[np.argmax(step[gaps])])
    many = "s" if gaps.size > 1 else ""
    return [
        (
            f"{title} has {gaps.size} gap{many} over {limit:.0f} s,"
            f" the longest {step[longest]:.0f} s after row {longest + 1}"
        )
    ]


def _span(time: _Column) -> list[str]:
    years = (float(np.nanmax(time)) - float(np.nanmin(time))) / _YEAR_SECOND
    if years <= _LONGEST_YEARS:
        return []
    return [f"test time spans {years:.1f} years: its unit may be another than stated"]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _clocks_apart(columns: dict[str, _Column]) -> list[str]:
    time, clock = columns["test_time_second"], columns.get("unix_time_second")
    if clock is None:
        return []
    both = np.flatnonzero(np.isfinite(time) & np.isfinite(clock))
    if not both.size:
        return []
    spans = [float(values[both[-1]] - values[both[0]]) for values in (time, clock)]
    apart = abs(spans[0] - spans[1])
    if apart <= max(_CLOCK_SLACK_SECOND, _CLOCK_SLACK * max(map(abs, spans))):
        return []
    return [f"test time spans {spans[0]:.0f} s where the clock spans {spans[1]:.0f} s"]

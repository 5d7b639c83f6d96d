"""A battery's readings over time, thinned so that no peak is lost.

Rules
- Where more rows were measured than points were asked for, time is cut into equal buckets; each
  gives its lowest and its highest reading, in the order in which they occurred.
- A bucket without rows gives no point; where the record pauses, a point of nulls says so.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cellwarden.errors import UsageError
from cellwarden.hub.contract import Signals
from cellwarden.hub.store import Store

__all__ = ["read_signals"]

_BOTH: Final = ("voltage_volt", "current_ampere", "soc_fraction")
_LOW: Final = ("cell_voltage_low_volt", "cell_temperature_low_celsius")
_HIGH: Final = ("cell_voltage_high_volt", "cell_temperature_high_celsius")
_PAUSE: Final = 10.0  # times the usual distance of points
_LISTS: Final = {"volt": "cell_voltage", "celsius": "cell_temperature"}


@dataclass(frozen=True, slots=True)
class _Span:
    """Where the rows are: leaves, and seconds within what was asked for."""

    first_leaf: int
    last_leaf: int
    start: float
    stop: float
    frame_count: int


def read_signals(
    store: Store, device: str, start: float | None, stop: float | None, points: int
) -> Signals:
    """At most about `points` points of a device between two times.

    Raises:
        UsageError: the times are not in order.
    """
    if start is not None and stop is not None and start > stop:
        raise UsageError("start lies behind stop", hint="Swap them.")
    span = _span(store, device, start, stop)
    if span is None:
        return _told({name: np.empty(0) for name in Signals.model_fields})
    if span.frame_count <= points:
        return _told(_with_pauses(_every_row(store, device, span)))
    return _told(_with_pauses(_thinned(store, device, span, max(1, points // 2))))


def _span(store: Store, device: str, start: float | None, stop: float | None) -> _Span | None:
    low = -math.inf if start is None else start
    high = math.inf if stop is None else stop
    first, last, begin, end, count = store.rows(
        "SELECT min(leaf_index), max(leaf_index), min(first_unix_time_second),"
        " max(last_unix_time_second), sum(frame_count)::BIGINT FROM batch"
        " WHERE device = ? AND last_unix_time_second >= ? AND first_unix_time_second <= ?",
        [device, low, high],
    )[0]
    return None if first is None else _Span(first, last, max(low, begin), min(high, end), count)


def _lowest(name: str) -> str:
    unit = name.rsplit("_", 1)[1]
    return f"nullif(list_min({_LISTS[unit]}_{unit}), 'nan'::FLOAT)"


def _highest(name: str) -> str:
    unit = name.rsplit("_", 1)[1]  # NaN counts as the largest number in SQL
    return f"list_max(list_filter({_LISTS[unit]}_{unit}, lambda x: NOT isnan(x)))"


def _picked(extra: str = "") -> str:
    columns = (
        *(f"nullif({name}, 'nan'::FLOAT) AS {name}" for name in _BOTH),
        *(f"{_lowest(name)} AS {name}" for name in _LOW),
        *(f"{_highest(name)} AS {name}" for name in _HIGH),
    )
    return (
        f"SELECT {extra} leaf_index, frame_index, unix_time_second, {', '.join(columns)}"
        " FROM sample WHERE device = ? AND leaf_index BETWEEN ? AND ?"
        " AND unix_time_second BETWEEN ? AND ?"
    )


def _every_row(store: Store, device: str, span: _Span) -> dict[str, np.ndarray]:
    found = store.columns(
        f"SELECT * EXCLUDE (leaf_index, frame_index) FROM ({_picked()})"
        " ORDER BY unix_time_second, leaf_index, frame_index",
        [device, span.first_leaf, span.last_leaf, span.start, span.stop],
    )
    return {name: _plain(column) for name, column in found.items()}


def _thinned(store: Store, device: str, span: _Span, bucket_count: int) -> dict[str, np.ndarray]:
    width = max((span.stop - span.start) / bucket_count, 1e-9)
    bucket = "least(floor((unix_time_second - ?) / ?)::BIGINT, ?) AS bucket,"
    told = [
        *(
            f"min({name}) AS low_{name}, max({name}) AS high_{name},"
            f" arg_min(unix_time_second, {name}) <= arg_max(unix_time_second, {name})"
            f" AS rising_{name}"
            for name in _BOTH
        ),
        *(f"min({name}) AS {name}" for name in _LOW),
        *(f"max({name}) AS {name}" for name in _HIGH),
    ]
    found = store.columns(
        "SELECT min(unix_time_second) AS first, max(unix_time_second) AS last,"
        f" {', '.join(told)} FROM ({_picked(bucket)}) GROUP BY bucket ORDER BY bucket",
        [
            *(span.start, width, bucket_count - 1),
            *(device, span.first_leaf, span.last_leaf, span.start, span.stop),
        ],
    )
    return _unfold(found)


def _unfold(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Two points a bucket, one where it holds a single moment."""
    first, last = found["first"], found["last"]
    kept = np.column_stack([np.ones(len(first), dtype=bool), last > first]).reshape(-1)
    points = {"unix_time_second": np.column_stack([first, last]).reshape(-1)[kept]}
    for name in _BOTH:
        low, high = _plain(found[f"low_{name}"]), _plain(found[f"high_{name}"])
        rising = np.ma.filled(found[f"rising_{name}"], fill_value=True)
        pair = np.column_stack([np.where(rising, low, high), np.where(rising, high, low)])
        points[name] = pair.reshape(-1)[kept]
    for name in (*_LOW, *_HIGH):
        points[name] = np.repeat(_plain(found[name]), 2)[kept]
    return points


def _plain(column: np.ndarray) -> np.ndarray:
    plain: np.ndarray = np.ma.filled(column.astype(np.float64), np.nan)
    return plain


def _with_pauses(points: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    times = points["unix_time_second"]
    if len(times) < 3:  # noqa: PLR2004  no usual distance
        return points
    distance = np.diff(times)
    pauses = np.flatnonzero(distance > _PAUSE * _usual(distance)) + 1
    return {
        name: np.insert(column, pauses, _middle(times, pauses) if column is times else np.nan)
        for name, column in points.items()
    }


def _usual(distance: np.ndarray) -> float:
    moving = distance[distance > 0]
    return float(np.median(moving)) if len(moving) else math.inf


def _middle(times: np.ndarray, pauses: np.ndarray) -> np.ndarray:
    middle: np.ndarray = (times[pauses - 1] + times[pauses]) / 2
    return middle


def _told(points: dict[str, np.ndarray]) -> Signals:
    lines: dict[str, Any] = {name: column.tolist() for name, column in points.items()}
    return Signals.model_construct(**lines)

"""How each cell of a pack answers a step of the current: its impedance, seen from outside.

Rules
- An edge is a change of the current of at least `edge_ampere` between two frames at most
  `longest_period_second` apart. The step of a cell's voltage over it is its ohmic answer; what the
  voltage moves on within `hold_second` under a current that holds still is its slow answer:
  polarisation after the load comes on, relaxation after it goes off.
- Only edges whose current then holds within `steady_fraction` of the step for the whole of
  `hold_second` count; a frame with a missing reading spoils its edge for that cell alone.
- The answer is the mean of the logarithms over the edges, and how many there were. Logarithms,
  because a resistance changes by a share of itself.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cellwarden.domain import Frames
from cellwarden.errors import UsageError

__all__ = ["ANSWERS", "Edges", "Response", "answer_edges", "find_edges", "open_tail"]

ANSWERS: Final = ("ohmic_on", "polarisation", "ohmic_off", "relaxation")
_SMALLEST_OHM: Final = 1e-7
_SAME_SECOND: Final = 1e-6  # clocks are not counted finer


@dataclass(frozen=True, slots=True)
class Response:
    """Mean logarithm of each resistance of each cell, and from how many edges. [log Ω]"""

    log_ohm: Float64[np.ndarray, "cell answer"]
    edge_count: Int64[np.ndarray, " answer"]


@dataclass(frozen=True, slots=True)
class Edges:
    """Whether the load came on, and the ohmic and the slow answer of each cell. [1, Ω]"""

    loaded: Bool[np.ndarray, " edge"]
    ohm: Float64[np.ndarray, "edge cell 2"]


def find_edges(
    frames: Frames,
    *,
    edge_ampere: float,
    hold_second: float = 10.0,
    steady_fraction: float = 0.1,
    longest_period_second: float = 2.0,
) -> Edges:
    """The edges of the current that were held, one by one.

    Raises:
        UsageError: no step or no time to hold.
    """
    if edge_ampere <= 0.0 or hold_second <= 0.0:
        raise UsageError("an edge needs a size and a time", hint="Give both above zero.")
    time = frames.unix_time_second
    ampere = frames.current_ampere.astype(np.float64)
    volt = frames.cell_voltage_volt.astype(np.float64)
    jump = np.diff(ampere)
    edges = np.flatnonzero((np.abs(jump) >= edge_ampere) & (np.diff(time) <= longest_period_second))
    loaded: list[bool] = []
    found: list[np.ndarray] = []
    for before in edges:
        stop = int(np.searchsorted(time, time[before + 1] + hold_second - _SAME_SECOND))
        if stop >= len(time):
            break
        held = ampere[before + 1 : stop + 1]
        step = jump[before]
        late = time[stop] - time[before + 1] - hold_second
        if late > longest_period_second:
            continue  # nobody looked while it was held
        if np.any(~(np.abs(held - held[0]) <= steady_fraction * abs(step))):
            continue
        ohmic = (volt[before + 1] - volt[before]) / step
        slow = (volt[stop] - volt[before + 1]) / step
        loaded.append(bool(abs(ampere[before + 1]) > abs(ampere[before])))
        found.append(np.stack([ohmic, slow], axis=-1))
    ohm = np.stack(found) if found else np.empty((0, volt.shape[1], 2))
    return Edges(np.array(loaded, dtype=np.bool_), ohm)


def open_tail(frames: Frames, hold_second: float = 10.0) -> Frames:
    """The last frames, whose edges cannot be judged before what comes next is known."""
    time = frames.unix_time_second
    if not len(time):
        return frames
    first = int(np.searchsorted(time, time[-1] - hold_second + _SAME_SECOND, side="right"))
    return frames.rows(max(first - 1, 0), len(time))


def answer_edges(
    frames: Frames,
    *,
    edge_ampere: float,
    hold_second: float = 10.0,
    steady_fraction: float = 0.1,
    longest_period_second: float = 2.0,
) -> Response | None:
    """What the edges of the current tell of each cell; None without one of each kind.

    Raises:
        UsageError: no step or no time to hold.
    """
    found = find_edges(
        frames,
        edge_ampere=edge_ampere,
        hold_second=hold_second,
        steady_fraction=steady_fraction,
        longest_period_second=longest_period_second,
    )
    on, off = int(found.loaded.sum()), int((~found.loaded).sum())
    if not (on and off):
        return None
    parts = [_mean_log(found.ohm[found.loaded]), _mean_log(found.ohm[~found.loaded])]
    return Response(np.concatenate(parts, axis=1), np.array([on, on, off, off], dtype=np.int64))


def _mean_log(ohm: Float64[np.ndarray, "edge cell answer"]) -> Float64[np.ndarray, "cell answer"]:
    """Logarithm of the mean; a resistance that is not above zero is none."""
    known = np.isfinite(ohm)
    count = known.sum(axis=0)
    total = np.where(known, ohm, 0.0).sum(axis=0)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    logs: Float64[np.ndarray, "cell answer"] = np.full(mean.shape, np.nan)
    np.log(mean, out=logs, where=mean > _SMALLEST_OHM)
    return logs

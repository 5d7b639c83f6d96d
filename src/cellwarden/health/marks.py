"""Knowing a training cell again, so that it is assessed by the fit that never saw it.

Each charge of a training cell leaves a mark: eight bytes of SHA-256 over its first voltages at
0.1 mV. A record matches wherever it begins and whatever is missing elsewhere, as long as one
charge is there as it was sampled; a record sampled anew at another pace does not match.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Final

import numpy as np

from cellwarden.features import Runs, Samples

__all__ = ["MARK_BYTES", "marks", "recognise"]

MARK_BYTES: Final = 8
_ROW_COUNT: Final = 32  # of a charge; enough that no two charges agree by chance


def marks(taken: Samples, runs: Runs) -> list[bytes]:
    """One mark a charge that is long enough to have one. [bytes]"""
    # Single precision first, because that is what a device sends and the store keeps.
    level = np.rint(taken.voltage_volt.astype(np.float32).astype(np.float64) * 1e4).astype("<i4")
    starts = runs.start[runs.charges & (runs.stop - runs.start >= _ROW_COUNT)]
    return [
        hashlib.sha256(level[start : start + _ROW_COUNT].tobytes()).digest()[:MARK_BYTES]
        for start in starts
    ]


def recognise(taken: Samples, runs: Runs, known: Mapping[bytes, str]) -> str | None:
    """The training cell that a record comes from, or None."""
    seen = Counter(known[mark] for mark in marks(taken, runs) if mark in known)
    return min(seen, key=lambda name: (-seen[name], name)) if seen else None

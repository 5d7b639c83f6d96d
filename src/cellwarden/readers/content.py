"""Which kind of table columns make, told by their names, their types and how often values repeat.

Rules
- The first kind whose test holds is taken, in the order of `_TESTS`; what none claims is `facts`.
- Names are compared in lower case, taken apart at every sign that is no letter or digit.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from cellwarden.domain import Remark

__all__ = ["kind_of", "overshoots"]

_Columns = Mapping[str, np.ndarray]

_IMPEDANCE: Final = re.compile(r"^z(re|im|real|imag|mod|mag|phz|rect)?[a-z0-9]*$|impedance")
_LEAST_SPECTRAL: Final = 2
_SPECTRAL_SHARE: Final = 0.25  # of the columns: a record may have an impedance beside it
_LIVES: Final = re.compile(
    r"(cycle[a-z]*life|eol|endoflife|rul|remaininguseful[a-z]*|label|target)"
)
_CYCLE: Final = {"cycle", "cycleindex", "cyclenumber", "cyclecount", "cycleid"}
_TIMES: Final = re.compile(
    r"^(t|time|timestamp|date|datetime|hour|hourindex|hourofyear|testtime|unixtime|elapsedtime"
    r"|runningtime|timestep|seconds)(s|h|min|sec|hours|second|seconds|hour|ms)?$"
)
_STATISTICS: Final = {"mean", "std", "kurtosis", "skewness", "slope", "entropy", "var", "median"}
_LEAST_STATISTICS: Final = 3
_NUMBERED: Final = re.compile(r"^([a-z]+)\d+$")
_LEAST_NUMBERED: Final = 8
_WAYS: Final = {"charge", "discharge", "rest", "cha", "dis", "dchg", "chg", "impedance"}
_MOST_WORDS: Final = 12
_FAR: Final = 1.0  # usual spans of a curve beyond which no other curve goes


def kind_of(columns: _Columns) -> str:
    """The kind of table, a key of `TABLE_KINDS`."""
    if not columns:
        return "facts"
    return next((kind for kind, test in _TESTS if test(columns)), "facts")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))


def _spectra(columns: _Columns) -> bool:
    found = sum(any(_IMPEDANCE.search(word) for word in _words(name)) for name in columns)
    return found >= _LEAST_SPECTRAL and found >= _SPECTRAL_SHARE * len(columns)


def _curves(columns: _Columns) -> bool:
    return any(column.ndim > 1 for column in columns.values())


def _features(columns: _Columns) -> bool:
    words = [_words(name) for name in columns]
    if sum(bool(word & _STATISTICS) for word in words) >= _LEAST_STATISTICS:
        return len({tuple(sorted(w & _STATISTICS)) for w in words if w & _STATISTICS}) > 1
    stems = [found[1] for name in columns if (found := _NUMBERED.match(_plain(name)))]
    return any(stems.count(stem) >= _LEAST_NUMBERED for stem in set(stems))


def _labels(columns: _Columns) -> bool:
    return any(_LIVES.fullmatch(_plain(name).removeprefix("predicted")) for name in columns)


def _cycles(columns: _Columns) -> bool:
    """A cycle number that comes once for each cell."""
    cycle = next((column for name, column in columns.items() if _plain(name) in _CYCLE), None)
    if cycle is None or cycle.dtype.kind != "f" or not len(cycle):
        return False
    cells = [
        np.unique(column, return_inverse=True)[1]
        for name, column in columns.items()
        if _words(name) & {"cell", "battery", "id", "name"} and column.ndim == 1
    ]
    keys = np.stack([*cells, np.unique(cycle, return_inverse=True)[1]], axis=1)
    return len(np.unique(keys, axis=0)) == len(cycle)


def _steps(columns: _Columns) -> bool:
    """One row an operation: its kind in a word, and no two rows of one time."""
    for name, column in columns.items():
        if column.dtype.kind == "f" or not _words(name) & {"type", "step", "mode", "operation"}:
            continue
        words = {str(word).strip().lower() for word in np.unique(column.astype(str))}
        if len(words) <= _MOST_WORDS and len(words & _WAYS) > 1:
            return True
    return False


def _signals(columns: _Columns) -> bool:
    """A time that mostly goes on, and numbers beside it."""
    numbers = [name for name, column in columns.items() if column.dtype.kind == "f"]
    for name in numbers:
        words = re.split(r"[^a-z0-9]+", name.lower())
        if _TIMES.match(_plain(name)) or _TIMES.match(words[0]):
            with np.errstate(invalid="ignore", over="ignore"):
                step = np.diff(columns[name])
            rising = np.count_nonzero(step >= 0) > 0.9 * len(step)
            if rising and len(columns[name]) > 1 and len(numbers) > 1:
                return True
    return False


_TESTS: Final[tuple[tuple[str, Callable[[_Columns], bool]], ...]] = (
    ("spectra", _spectra),
    ("curves", _curves),
    ("labels", _labels),
    ("cycles", _cycles),
    ("features", _features),
    ("steps", _steps),
    ("signals", _signals),
)


def overshoots(columns: _Columns) -> tuple[Remark, ...]:
    """Curves that swing far beyond where all the others go, as a spline does between points."""
    found = []
    for name, column in columns.items():
        if column.ndim == 1 or not column.size:
            continue
        low, high = np.fmin.reduce(column, axis=1), np.fmax.reduce(column, axis=1)
        known = np.isfinite(low) & np.isfinite(high)
        if not known.any():
            continue
        usual = (float(np.median(low[known])), float(np.median(high[known])))
        far = _FAR * (usual[1] - usual[0])
        wild = (low < usual[0] - far) | (high > usual[1] + far)
        if wild.any():
            row = int(np.argmax(wild))
            text = (
                f"{np.count_nonzero(wild)} curves of {name} swing beyond the others"
                f" ({usual[0]:.4g} to {usual[1]:.4g}), first row {row + 1}"
                f" ({low[row]:.4g} to {high[row]:.4g})"
            )
            found.append(Remark("overshoot", text, name, int(np.count_nonzero(wild)), row + 1))
    return tuple(found)

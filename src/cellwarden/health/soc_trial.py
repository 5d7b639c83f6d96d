"""A circuit's filter on drives it was not made from, entered late and read through faulty sensors.

Rules
- Every drive is entered once a draw, at a random second of its first six tenths, its charge not
  told; current, voltage gain and shift are drawn once an entry, from the seed, the draw and the
  drive's name, and nothing else.
- The filter gets one row after the other. Errors count from minute 10 on, and every entry weighs
  the same, so that a long drive counts no more than a short one.
- Coulomb counting starts where the filter starts: from the first voltage.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Table
from cellwarden.errors import DataError, UsageError
from cellwarden.health import soc_filter
from cellwarden.health.found import Marks, marks_of
from cellwarden.health.soc_calibrate import spoil
from cellwarden.health.soc_model import CellModel, Record

__all__ = [
    "Drive",
    "Entered",
    "coverage_span",
    "drives_in",
    "enter",
    "marks_of_drives",
    "try_filter",
]

SEED: Final = 20
SCORED_FROM_SECOND: Final = 600.0
_Z90: Final = 1.6449
_DRAWN: Final = 2000
_NEEDED: Final = ("ambient_C", "test", "time_s", "voltage_V", "current_A", "temperature_C", "soc")


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """One test whose charge is known; positive current charges."""

    name: str
    test: str
    ambient_celsius: float
    record: Record


@dataclass(frozen=True, slots=True)
class Entered:
    """One entry into a drive: errors of the filter and of counting, share inside, width. [1]

    `mae` is the mean size of the error over the seconds that count, `rmse` the root of its square.
    """

    drive: str
    ambient_celsius: float
    draw: int
    mae: float
    rmse: float
    inside: float
    width: float
    counted_mae: float


def drives_in(table: Table) -> tuple[Drive, ...]:
    """The drives of a table laid out like LG HG2's, by temperature and test.

    Raises:
        DataError: it is not laid out so.
    """
    if absent := [name for name in _NEEDED if name not in table]:
        raise DataError(
            f"{table.name} has no {', '.join(absent)}",
            hint="Give drives with a row a second, laid out like drive_1hz.parquet of lg_hg2.",
        )
    tests = [str(one) for one in table["test"].tolist()]
    ambient = np.asarray(table["ambient_C"], dtype=np.float64).tolist()
    places: dict[tuple[float, str], list[int]] = {}
    for row, key in enumerate(zip(ambient, tests, strict=True)):
        places.setdefault(key, []).append(row)
    drives = []
    for (celsius, test), rows in sorted(places.items()):
        own = np.array(rows)
        own = own[np.argsort(table["time_s"][own], kind="stable")]
        second, volt, ampere, warm, soc = (
            np.asarray(table[name][own], dtype=np.float64) for name in _NEEDED[2:]
        )
        record = Record(second, volt, ampere, warm, soc)
        drives.append(Drive(f"{celsius:g}/{test}", test, celsius, record))
    return tuple(drives)


def marks_of_drives(drives: Sequence[Drive]) -> dict[str, Marks]:
    """By which a drive is known again, whatever it is called. [bytes]"""
    told = {}
    for drive in drives:
        record = drive.record
        columns = (record.voltage_volt, record.current_ampere, record.temperature_celsius)
        rows = np.column_stack(columns)
        told[drive.name] = marks_of(rows, np.zeros(len(rows), dtype=np.int64), 1)[0]
    return told


def enter(drive: Drive, draw: int, seed: int = SEED) -> Record:
    """A drive from a random second on, through faulty sensors. [Record]"""
    rng = np.random.default_rng([seed, draw, zlib.crc32(drive.name.encode())])
    return spoil(drive.record, rng)


def try_filter(
    model: CellModel, drives: Sequence[Drive], draws: Iterable[int], seed: int = SEED
) -> tuple[Entered, ...]:
    """The filter on every drive, once a draw. [1]

    Raises:
        UsageError: no drive lasts beyond the first ten minutes.
    """
    told = []
    for draw in draws:
        for drive in drives:
            one = _entered(model, drive, draw, enter(drive, draw, seed))
            if one is not None:
                told.append(one)
    if not told:
        raise UsageError("no drive lasts ten minutes after its entry", hint="Give longer drives.")
    return tuple(told)


def _entered(model: CellModel, drive: Drive, draw: int, record: Record) -> Entered | None:
    second = record.unix_time_second - record.unix_time_second[0]
    _, told = soc_filter.run(
        model,
        soc_filter.init(model, 1),
        second,
        record.current_ampere,
        record.voltage_volt[:, None],
        record.temperature_celsius[:, None],
    )
    late = second >= SCORED_FROM_SECOND
    if not late.any():
        return None
    soc, std = told.soc_fraction[:, 0], told.soc_std_fraction[:, 0]
    away = np.abs(soc - record.soc_fraction)[late]
    counted = np.abs(_counted(model, record, float(soc[0])) - record.soc_fraction)[late]
    reach = _Z90 * std[late]
    return Entered(
        drive=drive.name,
        ambient_celsius=drive.ambient_celsius,
        draw=draw,
        mae=float(away.mean()),
        rmse=float(np.sqrt(np.mean(away**2))),
        inside=float(np.mean(away <= reach)),
        width=float(np.mean(2.0 * reach)),
        counted_mae=float(counted.mean()),
    )


def _counted(model: CellModel, record: Record, start: float) -> Float64[np.ndarray, " time"]:
    step = np.diff(record.unix_time_second, prepend=record.unix_time_second[0])
    moved = np.cumsum(record.current_ampere * step) / 3600.0 / model.capacity_ah
    return np.asarray(np.clip(start + moved, 0.0, 1.0))


def coverage_span(entries: Sequence[Entered]) -> tuple[float, float]:
    """The middle 95 % of the coverage when whole drives are drawn again. [1]"""
    names = sorted({one.drive for one in entries})
    means = np.array([np.mean([e.inside for e in entries if e.drive == name]) for name in names])
    draw = np.random.default_rng(SEED).integers(0, len(means), (_DRAWN, len(means)))
    low, high = np.quantile(means[draw].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)

"""The circuit of a kind of cell from records whose charge is known: bounded least squares.

Rules
- With the lags given, the voltage is a linear function of the tables, so all of them come from one
  bounded least-squares problem: slow curves, pulses and drives together, each row with its weight.
- Resistances and hysteresis are not negative; tables bend little over charge and differ little
  over temperature where the records say nothing (a ridge on second and first differences).
- The model's error is measured on records that a circuit has not seen: of four parts, each is
  judged by the circuit of the other three. A minute's mean of the error is what stays, the rest
  what changes from reading to reading.

Validity: constants of the lags were chosen on drives of an NMC cell at -20 to 40 °C (1 Hz).
Source: the linear form is the one of G. L. Plett, J. Power Sources 134 (2004) 262,
doi 10.1016/j.jpowsour.2004.02.032, section 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve

from cellwarden.errors import DataError, UsageError
from cellwarden.health.soc_calibrate import Blind, calibrate
from cellwarden.health.soc_model import (
    HYSTERESIS,
    POINT_COUNT,
    TABLE_COUNT,
    CellModel,
    Record,
    look_up,
)

__all__ = ["Shape", "bounded", "cross_identify", "identify", "predict_volt"]

_RESISTANCE_POINT_COUNT: Final = 21
_PART_COUNT: Final = 4
_DRIFT_FLOOR_VOLT: Final = 0.004  # no model is better than this, however few its records
_TINY: Final = 1e-12  # below which a bound is not crossed
_STILL_RATE: Final = 0.01  # current over capacity that leaves the hysteresis alone


@dataclass(frozen=True, slots=True)
class Shape:
    """What is chosen before the tables are fitted."""

    lag_second: tuple[float, float, float] = (3.0, 30.0, 400.0)
    transfer_rate: float = 0.36  # knee of the charge transfer, current over capacity
    hysteresis_rate: float = 20.0
    has_hysteresis: bool = True
    knot_gap_celsius: float = 6.0
    drift_second: float = 300.0
    correlation_second: float = 200.0
    ocv_stiffness: float = 0.6
    resistance_stiffness: float = 0.6
    likeness: float = 0.1  # of neighbouring temperatures, resistances


SHAPE: Final = Shape()


def identify(records: Sequence[Record], capacity_ah: float, shape: Shape = SHAPE) -> CellModel:
    """The circuit of the cells that the records are of, its interval calibrated on them.

    A weight above 1 marks a slow curve: it forms every circuit and is not judged.

    Raises:
        UsageError: fewer than two drives, or a capacity not above 0.
    """
    return cross_identify(records, capacity_ah, shape)[0]


def cross_identify(
    records: Sequence[Record], capacity_ah: float, shape: Shape = SHAPE
) -> tuple[CellModel, list[Blind]]:
    """What `identify` gives, and the circuits of its four parts, each with records it has not seen.

    Raises:
        UsageError: fewer than two drives, or a capacity not above 0.
    """
    slow = [r for r in records if r.weight > 1.0]
    drives = [r for r in records if r.weight <= 1.0]
    if len(drives) < 2 or not capacity_ah > 0.0:  # noqa: PLR2004  one to judge
        raise UsageError("a circuit needs two drives at least", hint="Give drives, slow curves.")
    empty = _empty(records, capacity_ah, shape)
    sums = [_sums(empty, record) for record in (*slow, *drives)]
    basis, own = sums[: len(slow)], sums[len(slow) :]
    count = min(_PART_COUNT, len(drives))
    unseen = [drives[part::count] for part in range(count)]
    others = [[s for k, s in enumerate(own) if k % count != part] for part in range(count)]
    seen = [_solve(empty, [*basis, *sums_of], shape) for sums_of in others]
    left = [
        (r, r.voltage_volt - predict_volt(m, r))
        for m, rs in zip(seen, unseen, strict=True)
        for r in rs
    ]
    whole = _with_errors(_solve(empty, sums, shape), left, shape)
    blind = [replace(whole, table=m.table) for m in seen]
    whole = calibrate(whole, list(zip(blind, unseen, strict=True)))
    return whole, [(replace(whole, table=m.table), rs) for m, rs in zip(seen, unseen, strict=True)]


def predict_volt(model: CellModel, record: Record) -> np.ndarray:
    """The voltage that the circuit gives a record, its charge known and its past at rest. [V]"""
    tables = look_up(model, record.soc_fraction, record.temperature_celsius)
    volts: np.ndarray = np.einsum("kt,kt->t", tables, _regressors(model, record))
    return volts


def _sums(model: CellModel, record: Record) -> tuple[sparse.csr_matrix, np.ndarray]:
    """What a record adds to the normal equations."""
    rows = _rows(model, record)
    return record.weight * (rows.T @ rows), record.weight * (rows.T @ record.voltage_volt)


def _solve(
    model: CellModel, sums: Sequence[tuple[sparse.csr_matrix, np.ndarray]], shape: Shape
) -> CellModel:
    """The model with the tables that fit these records best."""
    knots = len(model.knot_celsius)
    total = knots * (POINT_COUNT + (TABLE_COUNT - 1) * _RESISTANCE_POINT_COUNT)
    ridge = _ridge(knots, shape)
    normal = (ridge.T @ ridge).toarray() + 1e-6 * np.eye(total)
    right = np.zeros(total)
    for product, row in sums:
        normal += product.toarray()
        right += row
    used = total if shape.has_hysteresis else total - knots * _RESISTANCE_POINT_COUNT
    found = np.zeros(total)
    found[:used] = bounded(normal[:used, :used], right[:used])
    return replace(model, table=_tables(found, knots))


def bounded(normal: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The least of x'Nx/2 - r'x with no x below 0, N positive definite. [unit of x]

    Raises:
        DataError: the problem is so badly scaled that no solution was found.

    Source: J. J. Júdice and F. M. Pires, Comput. Oper. Res. 21 (1994) 587: blocks of bounds change
    sides; where that stops helping, one bound at a time does, which ends.
    """
    free, best, patience = np.ones(len(right), dtype=bool), len(right) + 1, 5
    tolerance = 1e-9 * max(float(np.abs(right).max()), 1.0)
    for _ in range(20 * len(right) + 20):
        x = np.zeros(len(right))
        x[free] = cho_solve(cho_factor(normal[np.ix_(free, free)]), right[free])
        wrong = np.where(free, x < -_TINY, normal @ x - right < -tolerance)
        if not wrong.any():
            return np.maximum(x, 0.0)
        patience = 5 if wrong.sum() < best else patience - 1
        best = min(best, int(wrong.sum()))
        change = np.flatnonzero(wrong)
        free[change if patience > 0 else change[-1:]] ^= True
    raise DataError("the circuit has no solution", hint="Give records with current and rest.")


def _empty(records: Sequence[Record], capacity_ah: float, shape: Shape) -> CellModel:
    """All but the tables and the errors."""
    knots = _knots(records, shape.knot_gap_celsius)
    used = np.concatenate([r.current_ampere for r in records if r.weight <= 1.0] or [np.zeros(2)])
    blank = np.zeros(len(knots))
    return CellModel(
        capacity_ah=capacity_ah,
        table=np.zeros((len(knots), POINT_COUNT, TABLE_COUNT)),
        knot_celsius=knots,
        lag_second=np.array(shape.lag_second),
        transfer_ampere=shape.transfer_rate * capacity_ah,
        hysteresis_rate=shape.hysteresis_rate,
        drift_volt=blank,
        reading_volt=blank,
        drift_second=shape.drift_second,
        load_ampere=float(used.mean()),
        load_std_ampere=max(float(_lagged(used, np.ones(len(used)), 400.0).std()), 0.05),
        correlation_second=shape.correlation_second,
        widening=np.ones((2, len(knots))),
    )


def _knots(records: Sequence[Record], gap_celsius: float) -> np.ndarray:
    """Temperatures at which records lie close together, coldest first."""
    means = np.sort([float(np.mean(r.temperature_celsius)) for r in records])
    groups = np.split(means, np.flatnonzero(np.diff(means) > gap_celsius / 2.0) + 1)
    knots = [float(np.median(g)) for g in groups]
    kept = [knots[0]]
    for knot in knots[1:]:
        if knot - kept[-1] >= gap_celsius:
            kept.append(knot)
    return np.array(kept)


def _regressors(model: CellModel, record: Record) -> np.ndarray:
    """What multiplies each of the six tables."""
    i = record.current_ampere
    second = np.diff(record.unix_time_second, prepend=record.unix_time_second[0])
    fast, middle, slow = (_lagged(i, second, lag) for lag in model.lag_second)
    transferred = model.transfer_ampere * np.arcsinh(fast / model.transfer_ampere)
    return np.stack([np.ones(len(i)), i, transferred, middle, slow, _turns(model, i, second)])


def _lagged(current: np.ndarray, second: np.ndarray, lag_second: float) -> np.ndarray:
    kept = np.exp(-second / lag_second).tolist()
    out, held = [], 0.0
    for part, ampere in zip(kept, current.tolist(), strict=True):
        held = part * held + (1.0 - part) * ampere
        out.append(held)
    return np.array(out)


def _turns(model: CellModel, current: np.ndarray, second: np.ndarray) -> np.ndarray:
    moved = np.abs(current) * second / 3600.0 / model.capacity_ah
    kept = np.exp(-model.hysteresis_rate * moved).tolist()
    signs = np.sign(current) * (np.abs(current) > _STILL_RATE * model.capacity_ah)
    out, held = [], 0.0
    for part, sign in zip(kept, signs.tolist(), strict=True):
        held = part * held + (1.0 - part) * sign
        out.append(held)
    return np.array(out)


def _hats(values: np.ndarray, knots: np.ndarray) -> sparse.csr_matrix:
    """Each value as a mean of its two neighbouring knots."""
    inside = np.clip(values, knots[0], knots[-1])
    left = np.clip(np.searchsorted(knots, inside, side="right") - 1, 0, max(len(knots) - 2, 0))
    right = np.minimum(left + 1, len(knots) - 1)
    part = (inside - knots[left]) / np.where(right > left, knots[right] - knots[left], 1.0)
    row = np.arange(len(values))
    shape = (len(values), len(knots))
    low = sparse.csr_matrix((1.0 - part, (row, left)), shape=shape)
    return low + sparse.csr_matrix((part, (row, right)), shape=shape)


def _rows(model: CellModel, record: Record) -> sparse.csr_matrix:
    warm = _hats(record.temperature_celsius, model.knot_celsius)
    both = []
    for points in (POINT_COUNT, _RESISTANCE_POINT_COUNT):
        charge = _hats(record.soc_fraction, np.linspace(0.0, 1.0, points))
        both.append(_rowwise(warm, charge))
    columns = [
        both[min(k, 1)].multiply(factor[:, None])
        for k, factor in enumerate(_regressors(model, record))
    ]
    return sparse.hstack(columns).tocsr()


def _rowwise(warm: sparse.csr_matrix, charge: sparse.csr_matrix) -> sparse.csr_matrix:
    """The Kronecker product of each row with its fellow."""
    dense = warm.toarray()
    return sparse.hstack([charge.multiply(dense[:, [k]]) for k in range(dense.shape[1])]).tocsr()


def _ridge(knot_count: int, shape: Shape) -> sparse.csr_matrix:
    blocks = [_stiff(knot_count, POINT_COUNT, shape.ocv_stiffness, shape.ocv_stiffness)]
    blocks += [
        _stiff(knot_count, _RESISTANCE_POINT_COUNT, shape.resistance_stiffness, shape.likeness)
    ] * (TABLE_COUNT - 1)
    return sparse.block_diag(blocks).tocsr()


def _stiff(knots: int, points: int, bend: float, likeness: float) -> sparse.csr_matrix:
    over_charge = np.diff(np.eye(points), 2, axis=0)
    parts = [bend * sparse.kron(sparse.eye(knots), sparse.csr_matrix(over_charge))]
    if knots > 1:
        over_celsius = sparse.csr_matrix(np.diff(np.eye(knots), 1, axis=0))
        parts.append(likeness * sparse.kron(over_celsius, sparse.eye(points)))
    return sparse.vstack(parts)


def _tables(found: np.ndarray, knot_count: int) -> np.ndarray:
    grid = np.linspace(0.0, 1.0, POINT_COUNT)
    coarse = np.linspace(0.0, 1.0, _RESISTANCE_POINT_COUNT)
    size = knot_count * POINT_COUNT
    table = np.empty((knot_count, POINT_COUNT, TABLE_COUNT))
    table[:, :, 0] = found[:size].reshape(knot_count, POINT_COUNT)
    rest = found[size:].reshape(TABLE_COUNT - 1, knot_count, _RESISTANCE_POINT_COUNT)
    for k in range(1, HYSTERESIS + 1):
        for row in range(knot_count):
            table[row, :, k] = np.interp(grid, coarse, rest[k - 1, row])
    return table


def _with_errors(
    model: CellModel, left: Sequence[tuple[Record, np.ndarray]], shape: Shape
) -> CellModel:
    """The model with its error at each temperature knot, slow and quick apart."""
    slow, quick = np.zeros(len(model.knot_celsius)), np.zeros(len(model.knot_celsius))
    weight = np.full(len(model.knot_celsius), 1e-9)
    for record, error in left:
        settled = np.asarray(error[int(shape.lag_second[2]) :])
        if not len(settled):
            continue
        steady = np.convolve(settled, np.ones(60) / 60.0, mode="same")
        share = np.asarray(
            _hats(np.array([record.temperature_celsius.mean()]), model.knot_celsius).toarray()[0]
        )
        slow += share * np.mean(steady**2)
        quick += share * np.mean((settled - steady) ** 2)
        weight += share
    drift = np.sqrt(np.maximum(slow / weight, _DRIFT_FLOOR_VOLT**2))
    return replace(model, drift_volt=drift, reading_volt=np.sqrt(quick / weight) + 1e-3)

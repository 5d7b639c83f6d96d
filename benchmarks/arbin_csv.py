"""A text file as an Arbin tester writes it, made from a seed: weeks of cycling in seconds.

Rules
- The header is that of an Arbin MITS export (a part of its columns), so every reader that knows
  Arbin's text can be asked to read this very file.
- A cycle is constant current to 4.2 V, constant voltage to a twentieth of it, rest, constant
  current to 2.7 V, rest; capacity fades and resistance grows slowly from cycle to cycle.
- Step ends are written as they happen, as the tester does; the counters of charge and energy are
  exact integrals of what flowed, not sums over the rows, and begin at zero with each cycle.

    python benchmarks/arbin_csv.py out.csv --cycles 500 --points 1000 --seed 7
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

__all__ = ["CYCLES", "POINTS", "SEED", "truth", "write_arbin_csv"]

CYCLES: Final = 500
POINTS: Final = 1000
SEED: Final = 7
_HEADER: Final = (
    "Data Point,Date Time,Test Time (s),Step Time (s),Cycle Index,Step Index,Current (A),"
    "Voltage (V),Charge Capacity (Ah),Discharge Capacity (Ah),Charge Energy (Wh),"
    "Discharge Energy (Wh),Aux_Temperature_1 (C)"
)
_ROW: Final = "%d,%s,%.3f,%.3f,%d,%d,%.5f,%.6f,%.6f,%.6f,%.6f,%.6f,%.3f"
_BEGIN_UNIX_SECOND: Final = 1_726_814_000.0
_NOMINAL_AH: Final = 1.1
_HIGH_VOLT: Final = 4.2
_LOW_VOLT: Final = 2.7
_TAPER: Final = 20.0  # the charge ends at a twentieth of its current
_REST_SECOND: Final = 600.0
_SHARES: Final = (0.40, 0.15, 0.05, 0.35)  # of the rows: CC, CV, rest, discharge; rest: the others
_FINE: Final = 16  # exact integrals are summed on so many parts of each interval

# A smooth open-circuit voltage, rising all the way from 2.6 V to 4.195 V.
_SOC: Final = np.linspace(0.0, 1.0, 4001)
_OPEN_VOLT: Final = (
    3.45 + 0.63 * _SOC - 0.85 * np.exp(-_SOC / 0.04) + 0.115 * np.tanh((_SOC - 0.62) / 0.12)
)

# Current and voltage at seconds since a step began.
_Law = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows of one step: seconds since its begin, and what holds at them."""

    step: int
    second: np.ndarray
    current: np.ndarray
    voltage: np.ndarray
    charge_ah: np.ndarray
    energy_wh: np.ndarray


def truth(cycle: int, cycles: int = CYCLES) -> tuple[float, float]:
    """Capacity and resistance of the cell in a cycle, from 0. [Ah, Ω]"""
    age = cycle / max(cycles, 1)
    return _NOMINAL_AH * (1 - 0.2 * age**1.3), 0.06 * (1 + 0.8 * age)


def write_arbin_csv(
    path: Path, *, cycles: int = CYCLES, points: int = POINTS, seed: int = SEED
) -> Path:
    """Write the file; the same seed gives the same bytes."""
    rng = np.random.default_rng(seed)
    number, test_second = 1, 0.0
    _, resistance = truth(0, cycles)
    soc = _soc_at(_LOW_VOLT + _NOMINAL_AH * resistance)
    with path.open("w", encoding="ascii", newline="") as file:
        file.write(_HEADER + "\r\n")
        for cycle in range(cycles):
            pieces, soc = _cycle(soc, *truth(cycle, cycles), points)
            lines, test_second = _lines(pieces, cycle + 1, number, test_second, rng)
            file.write("\r\n".join(lines) + "\r\n")
            number += len(lines)
    return path


def _soc_at(open_volt: float) -> float:
    return float(np.interp(open_volt, _OPEN_VOLT, _SOC))


def _open_volt(soc: np.ndarray) -> np.ndarray:
    return np.asarray(np.interp(soc, _SOC, _OPEN_VOLT))


def _cycle(
    soc: float, capacity_ah: float, resistance: float, points: int
) -> tuple[list[_Piece], float]:
    counts = [int(share * points) for share in _SHARES]
    counts.append(points - sum(counts))
    rate = _NOMINAL_AH
    full_cc = _soc_at(_HIGH_VOLT - rate * resistance)
    taper_second = 3600 * capacity_ah * (1 - full_cc) / (rate * (1 - 1 / _TAPER))
    empty = _soc_at(_LOW_VOLT + rate * resistance)
    cc_second = 3600 * capacity_ah * (full_cc - soc) / rate
    cv_second = taper_second * float(np.log(_TAPER))
    dis_second = 3600 * capacity_ah * (1 - empty) / rate

    def grow(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _line(soc + rate * at / 3600 / capacity_ah, rate, resistance)

    def taper(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return rate * np.exp(-at / taper_second), np.full_like(at, _HIGH_VOLT)

    def drain(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _line(1 - rate * at / 3600 / capacity_ah, -rate, resistance)

    full_volt, empty_volt = (float(_open_volt(np.array(at))) for at in (1.0, empty))
    slow = 0.4  # of the step in voltage at the switch; the rest of it is ohmic, at once
    return [
        _piece(1, counts[0], cc_second, grow),
        _piece(2, counts[1], cv_second, taper),
        _piece(3, counts[2], _REST_SECOND, _relax(full_volt, slow * (_HIGH_VOLT - full_volt))),
        _piece(4, counts[3], dis_second, drain),
        _piece(5, counts[4], _REST_SECOND, _relax(empty_volt, slow * (_LOW_VOLT - empty_volt))),
    ], empty


def _line(soc: np.ndarray, rate: float, resistance: float) -> tuple[np.ndarray, np.ndarray]:
    return np.full_like(soc, rate), _open_volt(soc) + rate * resistance


def _relax(end_volt: float, drop_volt: float) -> _Law:
    def rest(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros_like(at), end_volt + drop_volt * np.exp(-at / 120.0)

    return rest


def _piece(step: int, count: int, second: float, law: _Law) -> _Piece:
    """Rows at even times after the step's begin, the last at its very end."""
    fine = np.linspace(0.0, second, count * _FINE + 1)
    current, voltage = law(fine)
    hour = np.diff(fine) / 3600
    power = current * voltage
    charge = np.cumsum((current[1:] + current[:-1]) / 2 * hour)
    energy = np.cumsum((power[1:] + power[:-1]) / 2 * hour)
    at = slice(_FINE - 1, None, _FINE)
    return _Piece(step, fine[1:][at], current[1:][at], voltage[1:][at], charge[at], energy[at])


def _lines(
    pieces: list[_Piece], cycle: int, number: int, begin: float, rng: np.random.Generator
) -> tuple[list[str], float]:
    lines: list[str] = []
    counted = np.zeros(4)  # charge in, charge out, energy in, energy out
    for piece in pieces:
        count = len(piece.second)
        put_in = piece.charge_ah[-1] >= 0
        counters = np.tile(counted, (count, 1))
        counters[:, 0 if put_in else 1] += np.abs(piece.charge_ah)
        counters[:, 2 if put_in else 3] += np.abs(piece.energy_wh)
        test_second = begin + piece.second
        noisy = (
            piece.current + 2e-5 * rng.standard_normal(count) * (piece.current != 0),
            piece.voltage + 5e-5 * rng.standard_normal(count),
            25.0 + 2.0 * np.abs(piece.current) + 0.05 * rng.standard_normal(count),
        )
        rows = zip(
            range(number + len(lines), number + len(lines) + count),
            map(_date, (_BEGIN_UNIX_SECOND + test_second).tolist()),
            test_second.tolist(),
            piece.second.tolist(),
            [cycle] * count,
            [piece.step] * count,
            noisy[0].tolist(),
            noisy[1].tolist(),
            *counters.T.tolist(),
            noisy[2].tolist(),
            strict=True,
        )
        lines += [_ROW % row for row in rows]
        counted = counters[-1]
        begin = float(test_second[-1])
    return lines, begin


def _date(unix_second: float) -> str:
    whole, milli = divmod(round(unix_second * 1000), 1000)
    return f"{datetime.fromtimestamp(whole, UTC):%m/%d/%Y %H:%M:%S}.{milli:03d}"


def main() -> None:
    """The file that the command line asks for."""
    parser = argparse.ArgumentParser(description="Write an Arbin text file made from a seed.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--cycles", type=int, default=CYCLES)
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args()
    write_arbin_csv(asked.path, cycles=asked.cycles, points=asked.points, seed=asked.seed)
    print(f"{asked.path}: {asked.path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

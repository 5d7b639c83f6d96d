"""A tester's record with known answers: open-circuit voltage linear in charge, one resistance."""

from dataclasses import dataclass, field

import numpy as np

from cellwarden.domain import Series

CAPACITY_AH = 2.0
RESISTANCE_OHM = 0.05


@dataclass
class Protocol:
    """Rows of steps one after another; each step writes its begin, so nothing flows unseen."""

    soc: float = 0.2
    scale: float = 1.0
    columns: dict[str, list[np.ndarray]] = field(default_factory=dict)
    clock: float = 0.0
    step: int = 0
    cycle: int = 1

    def constant(self, ampere: float, second: float, rows: int = 50) -> "Protocol":
        at = np.linspace(0.0, second, rows)
        ampere *= self.scale
        soc = self.soc + ampere * at / 3600 / (CAPACITY_AH * self.scale)
        return self._add(at, np.full(rows, ampere), soc, self._open(soc))

    def rest(self, second: float = 600.0, rows: int = 20) -> "Protocol":
        return self.constant(0.0, second, rows)

    def taper(self, volt: float, until_ampere: float, rows: int = 200) -> "Protocol":
        """Held voltage; with a linear open-circuit voltage the current is an exact exponential."""
        begin = (volt - self._open(np.array([self.soc]))[0]) / RESISTANCE_OHM * self.scale
        until = until_ampere * self.scale
        tau = RESISTANCE_OHM * CAPACITY_AH * 3600 / 1.2
        at = np.linspace(0.0, tau * np.log(begin / until), rows)
        current = begin * np.exp(-at / tau)
        soc = self.soc + begin * tau * (1 - np.exp(-at / tau)) / 3600 / (CAPACITY_AH * self.scale)
        return self._add(at, current, soc, np.full(rows, volt), ohmic=False)

    def power(self, watt: float, second: float, rows: int = 100) -> "Protocol":
        at, current, volt, soc = np.linspace(0.0, second, rows), [], [], [self.soc]
        for k in range(rows):
            open_volt = self._open(np.array([soc[-1]]))[0]
            root = np.sqrt(open_volt**2 + 4 * RESISTANCE_OHM * watt)
            current.append((root - open_volt) / (2 * RESISTANCE_OHM))
            volt.append(open_volt + current[-1] * RESISTANCE_OHM)
            if k + 1 < rows:
                soc.append(soc[-1] + current[-1] * at[1] / 3600 / CAPACITY_AH)
        return self._add(at, np.array(current), np.array(soc), np.array(volt), ohmic=False)

    def drive(self, second: int, seed: int = 3, mean: float = -1.0) -> "Protocol":
        at = np.arange(float(second))
        current = mean + 3 * np.random.default_rng(seed).standard_normal(second)
        soc = self.soc + np.cumsum(current) / 3600 / CAPACITY_AH
        return self._add(at, current, soc, self._open(soc))

    def next_cycle(self) -> "Protocol":
        self.cycle += 1
        return self

    def full_cycle(self) -> "Protocol":
        """Charge at constant current and voltage, rest, discharge, rest: back where it began."""
        begin = self.soc
        self.constant(1.0, 3600.0).taper(4.0, 0.05).rest()
        return self.constant(-1.0, (self.soc - begin) * CAPACITY_AH * 3600).rest()

    def series(self, **left_out: None) -> Series:
        found = {name: np.concatenate(parts) for name, parts in self.columns.items()}
        return Series(name="cell", **({**found, **left_out}))

    @staticmethod
    def _open(soc: np.ndarray) -> np.ndarray:
        return 3.0 + 1.2 * soc

    def _add(
        self,
        at: np.ndarray,
        current: np.ndarray,
        soc: np.ndarray,
        volt: np.ndarray,
        *,
        ohmic: bool = True,
    ) -> "Protocol":
        self.step += 1
        rows = {
            "test_time_second": self.clock + at,
            "voltage_volt": volt + (current / self.scale * RESISTANCE_OHM if ohmic else 0.0),
            "current_ampere": current,
            "cycle_count": np.full(len(at), self.cycle),
            "step_index": np.full(len(at), self.step),
        }
        for name, values in rows.items():
            self.columns.setdefault(name, []).append(values)
        self.clock, self.soc = float(self.clock + at[-1]), float(soc[-1])
        return self

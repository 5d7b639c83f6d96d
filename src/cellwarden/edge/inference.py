"""What a device makes of its readings with models that somebody has signed, and without.

Rules
- A model never stands alone: beside the charge of a signed circuit runs the built-in filter.
- An answer that is not finite, outside what can be, too slow, or no answer at all, is not used. The
  model is put aside until the next start, the built-in one goes on without a gap, and a finding
  says when and why.
- Too slow is counted in CPU time of this thread, and only several times in a row.
- Nothing here may stop the control: whatever a model raises is caught, and named in the finding.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import numpy as np

from cellwarden.domain import Charge, Finding, Frame, NotServed, Pack, Series, Severity
from cellwarden.edge.models import Models, Regressor
from cellwarden.features import charges, cut, samples
from cellwarden.health import Model, assess, charge, soc_filter
from cellwarden.health.soc_model import CellModel

__all__ = ["Budget", "ChargeSense", "HealthSense", "StrangeSense", "senses"]

_AWAY: Final = 0.35  # of charge: two filters that differ by more cannot both be right
_AWAY_COUNT: Final = 60
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Budget:
    """How long an answer may take, and how often it may take longer."""

    cpu_second: float = 0.02
    late_count: int = 5


@dataclass(slots=True)
class _Guarded:
    """A model's answers, until one of them is none."""

    name: str
    signal: str
    budget: Budget
    reason: str = ""
    findings: list[Finding] = field(default_factory=list)
    _late: int = 0

    def ask(self, answer: Callable[[], T], wrong: Callable[[T], str], now: float) -> T | None:
        """The answer, or None: then the model is out for good."""
        if self.reason:
            return None
        began = time.thread_time()
        try:
            told = answer()
            reason = wrong(told)
        except Exception as error:  # noqa: BLE001  a model must not stop the control
            self.drop(f"{type(error).__name__}: {error}", now)
            return None
        slow = time.thread_time() - began > self.budget.cpu_second
        self._late = self._late + 1 if slow else 0
        if self._late >= self.budget.late_count:
            reason = f"{self._late} answers in a row took over {self.budget.cpu_second:g} s of CPU"
        if reason:
            self.drop(reason, now)
            return None
        return told

    def drop(self, reason: str, now: float) -> None:
        """Put the model aside."""
        self.reason = reason[:200]
        self.findings.append(
            Finding(
                kind="model",
                severity=Severity.WARNING,
                signal=self.signal,
                unix_time_second=now,
                message=f"model {self.name} is put aside: {self.reason}; what is built in goes on",
            )
        )

    def take_findings(self) -> list[Finding]:
        """What is new."""
        found, self.findings = self.findings, []
        return found


class ChargeSense:
    """State of charge of each cell: from a signed circuit while it holds, else as built in."""

    def __init__(
        self,
        pack: Pack,
        model: CellModel | None = None,
        name: str = "",
        budget: Budget | None = None,
    ) -> None:
        self._pack = pack
        self._belief = charge.init(pack)
        self._model = model
        self._guarded = _Guarded(name, "soc_fraction", budget or Budget())
        self._state = None if model is None else soc_filter.init(model, pack.series_count)
        self._scale = 1.0 if model is None else model.capacity_ah / pack.nominal_capacity_ah
        self._away = 0

    @property
    def source(self) -> str:
        """Where the estimate comes from now. [text]"""
        return self._guarded.name if self._served() else "built in"

    def _served(self) -> bool:
        return self._model is not None and not self._guarded.reason

    def step(self, frame: Frame) -> Charge:
        """The charge after one frame."""
        self._belief, built_in = charge.step(self._belief, frame, self._pack)
        model, now = self._model, frame.unix_time_second
        if model is None:
            return built_in
        told = self._guarded.ask(lambda: self._ask(model, frame), _no_charge, now)
        if told is None:
            return built_in
        far = bool(np.any(np.abs(told.soc_fraction - built_in.soc_fraction) > _AWAY))
        self._away = self._away + 1 if far else 0
        if self._away >= _AWAY_COUNT:
            self._guarded.drop(f"it is over {_AWAY:g} away from the built-in filter", now)
            return built_in
        # The limits look two deviations to the worse side: the built-in charge lies within them.
        doubt = np.abs(told.soc_fraction - built_in.soc_fraction) / 2.0
        return replace(told, soc_std_fraction=np.maximum(told.soc_std_fraction, doubt))

    def _ask(self, model: CellModel, frame: Frame) -> Charge:
        """One cell of the model's kind stands for a group of them: current is shared."""
        assert self._state is not None  # noqa: S101  there is one where there is a model
        count = self._pack.series_count
        self._state, told = soc_filter.step(
            model,
            self._state,
            frame.unix_time_second,
            frame.current_ampere * self._scale,
            np.asarray(frame.cell_voltage_volt, dtype=np.float64),
            _celsius(frame, count),
        )
        return Charge(
            frame.unix_time_second,
            told.soc_fraction,
            told.soc_std_fraction,
            told.innovation_volt,
            told.innovation_std_volt,
        )

    def take_findings(self) -> list[Finding]:
        """What is new."""
        return self._guarded.take_findings()


def _celsius(frame: Frame, count: int) -> np.ndarray:
    sensors = np.asarray(frame.cell_temperature_celsius, dtype=np.float64)
    if len(sensors) == count:
        return sensors
    read = sensors[np.isfinite(sensors)]
    return np.full(count, read.mean() if len(read) else np.nan)


def _no_charge(told: Charge) -> str:
    soc, std = told.soc_fraction, told.soc_std_fraction
    if not (np.all(np.isfinite(soc)) and np.all(np.isfinite(std))):
        return "it gave no finite number"
    if np.any(soc < 0.0) or np.any(soc > 1.0) or np.any(std < 0.0):
        return "it gave a charge outside 0..1"
    return ""


@dataclass(slots=True)
class _Record:
    """Rows of the mean cell, at most so many, far enough apart."""

    rows: list[tuple[float, float, float, float]] = field(default_factory=list)

    def add(self, frame: Frame) -> None:
        if self.rows and frame.unix_time_second - self.rows[-1][0] < _ROW_SECOND:
            return
        celsius = np.asarray(frame.cell_temperature_celsius, dtype=np.float64)
        known = celsius[np.isfinite(celsius)]
        volts = np.asarray(frame.cell_voltage_volt, dtype=np.float64)
        self.rows.append(
            (
                frame.unix_time_second,
                float(volts.mean()),
                frame.current_ampere,
                float(known.mean()) if len(known) else np.nan,
            )
        )
        if len(self.rows) > _ROW_COUNT:
            del self.rows[: _ROW_COUNT // 4]

    def series(self, pack: Pack) -> Series:
        table = np.array(self.rows, dtype=np.float64).T
        return Series(
            pack.name,
            table[0] - table[0, 0],
            table[1],
            table[2],
            unix_time_second=table[0],
            surface_temperature_celsius=table[3],
            nominal_capacity_ah=pack.nominal_capacity_ah,
            chemistry=pack.cell.chemistry.name,
        )


_ROW_SECOND: Final = 10.0
_ROW_COUNT: Final = 8640  # a day
_CHARGING_RATE: Final = 0.02  # of capacity an hour
_SHORTEST_SECOND: Final = 600.0


class HealthSense:
    """State of health once a charge, from a signed model; without one the last word stands."""

    def __init__(
        self,
        pack: Pack,
        model: Model | Regressor | None = None,
        name: str = "",
        budget: Budget | None = None,
    ) -> None:
        self._pack, self._model = pack, model
        self._guarded = _Guarded(name, "soh_fraction", budget or Budget(0.1, 1))
        self._record = _Record()
        self._charging_since: float | None = None
        self.last: tuple[float, float] | None = None  # when, how much

    def step(self, frame: Frame) -> list[Finding]:
        """What is new after one frame."""
        if self._model is None or self._guarded.reason:
            return self._guarded.take_findings()
        self._record.add(frame)
        charging = frame.current_ampere > _CHARGING_RATE * self._pack.nominal_capacity_ah
        now = frame.unix_time_second
        if charging:
            self._charging_since = self._charging_since or now
            return []
        if self._charging_since is None:
            return []
        lasted, self._charging_since = now - self._charging_since, None
        if lasted < _SHORTEST_SECOND:
            return []
        return [*self._told(now), *self._guarded.take_findings()]

    def _told(self, now: float) -> list[Finding]:
        model = self._model
        assert model is not None  # noqa: S101  asked only where there is one
        told = self._guarded.ask(lambda: self._ask(model), _no_health, now)
        if told is None or isinstance(told, NotServed):
            return []
        self.last = (now, told[0])
        evidence = dict(zip(("soh_fraction", "low", "high"), told, strict=False))
        return [
            Finding(
                kind="health",
                severity=Severity.INFO,
                signal="soh_fraction",
                unix_time_second=now,
                message=f"{told[0]:.1%} of nominal after a charge, by model {self._guarded.name}",
                evidence=evidence,
            )
        ]

    def _ask(self, model: Model | Regressor) -> tuple[float, ...] | NotServed:
        series = self._record.series(self._pack)
        if isinstance(model, Regressor):
            taken = samples(series, self._pack.nominal_capacity_ah)
            seen = charges(taken, cut(taken))
            if not len(seen):
                return NotServed("no charge is seen whole")
            row = np.array([float(getattr(seen, name)[-1]) for name in model.columns])
            if np.any(np.isnan(row)):
                return NotServed("the charge lacks a part")
            return model.tell(row)
        health = assess(series, model).health
        if isinstance(health, NotServed):
            return health
        return health.soh_fraction, health.interval.low, health.interval.high


def _no_health(told: tuple[float, ...] | NotServed) -> str:
    if isinstance(told, NotServed):
        return ""
    if not all(np.isfinite(told)):
        return "it gave no finite number"
    return "" if 0.0 < told[0] <= 1.5 else "it gave a health that no cell has"  # noqa: PLR2004  1 and what labels are off by


class StrangeSense:
    """Whether the cells behave as a signed model expects: its interval is left for a while."""

    def __init__(
        self, model: Regressor | None = None, name: str = "", budget: Budget | None = None
    ) -> None:
        self._model = model
        self._guarded = _Guarded(name, "cell_voltage_volt", budget or Budget())
        self._since: float | None = None
        self._told = False

    def step(self, frame: Frame, soc: Charge) -> list[Finding]:
        """What is new after one frame."""
        model, now = self._model, frame.unix_time_second
        if model is None:
            return []
        warm = bool(np.isfinite(_celsius(frame, 1)).all())
        if not (warm and np.isfinite(frame.current_ampere) and np.isfinite(soc.soc_fraction).all()):
            return []  # a reading that is missing is no fault of the model
        told = self._guarded.ask(lambda: model.tell(_row(model, frame, soc)), _no_band, now)
        if told is None:
            return self._guarded.take_findings()
        mean, low, high = told
        volts = np.asarray(frame.cell_voltage_volt, dtype=np.float64)
        far = np.maximum(volts - high, low - volts)
        worst = int(np.argmax(np.where(np.isfinite(far), far, -np.inf)))
        if not far[worst] > high - low:  # a band's width outside it
            self._since, self._told = None, False
            return []
        self._since = now if self._since is None else self._since
        if self._told or now - self._since < _STRANGE_SECOND:
            return []
        self._told = True
        return [
            Finding(
                kind="strange",
                severity=Severity.WARNING,
                signal="cell_voltage_volt",
                unix_time_second=now,
                message=f"cell {worst} is not as model {self._guarded.name} expects it",
                item=worst,
                evidence={"value": float(volts[worst]), "expected": mean, "low": low, "high": high},
            )
        ]


_STRANGE_SECOND: Final = 30.0


def _row(model: Regressor, frame: Frame, soc: Charge) -> np.ndarray:
    celsius = _celsius(frame, 1)
    named: dict[str, Any] = {
        "current_ampere": frame.current_ampere,
        "soc_fraction": float(soc.soc_fraction.mean()),
        "temperature_celsius": float(celsius[0]),
    }
    return np.array([named[name] for name in model.columns], dtype=np.float64)


def _no_band(told: tuple[float, ...]) -> str:
    if len(told) != 3:  # noqa: PLR2004  mean, low, high
        return "it gives no interval"
    if not all(np.isfinite(told)):
        return "it gave no finite number"
    return "" if told[1] <= told[0] <= told[2] else "its interval is none"


def senses(pack: Pack, models: Models) -> tuple[ChargeSense, HealthSense, StrangeSense]:
    """All three with the models of a device."""
    names = models.names
    return (
        ChargeSense(pack, models.soc, names.get("soc", "")),
        HealthSense(pack, models.soh, names.get("soh", "")),
        StrangeSense(models.anomaly, names.get("anomaly", "")),
    )

"""How often the fault table cries wolf: sound packs for many hours, and a real car's trips.

Rules
- Nothing here is at fault, so every row that is raised is a false alarm, recorded rows included.
- The packs are twins with the noise and the steps of converters, read ten times a second; many are
  judged at once by the same arithmetic that judges one (`control.diagnose.advance`).
- What no twin simulates (second sensors, insulation, gas) is its true value with a sensor's noise.
- The bound is what so many hours allow: Poisson, one-sided, 95 %.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import duckdb
import numpy as np
from scipy.stats import chi2

from cellwarden.control import diagnose
from cellwarden.control.diagnose import Diagnostics, DiagnosticsState
from cellwarden.control.senses import Senses
from cellwarden.domain import (
    Board,
    Cell,
    CellLimits,
    Frames,
    LimitTiers,
    Pack,
    chemistry_named,
    tiers,
)
from cellwarden.health import charge as charges
from cellwarden.health.charge import Charges
from cellwarden.physics import twin as twins
from cellwarden.physics.config import Profile, TwinConfig

__all__ = ["HOURS_A_MONTH", "Quiet", "alarm_bound", "kind_hours", "sound_hours", "trips"]

HOURS_A_MONTH: Final = 365.25 * 24.0 / 12.0
_BOARD: Final = Board(has_second_monitor=True, has_gas_sensor=True)
_CELLS: Final = 12
_CAPACITY_AH: Final = 3.0
_STRETCH: Final = 3000  # cycles worked out at once
_VOLT, _AMPERE, _HALL, _CELSIUS = 1e-4, 1e-3, 1e-2, 5e-3  # what a code is worth
_SECOND_VOLT: Final = 0.002
_REFERENCE_VOLT: Final = 0.001
_FLEET: Final[tuple[tuple[str, Profile, float, float], ...]] = (
    ("NMC", "drive", 1.0, 18.0),
    ("NMC", "cycle", 0.5, 25.0),
    ("LFP", "drive", 1.0, 25.0),
    ("LFP", "cycle", 1.0, 20.0),
    ("NCA", "drive", 0.8, 22.0),
    ("NCA", "cycle", 0.5, 15.0),
    ("LMO", "drive", 1.0, 20.0),
    ("NMC", "storage", 1.0, 10.0),
)

_TRIP_ROWS: Final = (
    *("string_voltage_high", "string_voltage_low"),
    *(f"{way}charge_current_maximum" for way in ("", "dis")),
    *(f"discharge_temperature_{end}_maximum" for end in ("high", "low")),
    *("charge_temperature_high_maximum", "temperature_spread", "temperature_jump"),
    *("string_voltage_frozen", "current_frozen", "current_impossible"),
    *("string_voltage_impossible", "string_voltage_missing", "current_missing"),
    *("temperature_blind", "temperature_impossible", "runaway_suspected"),
)
_CAR_CELLS: Final = 96
_CAR_AH: Final = 60.0
# 125 kW of motor at 92 % efficiency, and 50 kW of braking, at 3.0 V a cell.
_CAR_AMPERE: Final = (50_000.0 / (_CAR_CELLS * 3.0), 125_000.0 / 0.92 / (_CAR_CELLS * 3.0))
_REPEATS: Final = 10  # cycles that see each second's mean


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours without a fault, and the rows that were raised in them."""

    hours: float
    row_count: int
    raised: dict[str, int]

    @property
    def alarm_count(self) -> int:
        """False alarms. [1]"""
        return sum(self.raised.values())

    @property
    def alarms_per_month(self) -> float:
        """False alarms of one pack in a month. [1]"""
        return self.alarm_count / self.hours * HOURS_A_MONTH

    @property
    def bound_per_month(self) -> float:
        """The rate that these hours do not rule out. [1]"""
        return alarm_bound(self.alarm_count, self.hours)


def alarm_bound(count: int, hours: float) -> float:
    """Highest rate that would show so few events with 5 % probability. [1/month]"""
    return float(chi2.ppf(0.95, 2 * (count + 1)) / 2.0 / hours * HOURS_A_MONTH)


class _Group(NamedTuple):
    """Packs of one table: their twins, where these are, and what the charge estimate believes."""

    configs: list[TwinConfig]
    diagnostics: Diagnostics
    generator: np.random.Generator


def sound_hours(
    hours: float, *, packs_a_kind: int = 1, seed: int = 1, worker_count: int = 1
) -> Quiet:
    """Run packs of several chemistries and uses for so many pack-hours altogether."""
    each = hours / (packs_a_kind * len(_FLEET))
    cycles = int(np.ceil(each * 3600.0 / _BOARD.period_second))
    work = partial(kind_hours, size=packs_a_kind, cycles=cycles, seed=seed)
    with ProcessPoolExecutor(worker_count) as pool:
        found = list(pool.map(work, range(len(_FLEET))))
    return Quiet(
        sum(one.hours for one in found),
        found[0].row_count,
        dict(sum((Counter(one.raised) for one in found), Counter())),
    )


def kind_hours(kind: int, *, size: int, cycles: int, seed: int) -> Quiet:
    """Packs of one kind, so many cycles each."""
    group = _group(kind, size, cycles, seed)
    raised = _count(group, cycles)
    hours = cycles * _BOARD.period_second / 3600.0 * size
    return Quiet(hours, len(group.diagnostics.rows), dict(raised))


def _group(kind: int, size: int, cycles: int, seed: int) -> _Group:
    """Packs of one kind, which differ by their cells, their charge and their drives."""
    chemistry, profile, rate, celsius = _FLEET[kind]
    configs = [
        TwinConfig(
            "sound",
            chemistry=chemistry,
            series_count=_CELLS,
            nominal_capacity_ah=_CAPACITY_AH,
            period_second=_BOARD.period_second,
            duration_second=(cycles + 1) * _BOARD.period_second,
            seed=1000 * seed + 100 * kind + number,
            profile=profile,
            soc_fraction=0.3 + 0.6 * number / size,
            discharge_rate=rate,
            ambient_temperature_celsius=celsius,
        )
        for number in range(size)
    ]
    table = diagnose.diagnostics_of(configs[0].pack(), _BOARD)
    return _Group(configs, table, np.random.default_rng(seed + kind))


def _count(group: _Group, cycles: int) -> Counter[str]:
    """Rows raised by a group of packs, each time that one is."""
    size = len(group.configs)
    state = diagnose.begin(group.diagnostics, _CELLS, (size,))
    raised: Counter[str] = Counter()
    for senses in _moments(group, cycles):
        state, fresh = _go(group.diagnostics, state, senses)
        for row in fresh:
            raised[group.diagnostics.rows[row].name] += 1
    return raised


def _go(
    table: Diagnostics, state: DiagnosticsState, senses: Senses
) -> tuple[DiagnosticsState, np.ndarray]:
    """The state after a cycle, and the row of each alarm that is new in some pack."""
    was = state.tally.active
    after, _ = diagnose.advance(table, state, senses)
    if not after.tally.active.any():
        return after, np.empty(0, dtype=np.int64)
    return after, np.nonzero(after.tally.active & ~was)[-1]


def _moments(group: _Group, cycles: int) -> Iterator[Senses]:
    """What the packs' electronics say, cycle by cycle."""
    pack = group.configs[0].pack()
    states = [twins.start(config) for config in group.configs]
    beliefs = [charges.init(pack, config.soc_fraction) for config in group.configs]
    for start in range(0, cycles, _STRETCH):
        count = min(_STRETCH, cycles - start)
        runs: list[tuple[Frames, Charges]] = []
        for index, config in enumerate(group.configs):
            states[index], frames = twins.step(config, states[index], count)
            beliefs[index], estimate = charges.run(beliefs[index], frames, pack)
            runs.append((frames, estimate))
        yield from _senses(group, runs)


def _senses(group: _Group, runs: list[tuple[Frames, Charges]]) -> Iterator[Senses]:
    def frames(name: str, unit: float) -> np.ndarray:
        columns = np.stack([getattr(run, name) for run, _ in runs], axis=1).astype(np.float64)
        return np.rint(columns / unit) * unit

    def estimates(name: str) -> np.ndarray:
        return np.stack([getattr(run, name) for _, run in runs], axis=1)

    time = np.stack([run.unix_time_second for run, _ in runs], axis=1)
    volt, cell = frames("voltage_volt", _AMPERE), frames("cell_voltage_volt", _VOLT)
    ampere, celsius = (
        frames("current_ampere", _AMPERE),
        frames("cell_temperature_celsius", _CELSIUS),
    )
    innovation, doubt = estimates("innovation_volt"), estimates("innovation_std_volt")
    draw = group.generator.normal
    for index in range(len(time)):
        size = time.shape[1]
        one, none = np.ones(size), np.zeros(size)
        yield Senses(
            clock_second=time[index],
            unix_time_second=time[index],
            voltage_volt=volt[index],
            current_ampere=ampere[index],
            cell_voltage_volt=cell[index],
            cell_temperature_celsius=celsius[index],
            plus_driven=one,
            minus_driven=one,
            precharge_driven=none,
            reference_volt=3.0 + draw(0.0, _REFERENCE_VOLT, (size, 1)),
            monitor_age_second=none[:, None],
            second_cell_voltage_volt=cell[index] + draw(0.0, _SECOND_VOLT, cell[index].shape),
            innovation_volt=innovation[index],
            innovation_std_volt=doubt[index],
            link_voltage_volt=volt[index],
            second_current_ampere=np.rint(
                (ampere[index] + draw(0.0, 0.002 * _CAPACITY_AH, size)) / _HALL
            )
            * _HALL,
            insulation_ohm=5e6 + draw(0.0, 1e5, size),
            gas_fraction=np.abs(draw(0.0, 1e-5, size)),
            coolant_temperature_celsius=celsius[index].mean(axis=-1),
            plus_closed=one,
            minus_closed=one,
            precharge_closed=none,
            interlock_closed=one,
            fuse_intact=one,
            clock_error_second=draw(0.0, 0.05, size),
            memory_intact=one,
            authenticated=one,
            request_age_second=np.abs(draw(0.05, 0.03, size)),
        )


def _car() -> tuple[Pack, Board]:
    """The car's pack, as its label and its motor describe it."""
    chemistry = chemistry_named("NMC")
    typical = tiers(chemistry, _CAR_AH)

    def strong(tier: CellLimits) -> CellLimits:
        return replace(
            tier,
            high_charge_current_ampere=_CAR_AMPERE[0],
            high_discharge_current_ampere=_CAR_AMPERE[1],
        )

    limits = LimitTiers(*(strong(getattr(typical, name)) for name in LimitTiers.__slots__))
    return Pack("car", Cell(chemistry, _CAR_AH, limits), _CAR_CELLS), Board()


def trips(folder: Path) -> Quiet:
    """A car's trips, each second's mean seen ten times; the rows that pack signals can reach."""
    pack, board = _car()
    all_rows = diagnose.diagnostics_of(pack, board).rows
    table = diagnose.diagnostics_of(
        pack, board, tuple(row for row in all_rows if row.name in _TRIP_ROWS)
    )
    columns = _columns(folder)
    lengths = np.array([len(trip) for trip in columns])
    grid = np.full((int(lengths.max()), len(columns), 4), np.nan)
    for index, trip in enumerate(columns):
        grid[: len(trip), index] = trip
    state = diagnose.begin(table, 2, (len(columns),))
    raised: Counter[str] = Counter()
    for cycle in range(len(grid) * _REPEATS):
        second = cycle // _REPEATS
        was = state.tally.active
        state, _ = diagnose.advance(table, state, _moment(grid[second], cycle * 0.1))
        fresh = state.tally.active & ~was & (second < lengths)[:, None]
        for row in np.nonzero(fresh)[-1]:
            raised[table.rows[row].name] += 1
    return Quiet(float(lengths.sum()) / 3600.0, len(table.rows), dict(raised))


def _columns(folder: Path) -> list[np.ndarray]:
    path = folder / "bmw_i3_trips" / "trips_1hz.parquet"
    rows = duckdb.sql(
        "select trip, pack_voltage_V, pack_current_A, pack_temperature_C, pack_temperature_max_C"
        f" from read_parquet('{path}') order by trip, time_s"
    ).fetchnumpy()
    values = np.stack([np.asarray(rows[name], dtype=np.float64) for name in list(rows)[1:]], axis=1)
    _, starts = np.unique(rows["trip"], return_index=True)
    return np.split(values, np.sort(starts)[1:])


def _moment(values: np.ndarray, clock: float) -> Senses:
    size = len(values)
    one, none = np.ones(size), np.zeros(size)
    return Senses(
        clock_second=none + clock,
        unix_time_second=none + clock,
        voltage_volt=values[:, 0],
        current_ampere=values[:, 1],
        cell_voltage_volt=np.full((size, _CAR_CELLS), np.nan),
        cell_temperature_celsius=values[:, 2:],
        plus_driven=one,
        minus_driven=one,
        precharge_driven=none,
    )

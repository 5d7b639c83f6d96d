"""Balancing: who has too much, who gives it away when, how long it takes and what it costs.

Rules
- Measure, level, measure again. A debt is set from what is known of the cells and counted down with
  the charge that really left; nobody measures while cells are levelled, because an estimate that
  counts the pack's current does not see the bleeding.
- By charge (`method="charge"`): a cell owes its excess (`control.imbalance`) where that is above
  the threshold with two standard deviations to spare. Where no charge is known, and with
  `method="voltage"`, the charge is read from voltages after `rest_second` of rest, and a cell owes
  only if its voltage stands `start_volt` above the lowest; it stops when it is within `stop_volt`.
- An estimate may or may not have noticed what was levelled since. A cell owes the lesser of what
  either says, until the pack has rested where its voltage tells the charges well enough by itself:
  nobody bleeds twice for one excess.
- A cell that the estimate now holds, with two deviations to spare, to have less than the others
  owes nothing any more.
- Passive: bleed resistors (`control.bleed`). Active (`shuttle_ampere` above zero): one converter
  carries charge from the cell with the most to the one with the least, at its efficiency.
- Nothing is levelled where it is not allowed, where a temperature is missing or too high.
"""

from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from jaxtyping import Float64

from cellwarden.control.bleed import Bleed, bleed_hours, choose, turn_of
from cellwarden.control.imbalance import Excess, charge_at_rest, excess_of, level_of
from cellwarden.domain import Board, Charge, Condition, Interval, Pack, Reading
from cellwarden.errors import UsageError

__all__ = ["Balanced", "Balancing", "Levelling", "Move", "balancing_of", "step"]

_NAN: Final = float("nan")
_STD_COUNT: Final = 2.0
_COVERAGE: Final = 0.95
_HOUR: Final = 3600.0
_TELL_TURNS: Final = 6  # turns after which the time left is worked out anew
_LONGEST_SECOND: Final = 60.0  # a gap longer than this is not counted as bleeding

Cells = Float64[np.ndarray, " cell"]


@dataclass(frozen=True, slots=True)
class Balancing:
    """How a pack is levelled.

    Raises:
        UsageError: thresholds that do not nest, or a converter that makes charge.
    """

    pack: Pack
    bleed: Bleed = field(default_factory=Bleed)
    method: Literal["charge", "voltage"] = "charge"
    level_fraction: float = 1.0
    start_fraction: float = 0.005
    start_volt: float = 0.010
    stop_volt: float = 0.005
    rest_second: float = 1800.0
    rest_rate_per_hour: float = 0.01
    settle_second: float = 3600.0
    stale_second: float = 60.0
    shuttle_ampere: float = 0.0
    shuttle_efficiency_fraction: float = 0.9

    def __post_init__(self) -> None:
        if not (
            0.0 < self.stop_volt <= self.start_volt
            and self.start_fraction > 0.0
            and 0.0 <= self.level_fraction <= 1.0
            and self.shuttle_ampere >= 0.0
            and 0.0 < self.shuttle_efficiency_fraction <= 1.0
        ):
            raise UsageError(
                "balancing starts above the threshold at which it stops",
                hint="Check start_fraction, start_volt, stop_volt and the shuttle's efficiency.",
            )


def balancing_of(pack: Pack, board: Board) -> Balancing:
    """Balancing of a pack on a board; no cell is bled that holds less than a tenth."""
    kind = pack.cell.chemistry
    low = float(np.interp(0.1, kind.ocv_soc_fraction, kind.ocv_volt))
    return Balancing(pack, Bleed(cells_per_chip_count=board.cells_per_monitor_count, low_volt=low))


@dataclass(frozen=True, slots=True)
class Move:
    """A converter carries charge from one cell to another."""

    source: int
    sink: int
    ampere: float


@dataclass(frozen=True, slots=True, eq=False)
class Levelling:
    """What is levelled now, what is left of it, and why not more.

    `debt_ah` is what each cell still owes (active: below zero where it shall get some), `hours` and
    `hours_band` the time left if it may go on from now, `cost_wh` the energy that will be lost.
    """

    balance: tuple[bool, ...]
    moves: tuple[Move, ...]
    measuring: bool
    debt_ah: Cells
    hours: float
    hours_band: Interval | None
    cost_wh: float
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Balanced:
    """What the next step needs. `lost_wh` and `moved_ah` count from the beginning."""

    debt_ah: Cells
    std_ah: Cells
    unseen_ah: Cells
    clock_second: float = _NAN
    rest_clock_second: float = _NAN  # since when the pack rests
    levelled_clock_second: float = float("-inf")
    turn_index: int | None = None
    moved_ah: float = 0.0
    lost_wh: float = 0.0
    told: Levelling | None = None
    busy: tuple[int, ...] = ()  # cells that give

    @staticmethod
    def begin(cell_count: int) -> "Balanced":
        """Nothing owed, nothing known."""
        return Balanced(np.zeros(cell_count), np.zeros(cell_count), np.zeros(cell_count))


def step(
    settings: Balancing,
    state: Balanced,
    reading: Reading,
    charge: Charge | None = None,
    condition: Condition | None = None,
    *,
    allowed: bool,
) -> tuple[Balanced, Levelling]:
    """Cells to level from now on. [Ah, h, Wh]"""
    clock = reading.clock_second
    volt = _cell_volt(settings, reading)
    state = _count(settings, state, clock, volt)
    state = _rest(settings, state, clock, reading.frame.current_ampere)
    turn = turn_of(settings.bleed, clock)
    hottest = _hottest(reading)
    why = _forbidden(settings, hottest, allowed=allowed)
    told = state.told
    same = told is not None and turn.index == state.turn_index
    # Whoever gives must be read and hold enough all the while.
    well = all(volt[cell] >= settings.bleed.low_volt for cell in state.busy)
    if told is not None and same and well and (told.measuring, told.reason) == (turn.quiet, why):
        return state, replace(told, debt_ah=state.debt_ah)
    before = state.debt_ah
    if not same:
        state = _measure(settings, state, reading, charge, condition)
        state = replace(state, turn_index=turn.index)
    balance, moves = (False,) * len(volt), tuple[Move, ...]()
    if not why and not turn.quiet:
        if settings.shuttle_ampere > 0.0:
            moves = _moves(settings, state, volt)
        else:
            chosen = choose(settings.bleed, state.debt_ah, volt, hottest, turn)
            balance = tuple(chosen.tolist())
    busy = (*np.flatnonzero(balance).tolist(), *(move.source for move in moves))
    if (
        told is None
        or told.reason != why
        or (not same and turn.index % _TELL_TURNS == 0)
        or not np.array_equal(before, state.debt_ah)
    ):
        hours, band = _hours(settings, state, volt, hottest)
    else:
        hours, band = told.hours, told.hours_band
    told = Levelling(
        balance,
        moves,
        turn.quiet,
        state.debt_ah,
        hours,
        band,
        _cost(settings, state.debt_ah, volt),
        why,
    )
    return replace(state, told=told, busy=busy), told


def _cell_volt(settings: Balancing, reading: Reading) -> Cells:
    volt = reading.frame.cell_voltage_volt
    if len(volt) != settings.pack.series_count:
        return np.full(settings.pack.series_count, _NAN)
    return volt.astype(np.float64)


def _hottest(reading: Reading) -> float:
    """The hottest sensor; NaN where one is missing, for that one may be the hottest. [°C]"""
    celsius = reading.frame.cell_temperature_celsius
    return float(celsius.max()) if len(celsius) else _NAN


def _forbidden(settings: Balancing, hottest: float, *, allowed: bool) -> str:
    if not allowed:
        return "not allowed in this state"
    if not np.isfinite(hottest):
        return "a temperature is missing"
    return "too hot" if hottest > settings.bleed.high_cell_celsius else ""


def _count(settings: Balancing, state: Balanced, clock: float, volt: Cells) -> Balanced:
    """Takes what has gone since the last step off the debts."""
    passed, told = clock - state.clock_second, state.told
    state = replace(state, clock_second=clock)
    if told is None or not state.busy or not passed > 0.0:
        return state
    hours = min(passed, _LONGEST_SECOND) / _HOUR
    taken = np.zeros(len(volt))
    moved = lost = 0.0
    known = np.where(np.isfinite(volt), volt, settings.pack.cell.chemistry.nominal_voltage_volt)
    if any(told.balance):
        gone = np.where(told.balance, known / settings.bleed.ohm * hours, 0.0)
        taken += gone
        moved, lost = float(gone.sum()), float(gone @ known)
    for move in told.moves:
        given = move.ampere * hours
        taken[move.source] += given
        taken[move.sink] -= settings.shuttle_efficiency_fraction * given
        moved += given
        lost += (1.0 - settings.shuttle_efficiency_fraction) * given * float(known[move.source])
    return replace(
        state,
        debt_ah=state.debt_ah - taken,
        unseen_ah=state.unseen_ah + taken,
        levelled_clock_second=clock,
        moved_ah=state.moved_ah + moved,
        lost_wh=state.lost_wh + lost,
    )


def _rest(settings: Balancing, state: Balanced, clock: float, ampere: float) -> Balanced:
    """Since when the pack rests; a current that is not read is no rest."""
    still = settings.rest_rate_per_hour * settings.pack.nominal_capacity_ah
    if not abs(ampere) <= still:
        return replace(state, rest_clock_second=_NAN)
    if state.rest_clock_second <= clock:
        return state
    return replace(state, rest_clock_second=clock)


def _measure(
    settings: Balancing,
    state: Balanced,
    reading: Reading,
    charge: Charge | None,
    condition: Condition | None,
) -> Balanced:
    """Sets debts where cells are quiet long enough, and forgives those that went too far."""
    state, excess = _seen(settings, state, reading, charge, condition)
    if excess is None:
        return state
    if _owing(settings, state):
        below = excess.charge_ah + _STD_COUNT * excess.std_ah < 0.0
        if settings.method == "voltage":
            volt = _cell_volt(settings, reading)
            below |= volt - np.nanmin(volt) < settings.stop_volt
        return replace(
            state, debt_ah=np.where(below, np.minimum(state.debt_ah, 0.0), state.debt_ah)
        )
    if reading.clock_second - state.levelled_clock_second < settings.settle_second:
        return state
    start = settings.start_fraction * settings.pack.nominal_capacity_ah
    sure = excess.charge_ah - _STD_COUNT * excess.std_ah > start
    if settings.method == "voltage":
        volt = _cell_volt(settings, reading)
        sure &= volt - np.nanmin(volt) > settings.start_volt
    debt = np.where(sure, excess.charge_ah, 0.0)
    if settings.shuttle_ampere > 0.0 and sure.any():
        debt = level_of(excess.room_ah, settings.shuttle_efficiency_fraction) - excess.room_ah
        debt = np.nan_to_num(debt)
    return replace(state, debt_ah=debt, std_ah=np.where(debt != 0.0, excess.std_ah, 0.0))


def _owing(settings: Balancing, state: Balanced) -> bool:
    """Whether somebody has to give; of a carried charge, less than a hundredth is not worth it."""
    if settings.shuttle_ampere > 0.0:
        least = 0.1 * settings.start_fraction * settings.pack.nominal_capacity_ah
        return bool(state.debt_ah.max() > least and state.debt_ah.min() < 0.0)
    return bool((state.debt_ah > 0.0).any())


def _seen(
    settings: Balancing,
    state: Balanced,
    reading: Reading,
    charge: Charge | None,
    condition: Condition | None,
) -> tuple[Balanced, Excess | None]:
    """Excess by rest where that is sharp, else by the estimate, else by rest as it is."""
    rested = _rested(settings, state, reading, condition)
    start = settings.start_fraction * settings.pack.nominal_capacity_ah
    if rested is not None and float(np.max(rested.std_ah)) <= start:
        return replace(state, unseen_ah=np.zeros(len(state.unseen_ah))), rested
    frame, count = reading.frame, settings.pack.series_count
    if (
        settings.method == "voltage"
        or charge is None
        or len(charge.soc_fraction) != count
        or not abs(frame.unix_time_second - charge.unix_time_second) <= settings.stale_second
    ):
        return state, rested
    noticed = _excess(settings, charge, condition)
    if not state.unseen_ah.any():
        return state, noticed
    gone = state.unseen_ah / settings.pack.nominal_capacity_ah
    missed = _excess(settings, replace(charge, soc_fraction=charge.soc_fraction - gone), condition)
    least = np.minimum(noticed.charge_ah, missed.charge_ah)
    return state, replace(
        noticed, charge_ah=least, std_ah=np.maximum(noticed.std_ah, missed.std_ah)
    )


def _rested(
    settings: Balancing, state: Balanced, reading: Reading, condition: Condition | None
) -> Excess | None:
    if not reading.clock_second - state.rest_clock_second >= settings.rest_second:
        return None
    volt = _cell_volt(settings, reading)
    if not np.isfinite(volt).any():
        return None
    chemistry = settings.pack.cell.chemistry
    return _excess(
        settings, charge_at_rest(chemistry, reading.frame.unix_time_second, volt), condition
    )


def _excess(settings: Balancing, charge: Charge, condition: Condition | None) -> Excess:
    nominal = settings.pack.nominal_capacity_ah
    return excess_of(charge, condition, nominal, settings.level_fraction)


def _moves(settings: Balancing, state: Balanced, volt: Cells) -> tuple[Move, ...]:
    if not _owing(settings, state):
        return ()
    source, sink = int(state.debt_ah.argmax()), int(state.debt_ah.argmin())
    if not volt[source] >= settings.bleed.low_volt or not np.isfinite(volt[sink]):
        return ()
    return (Move(source, sink, settings.shuttle_ampere),)


def _hours(
    settings: Balancing, state: Balanced, volt: Cells, hottest: float
) -> tuple[float, Interval | None]:
    """Time left, and the band in which it lies with the errors of the debts. [h]"""
    if not _owing(settings, state):
        return 0.0, None
    spread = _STD_COUNT * state.std_ah
    hours = []
    for off in (-spread, 0.0 * spread, spread):
        debt = np.where(state.debt_ah > 0.0, state.debt_ah + off, 0.0)
        if settings.shuttle_ampere > 0.0:
            given = float(np.maximum(debt, 0.0).sum())
            hours.append(given / settings.shuttle_ampere / settings.bleed.duty_fraction)
        else:
            hours.append(bleed_hours(settings.bleed, debt, volt, hottest))
    return hours[1], Interval(hours[0], hours[2], _COVERAGE)


def _cost(settings: Balancing, debt_ah: Cells, volt: Cells) -> float:
    """Energy that turns into heat until all is level. [Wh]"""
    known = np.where(np.isfinite(volt), volt, settings.pack.cell.chemistry.nominal_voltage_volt)
    given = float(np.maximum(debt_ah, 0.0) @ known)
    share = 1.0 - settings.shuttle_efficiency_fraction if settings.shuttle_ampere > 0.0 else 1.0
    return share * given

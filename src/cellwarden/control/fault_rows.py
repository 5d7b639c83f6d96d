"""The fault table of a pack: its rows, with limits from the cell's data sheet and the sensors'.

Where limits come from
- Cell voltage, current, temperature: the three tiers of `CellLimits`; `operating` is recorded,
  `recommended` derates or forbids charging, `maximum` opens.
- Deep discharge: 60 % of the lowest voltage, 1.5 V for LFP and 1.7 V for NMC; copper dissolves
  below about that (R. Guo et al., Sci. Rep. 6 (2016) 30248, doi 10.1038/srep30248).
- Cell monitors: 5 mV each over life, so 30 mV between two that do not sample at one moment;
  second reference ±0.5 % (LTC6811 data sheet: 2.985..3.015 V of 3 V). String voltmeter: 0.5 %.
- Current sensors: 1 % of full scale each, full scale the maximum discharge current.
- Thermistors in a pack settle in seconds: 10 K within a cycle is a wire, not heat.
- Insulation: 500 and 100 Ω/V (UN Regulation No. 100, 5.1.3; ISO 6469-3).
- Vent gas: a tenth of a per cent is far above air, 1 % a quarter of hydrogen's lower explosive
  limit (4 %), where industry acts.
"""

from typing import Final, NamedTuple

from cellwarden.control.fault_table import FaultRow, Second, check, millisecond, second
from cellwarden.control.signals import Signal
from cellwarden.domain import Board, Pack, Reaction, Severity

__all__ = ["fault_rows"]

_S: Final = Signal
_R: Final = Reaction


class _Pace(NamedTuple):
    """How fast a kind of fault is raised, how long its delay, its hold and its allowance are."""

    event_count: int
    delay_second: Second
    hold_second: Second
    allowance_second: Second


_AT_ONCE: Final = second(0)
_CELL: Final = _Pace(5, millisecond(200), second(10), second(1))
_AMPERE: Final = _Pace(3, millisecond(100), second(10), millisecond(600))
_CELSIUS: Final = _Pace(10, second(1), second(60), second(3))
_STATE: Final = _Pace(3, millisecond(100), second(5), millisecond(600))
_COIL: Final = _Pace(5, millisecond(100), second(5), second(1))
_FOUND: Final = _Pace(3, second(1), second(10), second(3))  # by a test every second
_SENSOR: Final = _Pace(10, second(1), second(10), second(3))
_SLOW: Final = _Pace(50, second(1), second(60), second(7))
_ONCE: Final = _Pace(1, _AT_ONCE, second(60), millisecond(400))

_TIERS: Final = ("operating", "recommended", "maximum")
_TIER_SEVERITY: Final = (Severity.INFO, Severity.WARNING, Severity.ALARM)
_PHYSICAL: Final = 0.0  # any amount beyond what can be


def fault_rows(pack: Pack, board: Board) -> tuple[FaultRow, ...]:
    """The table of a pack.

    Raises:
        UsageError: the cycle is too slow for a row's allowance.
    """
    rows = (
        *_voltages(pack),
        *_currents(pack),
        *_temperatures(pack),
        *_spreads(),
        *_plausible(pack, board),
        *_readings(board),
        *_path(),
        *_surroundings(),
        *_electronics(board),
    )
    return check(rows, board.period_second)


def _row(
    name: str,
    signal: Signal,
    limit: float,
    pace: _Pace,
    reaction: Reaction,
    *,
    hysteresis: float = 0.0,
    low: bool = False,
    latched: bool | None = None,
    event: str | None = None,
    severity: Severity | None = None,
) -> FaultRow:
    """A row; what opens is an alarm and latches unless it says otherwise."""
    opens = reaction is Reaction.OPEN
    if severity is None:
        severity = Severity.ALARM if reaction >= Reaction.FORBID_CLOSE else Severity.WARNING
    return FaultRow(
        name,
        signal,
        limit,
        hysteresis,
        pace.event_count,
        pace.delay_second if opens else _AT_ONCE,
        pace.hold_second,
        pace.allowance_second,
        severity,
        reaction,
        low,
        opens if latched is None else latched,
        event,
    )


def _tiered(
    name: str,
    signal: Signal,
    limits: tuple[float, float, float],
    pace: _Pace,
    middle: Reaction,
    *,
    hysteresis: float,
    event: str,
    low: bool = False,
) -> tuple[FaultRow, ...]:
    """Three rows: recorded, held back, opened."""
    reactions = (Reaction.RECORD, middle, Reaction.OPEN)
    events = (None, f"{event}_WARNING", f"{event}_ALARM")
    return tuple(
        _row(
            f"{name}_{tier}",
            signal,
            limit,
            pace,
            reaction,
            hysteresis=hysteresis,
            low=low,
            event=told,
            severity=severity,
        )
        for tier, limit, reaction, told, severity in zip(
            _TIERS, limits, reactions, events, _TIER_SEVERITY, strict=True
        )
    )


def _three(pack: Pack, field: str, scale: float = 1.0) -> tuple[float, float, float]:
    tiers = pack.cell.limits
    low, middle, high = (scale * float(getattr(getattr(tiers, tier), field)) for tier in _TIERS)
    return low, middle, high


def _voltages(pack: Pack) -> tuple[FaultRow, ...]:
    limits, count = pack.cell.limits.maximum, pack.series_count
    deep = 0.6 * pack.cell.chemistry.low_voltage_volt
    return (
        *_tiered(
            "cell_voltage_high",
            _S.HIGH_CELL_VOLTAGE,
            _three(pack, "high_voltage_volt"),
            _CELL,
            _R.FORBID_CHARGE,
            hysteresis=0.02,
            event="OVER_VOLT",
        ),
        *_tiered(
            "cell_voltage_low",
            _S.LOW_CELL_VOLTAGE,
            _three(pack, "low_voltage_volt"),
            _CELL,
            _R.DERATE,
            hysteresis=0.05,
            event="UNDER_VOLT",
            low=True,
        ),
        _row(
            "cell_deep_discharge",
            _S.LOW_CELL_VOLTAGE,
            deep,
            _CELL,
            _R.OPEN,
            hysteresis=0.05,
            low=True,
            event="UNDER_VOLT_ALARM",
        ),
        _row(
            "string_voltage_high",
            _S.STRING_VOLTAGE,
            count * limits.high_voltage_volt * 1.005,
            _CELL,
            _R.OPEN,
            hysteresis=count * 0.02,
            event="OVER_VOLT_ALARM",
        ),
        _row(
            "string_voltage_low",
            _S.STRING_VOLTAGE,
            count * limits.low_voltage_volt * 0.995,
            _CELL,
            _R.OPEN,
            hysteresis=count * 0.05,
            low=True,
            event="UNDER_VOLT_ALARM",
        ),
    )


def _currents(pack: Pack) -> tuple[FaultRow, ...]:
    parallel = float(pack.parallel_count)
    hysteresis = 0.05 * pack.nominal_capacity_ah
    rows: tuple[FaultRow, ...] = ()
    for name, signal, event in (
        ("charge", _S.CHARGE_CURRENT, "OVER_CHARGE_CURRENT"),
        ("discharge", _S.DISCHARGE_CURRENT, "OVER_DISCHARGE_CURRENT"),
    ):
        limits = _three(pack, f"high_{name}_current_ampere", parallel)
        rows += _tiered(
            f"{name}_current",
            signal,
            limits,
            _AMPERE,
            _R.DERATE,
            hysteresis=hysteresis,
            event=event,
        )
    return rows


def _temperatures(pack: Pack) -> tuple[FaultRow, ...]:
    rows: tuple[FaultRow, ...] = ()
    for end, way, signal, middle, event in (
        ("high", "charge", _S.HIGH_CHARGE_TEMPERATURE, _R.FORBID_CHARGE, "OVER_TEMP"),
        ("low", "charge", _S.LOW_CHARGE_TEMPERATURE, _R.FORBID_CHARGE, "UNDER_TEMP"),
        ("high", "discharge", _S.HIGH_DISCHARGE_TEMPERATURE, _R.DERATE, "OVER_TEMP"),
        ("low", "discharge", _S.LOW_DISCHARGE_TEMPERATURE, _R.DERATE, "UNDER_TEMP"),
    ):
        rows += _tiered(
            f"{way}_temperature_{end}",
            signal,
            _three(pack, f"{end}_{way}_temperature_celsius"),
            _CELSIUS,
            middle,
            hysteresis=2.0,
            event=event,
            low=end == "low",
        )
    return rows


def _spreads() -> tuple[FaultRow, ...]:
    return (
        _row(
            "voltage_spread",
            _S.VOLTAGE_SPREAD,
            0.10,
            _SLOW,
            _R.WARN,
            hysteresis=0.02,
            event="VOLTAGE_IMBALANCE_WARNING",
        ),
        _row(
            "voltage_spread_large",
            _S.VOLTAGE_SPREAD,
            0.30,
            _SLOW,
            _R.FORBID_CHARGE,
            hysteresis=0.02,
            event="VOLTAGE_IMBALANCE_WARNING",
        ),
        _row(
            "temperature_spread",
            _S.TEMPERATURE_SPREAD,
            10.0,
            _SLOW,
            _R.WARN,
            hysteresis=2.0,
            event="TEMPERATURE_IMBALANCE_WARNING",
        ),
        _row(
            "temperature_spread_large",
            _S.TEMPERATURE_SPREAD,
            20.0,
            _SLOW,
            _R.DERATE,
            hysteresis=2.0,
            event="TEMPERATURE_IMBALANCE_ALARM",
        ),
    )


def _plausible(pack: Pack, board: Board) -> tuple[FaultRow, ...]:
    count, limits = pack.series_count, pack.cell.limits.maximum
    full = limits.high_discharge_current_ampere * pack.parallel_count
    total = count * (0.005 * limits.high_voltage_volt + 0.005)
    return (
        _row("second_monitor", _S.SECOND_MONITOR, 0.03, _SENSOR, _R.FORBID_CLOSE, hysteresis=0.01),
        _row("cell_sum", _S.CELL_SUM, total, _SENSOR, _R.FORBID_CLOSE, hysteresis=0.2 * total),
        _row(
            "reference_voltage",
            _S.REFERENCE,
            0.005 * board.reference_volt,
            _SENSOR,
            _R.OPEN,
            hysteresis=0.001 * board.reference_volt,
        ),
        _row(
            "second_current",
            _S.SECOND_CURRENT,
            0.02 * full,
            _SENSOR,
            _R.FORBID_CLOSE,
            hysteresis=0.005 * full,
        ),
        _row("model_voltage", _S.MODEL, 5.0, _SLOW, _R.WARN, hysteresis=1.0),
        _row(
            "open_contactor_current",
            _S.OPEN_CURRENT,
            0.01 * full,
            _COIL,
            _R.FORBID_CLOSE,
            hysteresis=0.002 * full,
            latched=True,
            event="CONTACTOR_ERROR",
        ),
        _row("temperature_jump", _S.TEMPERATURE_JUMP, 10.0, _ONCE, _R.WARN),
    )


def _readings(board: Board) -> tuple[FaultRow, ...]:
    lost = "COMMUNICATION_ERROR"
    fuse = 2.0 * board.fuse_ampere
    return (
        _row("open_wire", _S.OPEN_WIRE, 0.5, _FOUND, _R.OPEN),
        _row("cell_voltage_frozen", _S.CELL_FROZEN, 5.0, _STATE, _R.OPEN),
        _row("string_voltage_frozen", _S.STRING_FROZEN, 5.0, _STATE, _R.FORBID_CLOSE),
        _row("current_frozen", _S.CURRENT_FROZEN, 5.0, _STATE, _R.OPEN),
        _row("temperature_frozen", _S.TEMPERATURE_FROZEN, 60.0, _STATE, _R.DERATE),
        _row("cell_voltage_missing", _S.CELL_MISSING, 0.5, _SENSOR, _R.OPEN, event=lost),
        _row("string_voltage_missing", _S.STRING_MISSING, 0.5, _SENSOR, _R.FORBID_CLOSE),
        _row("current_missing", _S.CURRENT_MISSING, 0.5, _SENSOR, _R.OPEN, event=lost),
        _row("temperature_missing", _S.TEMPERATURE_MISSING, 0.5, _SENSOR, _R.DERATE),
        _row("temperature_blind", _S.TEMPERATURES_LEFT, 0.5, _SENSOR, _R.OPEN, low=True),
        _row("cell_voltage_stale", _S.VOLTAGE_AGE, 1.0, _STATE, _R.OPEN, event=lost),
        _row("current_stale", _S.CURRENT_AGE, 1.0, _STATE, _R.OPEN, event=lost),
        _row("monitor_stale", _S.MONITOR_AGE, 1.0, _STATE, _R.OPEN, event=lost),
        _row("cell_voltage_impossible", _S.CELL_IMPOSSIBLE, _PHYSICAL, _COIL, _R.OPEN),
        _row("string_voltage_impossible", _S.STRING_IMPOSSIBLE, _PHYSICAL, _COIL, _R.FORBID_CLOSE),
        _row("current_impossible", _S.CURRENT_IMPOSSIBLE, fuse, _STATE, _R.OPEN),
        _row("temperature_impossible", _S.TEMPERATURE_IMPOSSIBLE, _PHYSICAL, _SENSOR, _R.DERATE),
    )


def _path() -> tuple[FaultRow, ...]:
    told = "CONTACTOR_ERROR"
    return (
        _row("contactor_plus_feedback", _S.PLUS_FEEDBACK, 0.5, _COIL, _R.OPEN, event=told),
        _row("contactor_minus_feedback", _S.MINUS_FEEDBACK, 0.5, _COIL, _R.OPEN, event=told),
        _row(
            "contactor_precharge_feedback", _S.PRECHARGE_FEEDBACK, 0.5, _COIL, _R.OPEN, event=told
        ),
        _row("contactor_weld", _S.WELD, 0.5, _COIL, _R.FORBID_CLOSE, latched=True, event=told),
        _row(
            "precharge_failed", _S.PRECHARGE, 0.5, _ONCE, _R.FORBID_CLOSE, latched=True, event=told
        ),
        _row(
            "insulation_low",
            _S.INSULATION,
            500.0,
            _SLOW,
            _R.WARN,
            hysteresis=50.0,
            low=True,
            event="OTHER_WARNING",
        ),
        _row(
            "insulation_lost",
            _S.INSULATION,
            100.0,
            _SENSOR,
            _R.OPEN,
            hysteresis=50.0,
            low=True,
            event="GROUND_FAULT",
        ),
        _row("interlock_open", _S.INTERLOCK, 0.5, _STATE, _R.OPEN, event="OPEN_DOOR_ERROR"),
        _row("fuse_blown", _S.FUSE, 0.5, _STATE, _R.OPEN, event="OTHER_ALARM"),
    )


def _surroundings() -> tuple[FaultRow, ...]:
    return (
        _row(
            "gas_seen",
            _S.GAS,
            0.001,
            _SENSOR,
            _R.FORBID_CHARGE,
            hysteresis=0.0002,
            event="OTHER_WARNING",
        ),
        _row(
            "gas_high",
            _S.GAS,
            0.01,
            _STATE,
            _R.OPEN,
            hysteresis=0.002,
            event="OTHER_ALARM",
        ),
        _row(
            "runaway_suspected",
            _S.RUNAWAY,
            0.5,
            _STATE,
            _R.FORBID_CHARGE,
            event="OTHER_WARNING",
        ),
        _row("runaway_imminent", _S.RUNAWAY, 1.5, _STATE, _R.OPEN, event="OTHER_ALARM"),
        _row(
            "coolant_hot",
            _S.COOLANT,
            60.0,
            _CELSIUS,
            _R.DERATE,
            hysteresis=5.0,
            event="FAN_ERROR",
        ),
    )


def _electronics(board: Board) -> tuple[FaultRow, ...]:
    lost = "COMMUNICATION_ERROR"
    late = 5.0 * board.period_second
    return (
        _row("clock_error", _S.CLOCK_ERROR, 2.0, _SENSOR, _R.WARN, hysteresis=0.5),
        _row("clock_backwards", _S.CLOCK_BACKWARDS, 0.1, _ONCE, _R.WARN),
        _row("cycle_late", _S.CYCLE, late, _ONCE, _R.WARN, event="OTHER_WARNING"),
        _row("memory_damaged", _S.MEMORY, 0.5, _STATE, _R.FORBID_CLOSE, latched=True),
        _row(
            "authentication_failed",
            _S.AUTHENTICATION,
            0.5,
            _STATE,
            _R.FORBID_CLOSE,
            latched=True,
            event="CONFIGURATION_ALARM",
        ),
        _row("bus_errors", _S.BUS_ERRORS, 0.5, _SENSOR, _R.WARN, event=lost),
        _row("chip_frame_errors", _S.FRAME_ERRORS, 0.5, _SENSOR, _R.WARN, event=lost),
        _row("chain_broken", _S.CHAIN, 0.5, _COIL, _R.OPEN, event=lost),
        _row("master_lost", _S.MASTER, 1.0, _STATE, _R.STANDBY, event=lost),
    )

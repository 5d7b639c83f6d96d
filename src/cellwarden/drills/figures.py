"""What a drill of the faults prints: its figures by name, and a row for each fault."""

from collections.abc import Iterable
from math import isnan
from typing import Any

from cellwarden.drills.clean import Quiet
from cellwarden.drills.faults import Outcome
from cellwarden.drills.runaway import Warned

__all__ = ["clean_figures", "fault_figures", "fault_summaries", "warning_figures"]

_Figure = dict[str, Any]


def fault_summaries(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """One row a fault: how often injected and seen, how fast, down to which magnitude."""
    by_row: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_row.setdefault(outcome.row, []).append(outcome)
    return [_row(name, found) for name, found in by_row.items()]


def _row(name: str, found: list[Outcome]) -> dict[str, Any]:
    beyond = [one for one in found if one.beyond]
    slowest = max((one.reaction_second for one in beyond if one.detected), default=0.0)
    return {
        "row": name,
        "place": found[0].place,
        "conditions": len({one.condition for one in found}),
        "injected": len(found),
        "beyond": len(beyond),
        "detected": sum(one.detected for one in beyond),
        "late": sum(one.late for one in beyond),
        "raised_within_limit": sum(one.detected for one in found if not one.beyond),
        "slowest_second": round(slowest, 3),
        "allowance_second": found[0].allowance_second,
        "smallest_detected": _smallest(beyond),
        "of_limit": found[0].limit is not None,
        "low": found[0].limit is not None and found[0].level < found[0].limit,
        "unit": found[0].unit,
    }


def _smallest(beyond: list[Outcome]) -> float | None:
    """The smallest that was seen in the condition in which least was; beyond the limit if any."""
    by_condition: dict[str, float] = {}
    for one in beyond:
        if one.detected:
            known = by_condition.get(one.condition, one.margin)
            by_condition[one.condition] = min(known, one.margin)
    return round(max(by_condition.values()), 7) if by_condition else None


def fault_figures(outcomes: list[Outcome]) -> list[_Figure]:
    """Detected, late, and how much was tried."""
    beyond = [one for one in outcomes if one.beyond]
    within = [one for one in outcomes if not one.beyond]
    detected = sum(one.detected for one in beyond)
    data = f"emulated pack of 24 cells, {len({one.condition for one in outcomes})} conditions"
    figures: list[tuple[str, float, str, str]] = [
        ("faults.detected_fraction", detected / max(len(beyond), 1), "1", "1.0"),
        ("faults.late_count", sum(one.late for one in beyond), "1", "0"),
        ("faults.raised_within_limit_count", sum(one.detected for one in within), "1", "0"),
        ("faults.row_count", len({one.row for one in outcomes}), "1", ""),
        ("faults.injection_count", len(outcomes), "1", ""),
        ("faults.beyond_limit_count", len(beyond), "1", ""),
    ]
    return [_figure(*figure, data=data) for figure in figures]


def clean_figures(quiet: Quiet, car: Quiet | None) -> list[_Figure]:
    """False alarms with the bound that the hours allow."""
    made = _clean("faults", quiet, f"sound twins, {quiet.hours:.0f} h, {quiet.row_count} rows")
    if car is not None:
        data = f"bmw_i3_trips, 46 trips, {car.hours:.1f} h, {car.row_count} rows"
        made += _clean("faults.trips", car, data)
    return made


def _clean(prefix: str, quiet: Quiet, data: str) -> list[_Figure]:
    return [
        _figure(f"{prefix}.false_alarms_per_month", quiet.alarms_per_month, "1", "", data=data),
        _figure(
            f"{prefix}.false_alarms_per_month_bound", quiet.bound_per_month, "1", "", data=data
        ),
        _figure(f"{prefix}.clean_hours", quiet.hours, "h", "", data=data),
    ]


def warning_figures(warned: Iterable[Warned]) -> list[_Figure]:
    """How early each runaway was told."""
    made = []
    for one in warned:
        name = "".join(letter if letter.isalnum() else "_" for letter in one.name.lower())
        stem = f"faults.runaway.{'_'.join(part for part in name.split('_') if part)}"
        for what, second in (
            ("warning_before_peak_s", one.before_peak_second),
            ("warning_after_onset_s", one.after_onset_second),
        ):
            if not isnan(second):
                made.append(_figure(f"{stem}.{what}", second, "s", "", data=one.name))
    return made


def _figure(name: str, value: float, unit: str, goal: str, *, data: str) -> _Figure:
    made: _Figure = {"name": name, "value": round(value, 4), "unit": unit, "data": data}
    return made | ({"goal": goal} if goal else {})

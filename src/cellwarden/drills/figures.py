"""What a drill of the faults prints: its figures by name, and a row for each fault."""

from collections.abc import Iterable
from typing import Any

from cellwarden.drills.clean import Quiet
from cellwarden.drills.faults import Outcome

__all__ = ["clean_figures", "fault_figures", "fault_rows"]

_Figure = dict[str, Any]


def fault_rows(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """One row a fault: how often injected and seen, how fast, down to which magnitude."""
    by_row: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_row.setdefault(outcome.row, []).append(outcome)
    return [_row(name, found) for name, found in by_row.items()]


def _row(name: str, found: list[Outcome]) -> dict[str, Any]:
    beyond = [one for one in found if one.beyond]
    seen = [one for one in found if one.detected]
    slowest = max((one.reaction_second for one in beyond if one.detected), default=0.0)
    # Levels run from far beyond a limit to just within it.
    last = {one.condition: one for one in found if one.detected}
    missed = {one.condition: one for one in reversed(found) if not one.detected}
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
        "smallest_detected": _nearest(list(last.values())) if seen else None,
        "largest_missed": _nearest(list(missed.values())),
        "unit": found[0].unit,
    }


def _nearest(ends: list[Outcome]) -> float | None:
    """The end of the sweep that lies nearest to the limit, of all conditions."""
    if not ends:
        return None
    levels = [one.level for one in ends]
    return round(sorted(levels)[len(levels) // 2], 6)


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


def _figure(name: str, value: float, unit: str, goal: str, *, data: str) -> _Figure:
    made: _Figure = {"name": name, "value": round(value, 4), "unit": unit, "data": data}
    return made | ({"goal": goal} if goal else {})

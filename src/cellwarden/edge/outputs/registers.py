"""A pack as SunSpec registers: models 1, 802, 803 and 805, one string of one module.

Rules
- Positive current and power charge.
- What is not known is "not implemented", never zero. Two exceptions, on the safe side: limits that
  are not known are zero, and an unknown state of charge does not stop the map from being read.
- Limits are rounded down. Powers of ten are chosen once for a pack, so that they never change.
- Cells have temperatures of their own only where there is a sensor for each.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from cellwarden.control.fault_table import SUNSPEC_EVENTS
from cellwarden.domain import Pack
from cellwarden.edge.drivers import sunspec
from cellwarden.edge.drivers.field import Field, encode
from cellwarden.edge.outputs.view import PackView

__all__ = ["Powers", "encode_map", "powers_of"]

_LIMIT_POINTS: Final = frozenset({"AChaMax", "ADisChaMax", "WChaRteMax", "WDisChaRteMax"})
_STATES: Final = {
    "init": 2,
    "self_test": 2,
    "standby": 4,
    "precharge": 2,
    "connected": 3,
    "balancing": 4,
    "opening": 6,
    "error": 99,
    "service": 1,
}
_DISCONNECTED, _CONNECTED = 1, 3
_LITHIUM_ION: Final = 4
_REST_AMPERE: Final = 0.05  # of the capacity, a twentieth of an hour's current counts as rest
_FULL, _EMPTY = 0.995, 0.005
_STRING_ENABLED, _STRING_CLOSED = 1, 2
_NAME: Final = ("Cellwarden", "edge", "", "1", "")
_TEXT_BYTES: Final = (32, 32, 16, 16, 32)


@dataclass(frozen=True, slots=True)
class Powers:
    """The powers of ten of one pack's registers."""

    values: dict[str, float]


def powers_of(pack: Pack) -> Powers:
    """Powers of ten that the pack's numbers fit into with the finest step."""
    limits = pack.cell.limits.maximum
    ampere = pack.parallel_count * max(
        limits.high_charge_current_ampere, limits.high_discharge_current_ampere
    )
    volt = 1.25 * pack.series_count * limits.high_voltage_volt
    ampere_hour = 1.5 * pack.nominal_capacity_ah
    signed, unsigned = 32767.0, 65534.0
    return Powers(
        {
            "AHRtg_SF": _power(ampere_hour, unsigned),
            "WHRtg_SF": _power(ampere_hour * volt, unsigned),
            "WChaDisChaMax_SF": _power(ampere * volt, unsigned),
            "DisChaRte_SF": -1.0,
            "SoC_SF": -2.0,
            "DoD_SF": -2.0,
            "SoH_SF": -2.0,
            "V_SF": _power(volt, unsigned),
            "CellV_SF": _power(1.25 * limits.high_voltage_volt, unsigned, -4),
            "A_SF": _power(2.0 * ampere, signed),
            "AMax_SF": _power(ampere, unsigned),
            "W_SF": _power(2.0 * ampere * volt, signed),
            "ModTmp_SF": -1.0,
            "Tmp_SF": -1.0,
        }
    )


def encode_map(view: PackView, powers: Powers, count: int) -> bytes:
    """The whole map from "SunS" to its end; `count` is the heartbeat."""
    end = sunspec.END.to_bytes(2, "big") + bytes(2)
    return (
        sunspec.IDENTIFIER
        + _identity(view.pack)
        + _bank(view, powers, count)
        + _strings(view, powers)
        + _modules(view, powers)
        + end
    )


def _bank(view: PackView, powers: Powers, count: int) -> bytes:
    pack, frame = view.pack, view.frame
    chemistry = pack.cell.chemistry
    energy = pack.nominal_capacity_ah * pack.series_count * chemistry.nominal_voltage_volt
    allowed = view.allowance
    values = {
        "AHRtg": pack.nominal_capacity_ah,
        "WHRtg": energy,
        "WChaRteMax": allowed.charge_watt if allowed else 0.0,
        "WDisChaRteMax": allowed.discharge_watt if allowed else 0.0,
        "SoC": view.soc_fraction,
        "DoD": 1.0 - view.soc_fraction,
        "SoH": view.soh_fraction,
        "ChaSt": _charging(view),
        "LocRemCtl": 1.0,
        "Hb": float(count % 65535),
        "AlmRst": 0.0,
        "Typ": float(_LITHIUM_ION),
        "State": float(_state(view)),
        "Evt1": float(_events(view)),
        "Evt2": 0.0,
        "EvtVnd1": 0.0,
        "EvtVnd2": 0.0,
        "V": frame.voltage_volt,
        "VMax": pack.series_count * chemistry.high_voltage_volt,
        "VMin": pack.series_count * chemistry.low_voltage_volt,
        "CellVMax": view.highest_cell_voltage_volt,
        "CellVMin": view.lowest_cell_voltage_volt,
        "CellVAvg": view.mean_cell_voltage_volt,
        "A": frame.current_ampere,
        "AChaMax": allowed.charge_ampere if allowed else 0.0,
        "ADisChaMax": allowed.discharge_ampere if allowed else 0.0,
        "W": view.power_watt,
    }
    return _model(802, sunspec.BANK, values, powers)


def _strings(view: PackView, powers: Powers) -> bytes:
    frame, closed = view.frame, view.contactors_closed
    values = {
        "NStr": 1.0,
        "NStrCon": float(closed),
        **_heat("ModTmp", view),
        "StrVMax": frame.voltage_volt,
        "StrVMin": frame.voltage_volt,
        "StrVAvg": frame.voltage_volt,
        "StrAMax": frame.current_ampere,
        "StrAMin": frame.current_ampere,
        "StrAAvg": frame.current_ampere,
        "NCellBal": float(view.balancing_count),
    }
    string = {
        "StrNMod": 1.0,
        "StrSt": float(_STRING_ENABLED | (_STRING_CLOSED if closed else 0)),
        "StrSoC": view.soc_fraction,
        "StrSoH": view.soh_fraction,
        "StrA": frame.current_ampere,
        "StrCellVMax": view.highest_cell_voltage_volt,
        "StrCellVMin": view.lowest_cell_voltage_volt,
        "StrCellVAvg": view.mean_cell_voltage_volt,
        **_heat("StrModTmp", view),
        "StrEvt1": float(_events(view)),
    }
    head = _model(803, sunspec.LITHIUM_BANK, values, powers, sunspec.STRING.size)
    return head + _points(sunspec.STRING, string, powers.values)


def _modules(view: PackView, powers: Powers) -> bytes:
    frame = view.frame
    cells, heat = frame.cell_voltage_volt, frame.cell_temperature_celsius
    own_sensors = len(heat) == len(cells)
    values = {
        "StrIdx": 1.0,
        "ModIdx": 1.0,
        "NCell": float(len(cells)),
        "SoC": view.soc_fraction,
        "SoH": view.soh_fraction,
        "V": frame.voltage_volt,
        "CellVMax": view.highest_cell_voltage_volt,
        "CellVMin": view.lowest_cell_voltage_volt,
        "CellVAvg": view.mean_cell_voltage_volt,
        **_heat("CellTmp", view),
        "NCellBal": float(view.balancing_count),
    }
    head = _model(805, sunspec.MODULE, values, powers, len(cells) * sunspec.CELL.size)
    drained = view.command.balance if view.command else ()
    rows = []
    for place, volt in enumerate(cells):
        cell = {
            "CellV": float(volt),
            "CellTmp": float(heat[place]) if own_sensors else math.nan,
            "CellSt": float(place < len(drained) and drained[place]),
        }
        rows.append(_points(sunspec.CELL, cell, powers.values))
    return head + b"".join(rows)


def _model(
    number: int, table: sunspec.Table, values: dict[str, float], powers: Powers, more: int = 0
) -> bytes:
    length = (table.size + more) // 2 - 2
    return _points(table, {"ID": float(number), "L": float(length), **values}, powers.values)


def _points(table: sunspec.Table, values: dict[str, float], powers: dict[str, float]) -> bytes:
    own = {
        name: power for name, power in powers.items() if any(f.name == name for f in table.fields)
    }
    said = {**own, **values}
    fitting = {f.name: _fit(f, said.get(f.name, math.nan), powers) for f in table.fields}
    return encode(table.fields, fitting, table.size, powers)


def _fit(field: Field, value: float, powers: dict[str, float]) -> float:
    """The value as the field can say it: a limit rounded down, what does not fit left out."""
    power = powers.get(field.exponent, 0.0) if field.exponent else 0.0
    step = field.scale * 10.0**power
    if field.name in _LIMIT_POINTS:
        highest = 65534.0 * step
        return min(math.floor(max(value, 0.0) / step + 1e-6) * step, highest) if value > 0 else 0.0
    return field.fit(value, power)


def _identity(pack: Pack) -> bytes:
    texts = (*_NAME[:-1], pack.name)
    coded = [
        text.encode()[:size].ljust(size, b"\0")
        for text, size in zip(texts, _TEXT_BYTES, strict=True)
    ]
    address, pad = (1).to_bytes(2, "big"), (0x8000).to_bytes(2, "big")
    head = (1).to_bytes(2, "big") + (sunspec.COMMON_BYTES // 2 - 2).to_bytes(2, "big")
    return head + b"".join(coded) + address + pad


def _heat(prefix: str, view: PackView) -> dict[str, float]:
    return {
        f"{prefix}Max": view.highest_temperature_celsius,
        f"{prefix}Min": view.lowest_temperature_celsius,
        f"{prefix}Avg": view.mean_temperature_celsius,
    }


def _events(view: PackView) -> int:
    return sum(1 << SUNSPEC_EVENTS.index(name) for name in view.events if name in SUNSPEC_EVENTS)


def _state(view: PackView) -> int:
    closed = _CONNECTED if view.contactors_closed else _DISCONNECTED
    return _STATES.get(view.state, closed)


def _charging(view: PackView) -> float:
    ampere, soc = view.frame.current_ampere, view.soc_fraction
    if not np.isfinite(ampere):
        return math.nan
    if abs(ampere) > _REST_AMPERE * view.pack.nominal_capacity_ah:
        return 4.0 if ampere > 0 else 3.0
    if soc >= _FULL:
        return 5.0
    return 2.0 if soc <= _EMPTY else 6.0


def _power(highest: float, room: float, finest: int = -3) -> float:
    """The smallest power of ten with which a magnitude still fits; 1 mV is fine enough."""
    return float(max(math.ceil(math.log10(max(highest, 1e-9) / room)), finest))

"""A pack that is controlled over CAN: each cycle a reading comes in and a command goes out.

Rules
- `read` never waits: it shows what the bus has brought by now. What is stale is NaN or None.
- A pack that is silent for `silent_second` is unavailable; its own electronics must open when they
  hear no order, as they must for any control that is lost.
- Contacts and states are two bits each: open, closed, or not known.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from cellwarden.domain import (
    Board,
    Command,
    Contactors,
    Inputs,
    Monitors,
    Reading,
    Request,
)
from cellwarden.edge.drivers import can_table as table
from cellwarden.edge.drivers.can_messages import encode_items, encode_message, encode_pack
from cellwarden.edge.drivers.can_probe import CanProbe
from cellwarden.edge.drivers.line import Bus, BusFrame
from cellwarden.edge.drivers.polled import Layout, check_layout
from cellwarden.errors import UnavailableError

__all__ = ["CanPack", "encode_reading", "encode_request"]

_REQUESTS: Final = tuple(Request)
_BITS_CELLS: Final = 48
_UNKNOWN: Final = 3
_CONTACTS: Final = (
    "plus_feedback_closed",
    "minus_feedback_closed",
    "precharge_feedback_closed",
)
_HEALTH: Final = ("interlock_closed", "fuse_intact", "memory_intact", "authenticated")
_NUMBERS: Final = (
    ("link_voltage_volt", table.INPUTS),
    ("second_current_ampere", table.SECOND),
    ("gas_fraction", table.SECOND),
    ("insulation_ohm", table.AROUND),
    ("coolant_temperature_celsius", table.AROUND),
    ("clock_error_second", table.STATE),
)


class CanPack:
    """A pack on a bus, for a control cycle."""

    def __init__(
        self,
        bus: Bus,
        layout: Layout,
        board: Board,
        *,
        silent_second: float = 0.5,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._probe = CanProbe(bus, layout)
        self._layout = layout
        self._monitor_count = max(
            -(-layout.cell_count // board.cells_per_monitor_count),
            -(-layout.sensor_count // board.sensors_per_monitor_count),
        )
        self._has_second = board.has_second_monitor
        self._silent_second = silent_second
        self._steady = steady
        self._errors = 0

    def read(self) -> Reading:
        """What there is to see in this cycle.

        Raises:
            UnavailableError: the pack is silent.
            DataError: another pack is on the bus.
        """
        if self._probe.drain() > self._silent_second:
            raise UnavailableError(
                "the pack is silent on the bus", hint="Check wiring, termination and its supply."
            )
        counts = [self._probe.fresh(f"{kind}_count", table.STATE) for kind in ("cell", "sensor")]
        if not np.isnan(counts).any():
            check_layout(int(counts[0]), int(counts[1]), self._layout)
        errors = self._probe.refused_count - self._errors
        self._errors = self._probe.refused_count
        frame = self._probe.show(self._probe.now())
        return Reading(self._steady(), frame, self._monitors(), self._inputs(errors))

    def write(self, command: Command) -> None:
        """Send a command.

        Raises:
            UnavailableError: the bus is down.
        """
        self._probe.obey(command)

    def close(self) -> None:
        """Leave the bus."""
        self._probe.close()

    def _monitors(self) -> Monitors:
        places = range(self._monitor_count)

        def column(name: str) -> np.ndarray:
            return np.array([self._probe.fresh(f"{name}_{k}", table.MONITOR) for k in places])

        heard = np.array([self._probe.age(f"age_second_{k}") for k in places])
        wires = [
            self._bits("_cell_bits", table.OPEN_WIRES, group)
            for group in range(-(-self._layout.cell_count // _BITS_CELLS))
        ]
        opened = [
            bool(wires[cell // _BITS_CELLS] >> cell % _BITS_CELLS & 1)
            for cell in range(self._layout.cell_count)
        ]
        second = None
        if self._has_second:
            names = (f"second_cell_voltage_volt_{k}" for k in range(self._layout.cell_count))
            second = np.array([self._probe.fresh(name, table.SECOND_CELLS) for name in names])
        link = self._probe.fresh("broken_link_index", table.STATE)
        return Monitors(
            np.nan_to_num(column("frame_error_count")).astype(np.int64),
            column("reference_volt"),
            np.where(np.isfinite(column("age_second")), column("age_second"), np.inf) + heard,
            np.array(opened, dtype=bool),
            second,
            None if np.isnan(link) else int(link),
        )

    def _inputs(self, errors: int) -> Inputs:
        probe = self._probe
        cells = [probe.age(f"cell_voltage_volt_{k}") for k in range(self._layout.cell_count)]
        asked = probe.fresh("request_index", table.REQUEST)
        known = not np.isnan(asked) and int(asked) < len(_REQUESTS)
        plus, minus, precharge = self._states("contact_bits", len(_CONTACTS))
        interlock, fuse, memory, authentic = self._states("health_bits", len(_HEALTH))
        numbers = {name: probe.fresh(name, message) for name, message in _NUMBERS}
        return Inputs(
            link_voltage_volt=numbers["link_voltage_volt"],
            second_current_ampere=numbers["second_current_ampere"],
            gas_fraction=numbers["gas_fraction"],
            insulation_ohm=numbers["insulation_ohm"],
            coolant_temperature_celsius=numbers["coolant_temperature_celsius"],
            clock_error_second=numbers["clock_error_second"],
            plus_feedback_closed=plus,
            minus_feedback_closed=minus,
            precharge_feedback_closed=precharge,
            interlock_closed=interlock,
            fuse_intact=fuse,
            memory_intact=memory,
            authenticated=authentic,
            voltage_age_second=max(cells),
            current_age_second=probe.age("current_ampere"),
            bus_error_count=errors,
            request=_REQUESTS[int(asked)] if known else None,
            request_age_second=probe.age("request_index"),
        )

    def _states(self, name: str, count: int) -> list[bool | None]:
        bits = self._probe.fresh(name, table.INPUTS)
        pairs = [_UNKNOWN if np.isnan(bits) else int(bits) >> 2 * k & 3 for k in range(count)]
        return [bool(pair) if pair in {0, 1} else None for pair in pairs]

    def _bits(self, name: str, message: table.Message, group: int) -> int:
        low = self._probe.fresh(f"low{name}_{group}", message)
        high = self._probe.fresh(f"high{name}_{group}", message)
        return 0 if np.isnan(low) else int(low) | int(high) << 32


def encode_reading(reading: Reading, count: int) -> Iterator[BusFrame]:
    """What the electronics of a pack send in a cycle; `count` numbers the cycles."""
    inputs, monitors = reading.inputs, reading.monitors
    counted = {"message_count": float(count % 256)}
    contacts = Contactors(
        bool(inputs.plus_feedback_closed),
        bool(inputs.minus_feedback_closed),
        bool(inputs.precharge_feedback_closed),
    )
    link = np.nan if monitors.broken_link is None else float(monitors.broken_link)
    shown = {"broken_link_index": link, "clock_error_second": inputs.clock_error_second}
    yield from encode_pack(reading.frame, count, contactors=contacts, state=shown)
    told = {name: float(getattr(inputs, name)) for name, _ in _NUMBERS}
    told["contact_bits"] = float(_pairs(inputs, _CONTACTS))
    told["health_bits"] = float(_pairs(inputs, _HEALTH))
    for message in (table.INPUTS, table.SECOND, table.AROUND):
        yield encode_message(message, {**told, **counted})
    for place in range(len(monitors.age_second)):
        values = {
            "group_index": float(place),
            "frame_error_count": float(min(int(monitors.frame_error_count[place]), 255)),
            "age_second": float(monitors.age_second[place]),
            "reference_volt": float(monitors.reference_volt[place]),
        }
        yield encode_message(table.MONITOR, values)
    for group in range(-(-len(monitors.open_wire) // _BITS_CELLS)):
        wires = monitors.open_wire[group * _BITS_CELLS : (group + 1) * _BITS_CELLS]
        bits = sum(1 << place for place, opened in enumerate(wires) if opened)
        halves = {"low_cell_bits": float(bits & 0xFFFFFFFF), "high_cell_bits": float(bits >> 32)}
        yield encode_message(table.OPEN_WIRES, {"group_index": float(group), **halves})
    if monitors.second_cell_voltage_volt is not None:
        yield from encode_items(table.SECOND_CELLS, monitors.second_cell_voltage_volt)


def encode_request(request: Request, count: int) -> BusFrame:
    """What a vehicle or an inverter sends to ask for something."""
    values = {"request_index": float(_REQUESTS.index(request)), "message_count": float(count % 256)}
    return encode_message(table.REQUEST, values)


def _pairs(inputs: Inputs, fields: tuple[str, ...]) -> int:
    pairs = ((place, getattr(inputs, field)) for place, field in enumerate(fields))
    return sum((_UNKNOWN if state is None else int(state)) << 2 * place for place, state in pairs)

"""Our CAN messages, coded and decoded by the DBC that ships (`cellwarden.dbc`)."""

from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Final

import cantools.database
import numpy as np
from cantools.database.can import Database
from cantools.database.errors import DecodeError as CanDecodeError

from cellwarden.domain import Command, Contactors, Frame
from cellwarden.edge.drivers import can_table as table
from cellwarden.edge.drivers.field import Field, encode
from cellwarden.edge.drivers.line import BusFrame
from cellwarden.errors import DecodeError, RangeError, UsageError

__all__ = [
    "decode_command",
    "decode_frame",
    "encode_command",
    "encode_items",
    "encode_message",
    "encode_pack",
    "item_of",
    "message_database",
]

_BALANCE_CELLS: Final = 48
_BY_NUMBER: Final = {message.number: message for message in table.MESSAGES}


@cache
def message_database() -> Database:
    """The DBC that ships, as cantools has it; loading it takes a moment, once."""
    text = resources.files("cellwarden.edge.drivers").joinpath("cellwarden.dbc").read_text("utf-8")
    loaded = cantools.database.load_string(text, "dbc", strict=True)
    if not isinstance(loaded, Database):
        raise UsageError("cellwarden.dbc is no CAN database", hint="Install Cellwarden again.")
    return loaded


def decode_frame(frame: BusFrame) -> dict[str, float]:
    """What one of our frames says, by name.

    Raises:
        DataError: it is not ours, damaged, or says what cannot be.
    """
    message = _BY_NUMBER.get(frame.number)
    if message is None:
        raise DecodeError(f"frame {frame.number:#05x} is not ours", hint="It is left alone.")
    data = table.unseal(frame.number, frame.data)
    try:
        signals = message_database().decode_message(
            frame.number, data, decode_choices=False, scaling=False
        )
    except (CanDecodeError, ValueError) as error:
        raise DecodeError(
            f"{message.name}: {error}", hint="Use the same DBC on both sides."
        ) from error
    if not isinstance(signals, dict):
        raise DecodeError(f"{message.name} holds no signals", hint="Use the DBC that ships here.")
    fields = list(message.fields)
    if message.item is not None:
        group = int(str(signals["group_index"]))
        fields += [
            table.indexed(message.item, place, group) for place in range(table.CELLS_A_FRAME)
        ]
    return {field.name: field.value(int(str(signals[field.name]))) for field in fields}


def encode_pack(
    frame: Frame,
    count: int,
    *,
    contactors: Contactors | None = None,
    state: dict[str, float] | None = None,
    estimates: dict[str, float] | None = None,
    limits: tuple[float, float] = (np.nan, np.nan),
) -> Iterator[BusFrame]:
    """What a pack sends in a cycle; `count` numbers the cycles. What does not fit is left out."""
    counted = {"message_count": float(count % 256)}
    switches = contactors or Contactors(plus_closed=False, minus_closed=False)
    ambient, humid = frame.ambient_temperature_celsius, frame.humidity_fraction
    shown: tuple[tuple[table.Message, dict[str, float]], ...] = (
        (
            table.STATE,
            {
                "cell_count": float(len(frame.cell_voltage_volt)),
                "sensor_count": float(len(frame.cell_temperature_celsius)),
                "contactor_bits": float(_bits(switches)),
                **(state or {}),
            },
        ),
        (
            table.LIMITS,
            {"high_charge_current_ampere": limits[0], "high_discharge_current_ampere": limits[1]},
        ),
        (table.VOLTAGE, {"voltage_volt": frame.voltage_volt}),
        (table.CURRENT, {"current_ampere": frame.current_ampere}),
        (table.ESTIMATE, estimates or {}),
        (
            table.ENVIRONMENT,
            {
                "ambient_temperature_celsius": np.nan if ambient is None else ambient,
                "humidity_fraction": np.nan if humid is None else humid,
            },
        ),
    )
    for message, values in shown:
        yield encode_message(message, {**values, **counted})
    yield from encode_items(table.CELLS, frame.cell_voltage_volt)
    yield from encode_items(table.SENSORS, frame.cell_temperature_celsius)


def encode_command(command: Command, count: int) -> Iterator[BusFrame]:
    """What control sends in a cycle. Limits are rounded down, never up.

    Raises:
        RangeError: a number does not fit.
    """
    counted = {"message_count": float(count % 256)}
    order = {
        "contactor_bits": float(_bits(command.contactors)),
        "cooling_fraction": command.cooling_fraction,
        "high_charge_current_ampere": _down(command.high_charge_current_ampere),
        "high_discharge_current_ampere": _down(command.high_discharge_current_ampere),
    }
    yield _frame(table.ORDER, table.ORDER.fields, {**order, **counted})
    charger = {
        "charge_voltage_volt": _down(command.charge_voltage_volt),
        "charge_current_ampere": _down(command.charge_current_ampere),
    }
    yield _frame(table.CHARGER, table.CHARGER.fields, {**charger, **counted})
    for group in range(-(-len(command.balance) // _BALANCE_CELLS)):
        cells = command.balance[group * _BALANCE_CELLS : (group + 1) * _BALANCE_CELLS]
        bits = sum(1 << place for place, drained in enumerate(cells) if drained)
        values = {
            "group_index": float(group),
            "low_cell_bits": float(bits & 0xFFFFFFFF),
            "high_cell_bits": float(bits >> 32),
        }
        yield _frame(table.BALANCE, table.BALANCE.fields, values)


def decode_command(frames: "list[BusFrame]", cell_count: int) -> Command:
    """The command that the frames of a cycle carry, as a pack hears it.

    Raises:
        DataError: a frame is missing or damaged.
    """
    said: dict[str, float] = {}
    balance = [False] * cell_count
    for frame in frames:
        values = decode_frame(frame)
        if frame.number == table.BALANCE.number:
            first = int(values["group_index"]) * _BALANCE_CELLS
            bits = int(values["low_cell_bits"]) | int(values["high_cell_bits"]) << 32
            for place in range(min(_BALANCE_CELLS, cell_count - first)):
                balance[first + place] = bool(bits >> place & 1)
        said |= values
    try:
        bits = int(said["contactor_bits"])
        return Command(
            Contactors(bool(bits & 1), bool(bits & 2), bool(bits & 4)),
            said["high_charge_current_ampere"],
            said["high_discharge_current_ampere"],
            tuple(balance),
            said["cooling_fraction"],
            said["charge_voltage_volt"],
            said["charge_current_ampere"],
        )
    except KeyError as error:
        raise DecodeError(f"a command without {error}", hint="Send order and charger.") from error


def _frame(message: table.Message, fields: tuple[Field, ...], values: dict[str, float]) -> BusFrame:
    data = encode(fields, values, table.FRAME_BYTES)
    return BusFrame(message.number, table.seal(message.number, data))


def encode_message(message: table.Message, values: dict[str, float]) -> BusFrame:
    """A message with what can be said of the values; the others are left out."""
    return _frame(message, message.fields, _fit(message.fields, values))


def encode_items(message: table.Message, column: np.ndarray) -> Iterator[BusFrame]:
    """The frames of a message that stands for each cell or sensor."""
    for group in range(-(-len(column) // table.CELLS_A_FRAME)):
        first = group * table.CELLS_A_FRAME
        part = column[first : first + table.CELLS_A_FRAME]
        places = [
            table.indexed(item_of(message), place, group) for place in range(table.CELLS_A_FRAME)
        ]
        values = {field.name: float(value) for field, value in zip(places, part, strict=False)}
        fields = (*message.fields, *places)
        yield _frame(message, fields, _fit(fields, {"group_index": float(group), **values}))


def _fit(fields: tuple[Field, ...], values: dict[str, float]) -> dict[str, float]:
    """The values that can be said; the others are left out."""
    return {field.name: field.fit(values.get(field.name, np.nan)) for field in fields}


def item_of(message: table.Message) -> Field:
    """The field that stands for each cell or sensor.

    Raises:
        RangeError: the message has none.
    """
    if message.item is None:
        raise RangeError(f"{message.name} has no items", hint="Use its fields.")
    return message.item


def _bits(contactors: Contactors) -> int:
    switches = (contactors.plus_closed, contactors.minus_closed, contactors.precharge_closed)
    return sum(1 << place for place, closed in enumerate(switches) if closed)


def _down(value: float) -> float:
    """Down to a tenth, and to the highest that can be said: a limit must not grow on its way."""
    return float(min(np.floor(value * 10.0 + 1e-6) / 10.0, 6553.5))

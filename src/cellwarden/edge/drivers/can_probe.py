"""A pack on a CAN bus, read by our own messages.

A CAN bus knows no senders and no encryption: whoever is on it can say anything. It is for the
wires inside one cabinet; the checksum finds faults, not attackers.

Rules
- What was not heard for its stale time is NaN: three periods, and half a second at least.
- A frame whose checksum, counter, index or range is wrong is refused and counted; it refreshes
  nothing, so that a value becomes NaN and not wrong.
"""

from typing import Final

import numpy as np

from cellwarden.domain import Command, Frame
from cellwarden.edge.drivers import can_table as table
from cellwarden.edge.drivers.can_messages import (
    decode_frame,
    encode_command,
    item_of,
    message_database,
)
from cellwarden.edge.drivers.line import Bus, BusFrame
from cellwarden.edge.drivers.listening import Freshness, listen
from cellwarden.edge.drivers.polled import Layout, blank_frame, check_layout
from cellwarden.errors import DataError, Error, UnavailableError

__all__ = ["CanProbe"]

_BY_NUMBER: Final = {message.number: message for message in table.MESSAGES}
_STALE_PERIODS: Final = 3.0
_LEAST_STALE_SECOND: Final = 0.5
_LONGEST_SILENCE_SECOND: Final = 5.0
_MOST_FRAMES: Final = 4096


class CanProbe:
    """Listens for a period, then shows what is fresh."""

    def __init__(self, bus: Bus, layout: Layout, *, period_second: float = 1.0) -> None:
        message_database()  # now, not when the first frame waits
        self._bus = bus
        self.layout = layout
        self._period_second = period_second
        self._values = Freshness()
        self._counts: dict[int, float] = {}
        self._heard_second = bus.now()
        self._sent_count = 0
        self.refused_count = 0
        self.trouble: Error | None = None

    def sample(self) -> Frame:
        """All that was heard until the period is over.

        Raises:
            DataError: the device shows another pack.
            UnavailableError: nothing of ours was heard for seconds.
        """
        listen(self._bus, self._period_second, self._take)
        now = self._bus.now()
        if now - self._heard_second > max(_LONGEST_SILENCE_SECOND, 2 * self._period_second):
            raise UnavailableError(
                "no pack is heard on the bus", hint="Check wiring, termination and bit rate."
            )
        counts = self.fresh("cell_count", table.STATE), self.fresh("sensor_count", table.STATE)
        if not np.isnan(counts).any():
            check_layout(int(counts[0]), int(counts[1]), self.layout)
        return self.show(now)

    def drain(self) -> float:
        """Take what has come, without waiting; gives how long the pack has been silent. [s]"""
        for _ in range(_MOST_FRAMES):  # a bus that babbles must not hold a control cycle
            heard = self._bus.hear(0.0)
            if heard is None:
                break
            self._take(heard)
        return self._bus.now() - self._heard_second

    def obey(self, command: Command) -> None:
        """Send a command to the pack."""
        for frame in encode_command(command, self._sent_count):
            self._bus.send(frame)
        self._sent_count += 1

    def now(self) -> float:
        """The time on the bus. [s]"""
        return self._bus.now()

    def close(self) -> None:
        """Leave the bus."""
        self._bus.close()

    def _take(self, frame: BusFrame) -> None:
        message = _BY_NUMBER.get(frame.number)
        if message is None or message.sender == "Control":
            return
        now = self._bus.now()
        try:
            values = decode_frame(frame)
        except DataError as error:
            self.refused_count += 1
            self.trouble = error
            return
        count = values.pop("message_count", None)
        if count is not None and self._counts.get(frame.number) == count:
            return  # the sender repeats itself
        if count is not None:
            self._counts[frame.number] = count
        self._heard_second = now
        if message.item is None and "group_index" in values:
            end = f"_{int(values['group_index'])}"
            values = {name + end: value for name, value in values.items()}
        self._values.put(values, now)

    def show(self, now: float) -> Frame:
        """The frame of what is fresh at a time."""
        blank = blank_frame(now, self.layout)
        cells, sensors = blank.cell_voltage_volt, blank.cell_temperature_celsius
        for kind, column in ((table.CELLS, cells), (table.SENSORS, sensors)):
            for place in range(len(column)):
                column[place] = self.fresh(f"{item_of(kind).name}_{place}", kind)
        ambient = self.fresh("ambient_temperature_celsius", table.ENVIRONMENT)
        humid = self.fresh("humidity_fraction", table.ENVIRONMENT)
        return Frame(
            now,
            self.fresh("voltage_volt", table.VOLTAGE),
            self.fresh("current_ampere", table.CURRENT),
            cells,
            sensors,
            None if np.isnan(ambient) else ambient,
            None if np.isnan(humid) else humid,
        )

    def fresh(self, name: str, message: table.Message) -> float:
        """A number of a message, or NaN when it is stale."""
        stale = max(_STALE_PERIODS * message.period_second, _LEAST_STALE_SECOND)
        return self._values.get(name, self._bus.now(), stale)

    def age(self, name: str) -> float:
        """How long ago a number was heard; infinite where it never was. [s]"""
        return self._values.age(name, self._bus.now())

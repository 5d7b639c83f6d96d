"""The live pack that a device's file names."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from cellwarden.domain import Command, Reading, Request
from cellwarden.edge.connection import CanBusSource, needing_field
from cellwarden.edge.device_config import Described, DeviceConfig
from cellwarden.edge.drivers.emulated import EmulatedPack, emulate
from cellwarden.edge.drivers.polled import Layout
from cellwarden.edge.drivers.seam import Live
from cellwarden.errors import UsageError
from cellwarden.physics.config import TwinConfig
from cellwarden.physics.hardware import Hardware

__all__ = ["Asking", "open_live"]

_FOREVER_SECOND = 10 * 365 * 86_400.0


class _OnCan(CanBusSource, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a pack on a CAN bus: which bus, and how many sensors it shows."""

    sensor_count: int


@dataclass(frozen=True, slots=True)
class Asking:
    """A pack, and what its device's file says is asked where nobody asks at the pack.

    Without a `request` a pack that is not asked has lost its master.
    """

    pack: Live
    request: Request | None
    let_go: Callable[[], None] = lambda: None

    def read(self) -> Reading:
        """The reading with the request in it."""
        reading = self.pack.read()
        if self.request is None or reading.inputs.request is not None:
            return reading
        inputs = replace(reading.inputs, request=self.request, request_age_second=0.0)
        return replace(reading, inputs=inputs)

    def write(self, command: Command) -> None:
        """Pass a command on."""
        self.pack.write(command)

    def close(self) -> None:
        """Let go of what it is connected by."""
        self.let_go()


def open_live(config: DeviceConfig, told: Described) -> Asking:
    """The pack as its driver has it.

    Raises:
        UsageError: the driver's options do not fit.
        UnavailableError: there is no such bus now.
    """
    asked = config.driver.request
    if config.driver.kind == "can":
        return needing_field(lambda: _on_can(config, told, Request(asked) if asked else None))
    return Asking(_emulated(config, told), Request(asked or Request.CONNECT))


def _on_can(config: DeviceConfig, told: Described, request: Request | None) -> Asking:
    """A pack that sends and hears our messages."""
    from cellwarden.edge.drivers.can_bus import PythonCanBus  # noqa: PLC0415  an extra
    from cellwarden.edge.drivers.can_pack import CanPack  # noqa: PLC0415  an extra

    try:
        options = msgspec.convert(config.driver.options, _OnCan)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"driver.options: {error}",
            hint="interface, channel, bitrate and sensor_count: see docs/agent.md.",
        ) from error
    layout = Layout(told.pack.series_count, options.sensor_count)
    bus = PythonCanBus(options.interface, options.channel, bitrate=options.bitrate)
    pack = CanPack(bus, layout, told.board, silent_second=told.settings.silent_second)
    return Asking(pack, request, pack.close)


def _emulated(config: DeviceConfig, told_of: Described) -> Live:
    """A pack of the twin behind real bytes; each reading is one period of it."""
    pack = told_of.pack
    told: dict[str, Any] = {
        "start_unix_time_second": time.time(),
        "duration_second": _FOREVER_SECOND,
        "profile": "storage",
        **config.driver.options,
        "name": pack.name,
        "chemistry": pack.cell.chemistry.name,
        "series_count": pack.series_count,
        "nominal_capacity_ah": pack.nominal_capacity_ah,
        "period_second": config.loop.period_second,
    }
    try:
        twin = TwinConfig(**told)
    except (TypeError, UsageError) as error:
        raise UsageError(
            f"driver.options: {error}", hint="They are those of the twin: see docs/agent.md."
        ) from error
    return emulate(EmulatedPack(Hardware(twin, told_of.board)))

"""The live pack that a device's file names."""

import time
from dataclasses import dataclass, replace
from typing import Any

from cellwarden.domain import Command, Reading, Request
from cellwarden.edge.device_config import Described, DeviceConfig
from cellwarden.edge.drivers.emulated import EmulatedPack, emulate
from cellwarden.edge.drivers.seam import Live
from cellwarden.errors import UsageError
from cellwarden.physics.config import TwinConfig
from cellwarden.physics.hardware import Hardware

__all__ = ["Asking", "open_live"]

_FOREVER_SECOND = 10 * 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class Asking:
    """A pack that nobody asks for anything: what its device's file says is asked in their place."""

    pack: Live
    request: Request

    def read(self) -> Reading:
        """The reading with the request in it."""
        reading = self.pack.read()
        if reading.inputs.request is not None:
            return reading
        inputs = replace(reading.inputs, request=self.request, request_age_second=0.0)
        return replace(reading, inputs=inputs)

    def write(self, command: Command) -> None:
        """Pass a command on."""
        self.pack.write(command)


def open_live(config: DeviceConfig, told: Described) -> Live:
    """The pack as its driver has it.

    Raises:
        UsageError: the driver's options do not fit.
    """
    return Asking(_emulated(config, told), Request(config.driver.request))


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

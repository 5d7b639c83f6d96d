"""What a live device is connected by, as it stands in `source.toml`, and its driver.

The libraries for it are the extra `field`; they are imported when such a device is opened.
"""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec

from cellwarden.domain import Pack, chemistry_named
from cellwarden.domain.cell import Cell, tiers
from cellwarden.edge.drivers.capture import (
    Capture,
    CapturedBus,
    CapturedLine,
    ReplayBus,
    ReplayLine,
    read_capture,
)
from cellwarden.edge.drivers.line import Bus, Line
from cellwarden.edge.drivers.polled import Layout, PolledDriver, Probe
from cellwarden.errors import UsageError
from cellwarden.trust.identity import load_certificate, load_key
from cellwarden.trust.keys import FileKeyStore
from cellwarden.trust.tls import client_context

__all__ = [
    "CanBusSource",
    "CanSource",
    "Connection",
    "ModbusSource",
    "PackSource",
    "SerialSource",
    "SignalSource",
    "connect",
    "describe_pack",
    "device_context",
    "needing_field",
]

T = TypeVar("T")
_CAPTURE_BYTES: Final = 8 << 20


class PackSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What no protocol says of a pack for sure."""

    chemistry: str
    nominal_capacity_ah: float
    series_count: int
    sensor_count: int
    parallel_count: int = 1


class CanBusSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A CAN bus, as python-can names it."""

    interface: str = "socketcan"
    channel: str = "can0"
    bitrate: int = 500_000


class SignalSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Names of signals in a DBC file; see `drivers.can_dbc.SignalMap`."""

    voltage: str
    current: str
    cells: str
    sensors: str = ""
    invalid: str = ""
    first: int = 0


class CanSource(CanBusSource, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A pack that sends our messages (`cellwarden.dbc`), or those of a maker's DBC file."""

    dbc: str = ""
    signals: SignalSource | None = None
    positive_current: Literal["charge", "discharge"] | None = None
    stale_second: float = 2.0


class ModbusSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A battery that shows SunSpec models 802 and 805; TLS unless `plain` is said."""

    host: str
    positive_current: Literal["charge", "discharge"]
    port: int = 802
    unit: int = 1
    plain: bool = False


class SerialSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A board at a serial port or a serial server."""

    port: str
    family: Literal["jbd"] = "jbd"
    baud: int = 9600


class Connection(msgspec.Struct, frozen=True):
    """One of the three, the pack, and what is kept or replayed of its raw bytes."""

    pack: PackSource
    can: CanSource | None = None
    modbus: ModbusSource | None = None
    serial: SerialSource | None = None
    period_second: float = 1.0
    capture: str = ""
    capture_bytes: int = _CAPTURE_BYTES
    replay: str = ""


def describe_pack(name: str, told: PackSource) -> Pack:
    """The pack as the domain has it."""
    chemistry = chemistry_named(told.chemistry)
    limits = tiers(chemistry, told.nominal_capacity_ah)
    cell = Cell(chemistry, told.nominal_capacity_ah, limits)
    return Pack(name, cell, told.series_count, told.parallel_count)


def connect(live: Connection, folder: Path | None) -> PolledDriver:
    """The driver of a live device, or of a capture of one.

    Raises:
        UsageError: the description does not fit, or a library is missing.
        UnavailableError: there is no such interface now.
    """
    layout = Layout(live.pack.series_count, live.pack.sensor_count)
    period = 0.0 if live.replay else live.period_second
    return PolledDriver(_probe(live, layout, folder), period_second=period)


def _probe(live: Connection, layout: Layout, folder: Path | None) -> Probe:
    if live.can is not None:
        return needing_field(lambda: _can_probe(live, layout))
    if live.modbus is not None:
        modbus = live.modbus
        return needing_field(lambda: _modbus_probe(live, modbus, layout, folder))
    if live.serial is not None:
        serial = live.serial
        return needing_field(lambda: _serial_probe(live, serial, layout))
    raise UsageError("no device is named", hint="Give [can], [modbus] or [serial].")


def _can_probe(live: Connection, layout: Layout) -> Probe:
    from cellwarden.edge.drivers.can_bus import PythonCanBus  # noqa: PLC0415  an extra
    from cellwarden.edge.drivers.can_probe import CanProbe  # noqa: PLC0415  an extra

    told = live.can or CanSource()
    bus: Bus
    if live.replay:
        bus = ReplayBus(read_capture(Path(live.replay)))
    else:
        bus = PythonCanBus(told.interface, told.channel, bitrate=told.bitrate)
        if live.capture:
            bus = CapturedBus(bus, Capture(Path(live.capture), live.capture_bytes))
    if not told.dbc:
        return CanProbe(bus, layout, period_second=live.period_second)
    try:
        return _dbc_probe(told, bus, layout, live.period_second)
    except UsageError:
        bus.close()
        raise


def _dbc_probe(told: CanSource, bus: Bus, layout: Layout, period_second: float) -> Probe:
    from cellwarden.edge.drivers.can_dbc import DbcProbe, SignalMap  # noqa: PLC0415  an extra

    if told.signals is None or told.positive_current is None:
        raise UsageError(
            "a DBC file does not say which signals are meant and what their sign is",
            hint="Add positive_current to [can], and [can.signals] with voltage, current, cells.",
        )
    return DbcProbe(
        bus,
        layout,
        Path(told.dbc),
        SignalMap(**msgspec.structs.asdict(told.signals)),
        told.positive_current,
        period_second=period_second,
        stale_second=told.stale_second,
    )


def _modbus_probe(
    live: Connection, told: ModbusSource, layout: Layout, folder: Path | None
) -> Probe:
    from cellwarden.edge.drivers.modbus import ModbusLine, SunSpecProbe  # noqa: PLC0415  an extra

    def line() -> Line:
        context = None if told.plain else device_context(folder)
        return ModbusLine(told.host, told.port, unit=told.unit, context=context)

    return SunSpecProbe(_line(live, line), layout, told.positive_current)


def _serial_probe(live: Connection, told: SerialSource, layout: Layout) -> Probe:
    from cellwarden.edge.drivers.jbd import JbdProbe  # noqa: PLC0415  loaded with its line
    from cellwarden.edge.drivers.serial_line import SerialLine  # noqa: PLC0415  an extra

    return JbdProbe(_line(live, lambda: SerialLine(told.port, baud=told.baud)), layout)


def _line(live: Connection, make: Callable[[], Line]) -> Line:
    if live.replay:
        return ReplayLine(read_capture(Path(live.replay)))
    if live.capture:
        return CapturedLine(make(), Capture(Path(live.capture), live.capture_bytes))
    return make()


def device_context(folder: Path | None) -> ssl.SSLContext:
    """TLS as the device of a folder.

    Raises:
        UsageError: the device is not enrolled.
    """
    if folder is None or not (folder / "device.crt").exists():
        raise UsageError(
            "TLS needs an enrolled device",
            hint="Run `cellwarden enrol NAME`, or say plain = true for a wire of your own.",
        )
    key = load_key(FileKeyStore(folder / "keys").get("identity"))
    certificate = load_certificate((folder / "device.crt").read_bytes())
    authority = load_certificate((folder / "ca.crt").read_bytes())
    return client_context(certificate, key, authority)


def needing_field(make: Callable[[], T]) -> T:
    """What needs the extra `field`.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return make()
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{error.name} is not installed",
            hint="Install the extra: `pip install cellwarden[field]`.",
        ) from error

"""What a device of this machine reads: a battery file, a pack of the twin, or a live battery.

It stands in `source.toml` in the device's folder, so that a restart needs no arguments.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from cellwarden.domain import Command, Frames, Pack, chemistry_named
from cellwarden.domain.cell import Cell, tiers
from cellwarden.edge.connection import (
    CanSource,
    Connection,
    ModbusSource,
    PackSource,
    SerialSource,
    connect,
    describe_pack,
)
from cellwarden.edge.drivers import Driver, PolledDriver, ReplayDriver
from cellwarden.errors import UsageError
from cellwarden.physics.config import TwinConfig
from cellwarden.physics.fault import Fault, FaultKind
from cellwarden.physics.twin import Twin
from cellwarden.readers import read
from cellwarden.trust.keys import write_durably
from cellwarden.wire.notes import PackNote

__all__ = ["Opened", "PacedDriver", "Source", "open_source", "read_source", "write_source"]

_RECORD_FRAMES: Final = 4096
_TWIN_FRAMES: Final = 720
_POLLED_FRAMES: Final = 10
_LIVE_FRAMES: Final = 3  # what a twin that keeps to the clock waits for


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A record, a twin, or one of `can`, `modbus`, `serial` with its `pack`; and the batch.

    `capture` keeps the raw bytes of a live device in a file of limited size, and `replay` reads
    such a file in the device's place.
    """

    record: str = ""
    twin: dict[str, Any] = {}
    batch_frames: int = 0
    live: bool = False
    can: CanSource | None = None
    modbus: ModbusSource | None = None
    serial: SerialSource | None = None
    pack: PackSource | None = None
    period_second: float = 1.0
    capture: str = ""
    capture_bytes: int = 8 << 20
    replay: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """A source ready to be read."""

    driver: Driver
    note: PackNote
    pack: Pack | None
    batch_frames: int
    period_second: float = 0.0  # of a live device

    def close(self) -> None:
        """Let go of a live device."""
        if isinstance(self.driver, PolledDriver):
            self.driver.close()


class PacedDriver:
    """A twin that catches up with the clock and then keeps to it."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._last = twin.config.start_unix_time_second

    def read(self, count: int) -> Frames | None:
        """The next frames; waits until a few of them have happened."""
        period = self._twin.config.period_second
        ahead = self._last + min(count, _LIVE_FRAMES) * period - time.time()
        if ahead > 0:
            time.sleep(ahead)
        due = int((time.time() - self._last) / period)
        frames = self._twin.read(max(1, min(count, due)))
        if frames is not None:
            self._last = float(frames.unix_time_second[-1])
        return frames

    def position(self) -> bytes:
        """Where the twin is."""
        return self._twin.position()

    def write(self, command: Command) -> None:
        """Pass a command on."""
        self._twin.write(command)


def write_source(folder: Path, source: Source) -> None:
    """Put what a device reads into its folder."""
    write_durably(folder / "source.toml", msgspec.toml.encode(source))


def read_source(folder: Path) -> Source:
    """What a device reads.

    Raises:
        UsageError: nothing was said, or something unknown.
    """
    path = folder / "source.toml"
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Source)
    except FileNotFoundError as error:
        raise UsageError(
            f"{folder.name} has nothing to read",
            hint="Give --record FILE, or write source.toml into its folder.",
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", hint="Mend that line of the file.") from error


def open_source(source: Source, position: bytes, folder: Path | None = None) -> Opened:
    """The driver of a source, where an earlier one stopped; `folder` is the device's own.

    Raises:
        UsageError: the description does not fit, or names more than one thing to read.
    """
    live = [source.can, source.modbus, source.serial]
    named = [bool(source.record), bool(source.twin), *(told is not None for told in live)]
    if sum(named) > 1:
        raise UsageError(
            "source.toml names more than one thing to read",
            hint="Leave one of record, twin, can, modbus and serial.",
        )
    if source.record:
        return _open_record(Path(source.record), source, position)
    if any(named[2:]):
        return _connect(source, folder)
    config = _twin_config(source.twin)
    twin = Twin.resume(config, position) if position else Twin(config)
    pack = config.pack()
    note = PackNote(config.chemistry, config.nominal_capacity_ah, config.series_count, "twin")
    driver: Driver = PacedDriver(twin) if source.live else twin
    return Opened(driver, note, pack, source.batch_frames or _TWIN_FRAMES)


def _connect(source: Source, folder: Path | None) -> Opened:
    if source.pack is None:
        raise UsageError(
            "a live device needs its pack described",
            hint="Add [pack] with chemistry, nominal_capacity_ah, series_count, sensor_count.",
        )
    live = Connection(
        source.pack,
        source.can,
        source.modbus,
        source.serial,
        source.period_second,
        source.capture,
        source.capture_bytes,
        source.replay,
    )
    pack = describe_pack(folder.name if folder else "pack", source.pack)
    told = source.pack
    note = PackNote(told.chemistry, pack.nominal_capacity_ah, told.series_count, _connection(live))
    driver = connect(live, folder)
    frames = source.batch_frames or _POLLED_FRAMES
    return Opened(driver, note, pack, frames, source.period_second)


def _connection(live: Connection) -> str:
    kinds = {"can": live.can, "modbus": live.modbus, "serial": live.serial}
    kind = next(name for name, told in kinds.items() if told is not None)
    return f"replay of {kind}" if live.replay else kind


def _open_record(path: Path, source: Source, position: bytes) -> Opened:
    series = read(path)
    note = PackNote(series.chemistry, series.nominal_capacity_ah, 1, path.name)
    pack = None
    if series.chemistry is not None and series.nominal_capacity_ah is not None:
        chemistry = chemistry_named(series.chemistry)
        limits = tiers(chemistry, series.nominal_capacity_ah)
        pack = Pack(path.stem, Cell(chemistry, series.nominal_capacity_ah, limits))
    driver = ReplayDriver(series, position)
    return Opened(driver, note, pack, source.batch_frames or _RECORD_FRAMES)


def _twin_config(told: dict[str, Any]) -> TwinConfig:
    try:
        faults = tuple(
            Fault(**{**fault, "kind": FaultKind(fault.get("kind"))})
            for fault in told.get("faults", ())
        )
        return TwinConfig(**{**told, "faults": faults})
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the twin's description does not fit: {error}", hint="Mend source.toml."
        ) from error

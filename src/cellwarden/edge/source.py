"""What a device of this machine reads: a battery file, or a pack of the twin.

It stands in `source.toml` in the device's folder, so that a restart needs no arguments.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from cellwarden.domain import Command, Frames, Pack, chemistry_named
from cellwarden.domain.cell import Cell, tiers
from cellwarden.edge.drivers import Driver, ReplayDriver
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
_LIVE_FRAMES: Final = 3  # what a twin that keeps to the clock waits for


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of the two, and how much goes into a batch."""

    record: str = ""
    twin: dict[str, Any] = {}
    batch_frames: int = 0
    live: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """A source ready to be read."""

    driver: Driver
    note: PackNote
    pack: Pack | None
    batch_frames: int


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


def open_source(source: Source, position: bytes) -> Opened:
    """The driver of a source, where an earlier one stopped."""
    if source.record:
        return _open_record(Path(source.record), source, position)
    config = _twin_config(source.twin)
    twin = Twin.resume(config, position) if position else Twin(config)
    pack = config.pack()
    note = PackNote(config.chemistry, config.nominal_capacity_ah, config.series_count, "twin")
    driver: Driver = PacedDriver(twin) if source.live else twin
    return Opened(driver, note, pack, source.batch_frames or _TWIN_FRAMES)


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

"""What a controlled device is: `device.toml` in its folder, read once, checked before it starts.

Everything but the pack has a safe default. A limit that stands here may only tighten what the
chemistry's table allows; a file that loosens one is refused, like an order that does.
"""

from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from cellwarden.domain import (
    Board,
    Cell,
    CellLimits,
    Curb,
    Pack,
    Request,
    Room,
    check_name,
    chemistry_named,
)
from cellwarden.domain.cell import tiers
from cellwarden.edge.control_loop import Settings
from cellwarden.edge.decision import PackControl
from cellwarden.errors import Error, UsageError
from cellwarden.trust.keys import write_durably
from cellwarden.wire.notes import PackNote

__all__ = [
    "Described",
    "DeviceConfig",
    "DriverPart",
    "LoopPart",
    "OrdersPart",
    "PackPart",
    "ProtectorPart",
    "RoomPart",
    "has_device_config",
    "read_device_config",
    "write_device_config",
]

_FILE: Final = "device.toml"
_PERIODS: Final = (0.02, 0.1)  # the fault table allows no slower cycle
_FRAMES: Final = (1.0, 60.0)
_BATCH: Final = (1, 3600)
_SMALLEST_ROOM_BYTES: Final = 1 << 20


class PackPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is printed on a cell, how many there are, and bounds below the chemistry's if any.

    The capacity is that of one cell; currents are the pack's.
    """

    chemistry: str
    nominal_capacity_ah: float
    series_count: int
    parallel_count: int = 1
    high_charge_current_ampere: float | None = None
    high_discharge_current_ampere: float | None = None
    low_soc_fraction: float = 0.0
    high_soc_fraction: float = 1.0


class ProtectorPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Limits of the hardware protector, a cell's, from its data sheet: nothing goes beyond them."""

    low_voltage_volt: float
    high_voltage_volt: float
    low_charge_temperature_celsius: float
    high_charge_temperature_celsius: float
    low_discharge_temperature_celsius: float
    high_discharge_temperature_celsius: float
    high_charge_current_ampere: float
    high_discharge_current_ampere: float


class DriverPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the pack is connected, and what it is asked where nobody at the pack asks.

    Without a `request` an emulated pack is asked to connect, and one on a bus by its bus alone.
    """

    kind: Literal["emulated", "can"] = "emulated"
    request: str | None = None
    options: dict[str, Any] = {}


class LoopPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Times of the control cycle, of frames, and of the watchdog."""

    period_second: float = 0.1
    frame_second: float = 1.0
    silent_second: float = 0.5
    batch_frames: int = 60
    flush_second: float = 5.0


class RoomPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much disk what waits to be sent may take."""

    quota_bytes: int = 256 << 20
    keep_bytes: int = 64 << 20


class OrdersPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whose orders are obeyed: a hub speaks for these roles, for nobody where there are none."""

    poll_second: float = 5.0
    hub_speaks_for: tuple[str, ...] = ("operator", "administrator", "model")


class DeviceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All of it."""

    pack: PackPart
    protector: ProtectorPart | None = None
    board: dict[str, int | float | bool] = {}
    driver: DriverPart = DriverPart()
    loop: LoopPart = LoopPart()
    room: RoomPart = RoomPart()
    orders: OrdersPart = OrdersPart()

    def described(self, name: str) -> "Described":
        """The pack in the terms of everything else.

        Raises:
            UsageError: something in it cannot be.
        """
        part = self.pack
        try:
            chemistry = chemistry_named(part.chemistry)
        except Error as error:
            raise UsageError(f"pack.chemistry: {error}", hint=error.hint) from error
        if not 0.0 < part.nominal_capacity_ah < float("inf"):
            raise UsageError("pack.nominal_capacity_ah is not above 0", hint="See the label.")
        limits = tiers(chemistry, part.nominal_capacity_ah)
        pack = Pack(
            check_name(name),
            Cell(chemistry, part.nominal_capacity_ah, limits),
            part.series_count,
            part.parallel_count,
        )
        room = _room(part, pack)
        edge = self.protector
        protector = None if edge is None else CellLimits(**msgspec.structs.asdict(edge))
        settings = self._settings()
        board = _board({"has_authentication": False, **self.board}, settings.period_second)
        own = Curb(
            part.high_charge_current_ampere or inf,
            part.high_discharge_current_ampere or inf,
            part.low_soc_fraction,
            part.high_soc_fraction,
        )
        control = PackControl(pack, board, protector, own)
        return Described(pack, room, self._note(), settings, board, control)

    def _note(self) -> PackNote:
        part = self.pack
        ah = part.nominal_capacity_ah * part.parallel_count
        return PackNote(part.chemistry, ah, part.series_count, self.driver.kind)

    def _settings(self) -> Settings:
        loop, driver, room, orders = self.loop, self.driver, self.room, self.orders
        _within("loop.period_second", loop.period_second, *_PERIODS)
        _within("loop.frame_second", loop.frame_second, max(_FRAMES[0], loop.period_second), 60.0)
        _within("loop.silent_second", loop.silent_second, 2.0 * loop.period_second, 10.0)
        _within("loop.batch_frames", loop.batch_frames, *_BATCH)
        _within("loop.flush_second", loop.flush_second, 1.0, 60.0)
        _within("room.quota_bytes", room.quota_bytes, _SMALLEST_ROOM_BYTES, float("inf"))
        _within("room.keep_bytes", room.keep_bytes, 0, float("inf"))
        _within("orders.poll_second", orders.poll_second, 1.0, 3600.0)
        if driver.request is not None and driver.request not in _ASKED:
            raise UsageError(
                f"driver.request: no pack is asked for {driver.request!r} all the time",
                hint=f"One of {', '.join(_ASKED)}.",
            )
        strange = set(orders.hub_speaks_for) - {"operator", "administrator", "model"}
        if strange:
            raise UsageError(
                f"orders.hub_speaks_for: {', '.join(sorted(strange))} may order nothing",
                hint="operator, administrator, model, or an empty list.",
            )
        return Settings(loop.period_second, loop.frame_second, loop.silent_second)


# A file does not see to a latched fault: a reset is a person's deed.
_ASKED: Final = tuple(request for request in Request if request is not Request.RESET)


@dataclass(frozen=True, slots=True)
class Described:
    """A device's file, worked out; `control` is fresh, and keeps the state of one run."""

    pack: Pack
    room: Room
    note: PackNote
    settings: Settings
    board: Board
    control: PackControl


def _board(told: dict[str, Any], period_second: float) -> Board:
    """The electronics as their data sheets have them; what is not said is usual."""
    kinds: dict[str, type] = {name: type(value) for name, value in asdict(Board()).items()}
    del kinds["period_second"]  # it stands in the loop's table
    for name, value in told.items():
        kind = kinds.get(name)
        # A whole number is good where any number is; truth is no number.
        fits = kind is not None and type(value) in ({kind, int} if kind is float else {kind})
        if not fits:
            raise UsageError(
                f"board.{name} cannot be {value!r}", hint=f"One of {', '.join(sorted(kinds))}."
            )
        if kind is not bool and not 0 < value < inf:
            raise UsageError(f"board.{name} is {value!r}", hint="Give a number above 0.")
    return Board(**told, period_second=period_second)


def _room(part: PackPart, pack: Pack) -> Room:
    """What the pack allows at most: the table's operating tier, or less."""
    operating = pack.cell.limits.operating
    currents: list[float] = []
    for name in ("high_charge_current_ampere", "high_discharge_current_ampere"):
        most = getattr(operating, name) * part.parallel_count
        own = getattr(part, name)
        if own is not None and not 0.0 < own <= most:
            raise UsageError(
                f"pack.{name} is {own:g}, the cells of this pack stand {most:g}",
                hint="Give less, or leave it out.",
            )
        currents.append(most if own is None else own)
    if not 0.0 <= part.low_soc_fraction < part.high_soc_fraction <= 1.0:
        raise UsageError("pack: the window of charge is none", hint="Give low below high, in 0..1.")
    volt = operating.high_voltage_volt * part.series_count
    charge, discharge = currents
    return Room(charge, discharge, volt, part.low_soc_fraction, part.high_soc_fraction)


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{name} is {value:g}", hint=f"Give {low:g} to {high:g}.")


def has_device_config(folder: Path) -> bool:
    """Whether the device of a folder is a controlled pack."""
    return (folder / _FILE).exists()


def read_device_config(folder: Path) -> DeviceConfig:
    """The device of a folder.

    Raises:
        UsageError: there is none, or it says something unknown.
    """
    path = folder / _FILE
    try:
        return msgspec.toml.decode(path.read_bytes(), type=DeviceConfig)
    except FileNotFoundError as error:
        raise UsageError(
            f"{folder.name} is no controlled pack", hint=f"Write {_FILE}; see docs/agent.md."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", hint="Mend that line of the file.") from error


def write_device_config(folder: Path, config: DeviceConfig) -> None:
    """Put a device's file in place."""
    write_durably(folder / _FILE, msgspec.toml.encode(config))

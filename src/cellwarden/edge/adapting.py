"""Adapting at the device: days out of batches, one decision a day, kept through a power loss.

Rules
- It runs beside the control loop, on the frames that are sent: minutes are kept of a day, not
  frames. The loop only reads the regime in force.
- Without bounds that an administrator signed for this device (`leeway.cose` in its folder) nothing
  is adapted. Bounds are read again with each day, so new ones need no restart.
- What a person says at the pack stands in `wish.toml`: a setting to overrule for some days, or to
  undo. It is taken up with the next batch, and the file goes.
- What was learnt and decided is kept beside the outbox; what is kept and cannot be read is begun
  anew, and told.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from cellwarden.control import adapt
from cellwarden.control.adapt import Adapting, Change, Deed
from cellwarden.control.habit import read_day
from cellwarden.domain import Finding, Frames, Pack, Regime, RegimeBounds, Severity
from cellwarden.edge.outbox import Outbox
from cellwarden.errors import Error, UsageError
from cellwarden.trust.identity import Roots
from cellwarden.wire.leeway import open_leeway

__all__ = ["LEEWAY_FILE", "WISH_FILE", "Adapter", "Wish"]

LEEWAY_FILE: Final = "leeway.cose"
WISH_FILE: Final = "wish.toml"
_KEPT: Final = "adapting"
_DAY_SECOND: Final = 86_400.0
_MINUTE_SECOND: Final = 60.0
_MOST_MINUTES: Final = 3000  # of a day and of what came late
_MOST_PARTS: Final = 64  # batches, before their minutes are put together


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a person wants at the pack: one of the two."""

    setting: str = ""
    value: float = 0.0
    days: float = 0.0
    undo: bool = False


class Adapter:
    """Learns from a pack's batches, and says in which regime it is run."""

    def __init__(
        self,
        folder: Path,
        device: str,
        pack: Pack,
        outbox: Outbox,
        *,
        roots: Callable[[], Roots],
        now: Callable[[], float],
    ) -> None:
        self._folder, self._device, self._pack = folder, device, pack
        self._outbox, self._roots, self._now = outbox, roots, now
        self._findings: list[Finding] = []
        self._minutes: list[Frames] = []
        self._wish: Wish | None = None
        self._state = self._take_up()
        self._bounds = self._read_bounds()

    @property
    def regime(self) -> Regime | None:
        """What the pack is run in; None where nothing is adapted."""
        state, bounds = self._state, self._bounds
        if state is None or bounds is None or self._now() >= bounds.expires_unix_time_second:
            return None
        return state.regime

    def look(self, frames: Frames) -> list[Finding]:
        """Take in a batch; gives what was decided meanwhile."""
        if self._wish is None:
            self._hear_wish()
        if self._wish is not None:  # it is kept until a disk has taken what follows from it
            self._act_on(self._wish)
            self._wish = None
        minutes = _minutes(frames)
        if minutes is not None:
            begun = self._minutes[0].unix_time_second[0] if self._minutes else np.inf
            if minutes.unix_time_second[-1] // _DAY_SECOND > begun // _DAY_SECOND:
                self._end_day()
            self._minutes.append(minutes)
            if len(self._minutes) > _MOST_PARTS:
                whole = _minutes(_joined(self._minutes))
                self._minutes = [] if whole is None else [whole.rows(-_MOST_MINUTES, len(whole))]
        found, self._findings = self._findings, []
        return found

    def _end_day(self) -> None:
        whole, self._minutes = _joined(self._minutes), []
        self._bounds = self._read_bounds()
        if self._bounds is None:
            self._state = None
            return
        state = self._state or adapt.begin(self._bounds)
        day = read_day(whole, self._pack.nominal_capacity_ah, state.regime.low_soc_fraction)
        if day is None:
            return
        state, changes = adapt.step(state, day, self._bounds)
        self._keep(state, changes)

    def _hear_wish(self) -> None:
        path = self._folder / WISH_FILE
        try:
            wish = msgspec.toml.decode(path.read_bytes(), type=Wish)
        except FileNotFoundError:
            return
        except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
            if not _removed(path):
                return  # it is told when it can go: each batch would tell it again
            self._tell("wish", Severity.WARNING, f"a wish at the pack cannot be read: {error}")
            return
        if _removed(path):
            self._wish = wish

    def _act_on(self, wish: Wish) -> None:
        now = self._now()
        if self._state is None:
            self._tell("wish", Severity.WARNING, "a wish at the pack: nothing is adapted here")
            return
        try:
            if wish.undo:
                state, change = adapt.undo(self._state, now)
            else:
                until = now + wish.days * _DAY_SECOND
                state, change = adapt.overrule(self._state, wish.setting, wish.value, until, now)
        except UsageError as error:
            self._tell("wish", Severity.WARNING, f"a wish at the pack was refused: {error}")
            return
        self._keep(state, (change,))

    def _keep(self, state: Adapting, changes: tuple[Change, ...]) -> None:
        self._outbox.keep(_KEPT, msgspec.msgpack.encode(state))
        self._state = state
        for change in changes:
            self._tell(*_said(change))

    def _take_up(self) -> Adapting | None:
        kept = self._outbox.kept(_KEPT)
        if kept is None:
            return None
        try:
            return msgspec.msgpack.decode(kept, type=Adapting)
        except (msgspec.MsgspecError, UsageError) as error:
            self._tell("habit", Severity.WARNING, f"what was learnt cannot be read: {error}")
            return None

    def _read_bounds(self) -> RegimeBounds | None:
        path = self._folder / LEEWAY_FILE
        try:
            return open_leeway(path.read_bytes(), self._device, self._roots(), self._now())
        except FileNotFoundError:
            return None
        except (Error, OSError) as error:
            self._tell("leeway", Severity.ALARM, f"the bounds are not believed: {error}")
            return None

    def _tell(self, signal: str, severity: Severity, message: str) -> None:
        self._findings.append(Finding("adapt", severity, signal, self._now(), message[:400]))


def _removed(path: Path) -> bool:
    """Whether a wish is gone, so that it is heard once."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _said(change: Change) -> tuple[str, Severity, str]:
    """A change as people read it at the hub."""
    before, after = f"{change.before:g}", f"{change.after:g}"
    message = f"{change.deed}: {change.setting} {before} -> {after}; {change.reason}"
    if change.gain_fraction > 0.0:
        message += f"; saves {change.gain_fraction:.0%} of the yearly loss"
        message += f", {change.unmet_day_fraction:.0%} of the days fall short"
    severity = Severity.WARNING if change.deed is Deed.CHECK else Severity.INFO
    return change.setting, severity, message


def _minutes(frames: Frames) -> Frames | None:
    """Means of each minute; None where the charge is not estimated."""
    soc = frames.soc_fraction
    if soc is None or not len(frames):
        return None
    minute = frames.unix_time_second // _MINUTE_SECOND
    starts = np.flatnonzero(np.diff(minute, prepend=-1.0))

    def mean(column: np.ndarray) -> np.ndarray:
        known = np.isfinite(column)
        total = np.add.reduceat(np.where(known, column, 0.0), starts, axis=0)
        count = np.add.reduceat(known.astype(np.float64), starts, axis=0)
        found = np.full(total.shape, np.nan)
        np.divide(total, count, out=found, where=count > 0)
        return found.astype(np.float32)

    celsius = frames.cell_temperature_celsius
    air = frames.ambient_temperature_celsius
    return Frames(
        minute[starts] * _MINUTE_SECOND,
        mean(frames.voltage_volt),
        mean(frames.current_ampere),
        np.empty((len(starts), 0), dtype=np.float32),
        mean(celsius) if celsius.shape[1] else np.empty((len(starts), 0), dtype=np.float32),
        None if air is None else mean(air),
        soc_fraction=mean(soc),
    )


def _joined(parts: list[Frames]) -> Frames:
    """Batches one behind the other; what runs backwards at a seam is left out."""
    time = np.concatenate([part.unix_time_second for part in parts])
    kept = time >= np.maximum.accumulate(time)

    def join(name: str) -> np.ndarray | None:
        columns = [getattr(part, name) for part in parts]
        return None if any(c is None for c in columns) else np.concatenate(columns)[kept]

    names = ("voltage_volt", "current_ampere", "cell_voltage_volt", "cell_temperature_celsius")
    columns: dict[str, Any] = {name: join(name) for name in names}
    columns["ambient_temperature_celsius"] = join("ambient_temperature_celsius")
    return Frames(time[kept], **columns, soc_fraction=join("soc_fraction"))

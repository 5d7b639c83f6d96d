"""Adapting from the command line: bounds for a device, and what a person wants at its pack."""

import time
from dataclasses import dataclass
from typing import Final

import msgspec
from rich.console import Console

from cellwarden.cli.home import Home
from cellwarden.domain import Regime, RegimeBounds
from cellwarden.edge.adapting import LEEWAY_FILE, WISH_FILE, Wish
from cellwarden.errors import UsageError
from cellwarden.trust.identity import load_certificate, load_key
from cellwarden.trust.keys import FileKeyStore, write_durably
from cellwarden.wire.leeway import Leeway, sign_leeway

__all__ = ["Leash", "adapt_command", "wish_command"]

_DAY_SECOND: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Leash:
    """How far a device may go, as it was said on the command line."""

    applies: bool
    gentle: Regime
    free: Regime
    unmet_day_fraction: float
    unserved_fraction: float
    days: float


def adapt_command(home: Home, name: str, leash: Leash) -> None:
    """Sign bounds for a device of this machine.

    Raises:
        UsageError: no such device, or bounds that cannot be.
    """
    folder = home.device(name)
    if not folder.is_dir():
        raise UsageError(f"there is no device {name}", hint="Run `cellwarden enrol NAME`.")
    if not leash.days > 0.0:
        raise UsageError("bounds hold for some days", hint="Give --days above 0.")
    bounds = RegimeBounds(
        leash.gentle,
        leash.free,
        leash.applies,
        leash.unmet_day_fraction,
        leash.unserved_fraction,
        time.time() + leash.days * _DAY_SECOND,
    )
    certificate = load_certificate((home.operator / "operator.crt").read_bytes())
    key = load_key(FileKeyStore(home.operator / "keys").get("identity"))
    write_durably(folder / LEEWAY_FILE, sign_leeway(Leeway(name, bounds), key, certificate))
    verb = "adapts" if leash.applies else "proposes to adapt"
    Console().print(f"{name} {verb} within these bounds for {leash.days:g} days, from tomorrow on")


def wish_command(home: Home, name: str, wish: Wish) -> None:
    """Leave a wish for a device of this machine; it is taken up with its next batch.

    Raises:
        UsageError: no such device or setting, or neither a setting nor an undo.
    """
    folder = home.device(name)
    if not folder.is_dir():
        raise UsageError(f"there is no device {name}", hint="Run `cellwarden enrol NAME`.")
    if wish.undo == bool(wish.setting):
        raise UsageError("a wish is one thing", hint="Give SETTING and VALUE, or --undo.")
    if wish.setting and wish.setting not in Regime.__slots__:
        known = ", ".join(Regime.__slots__)
        raise UsageError(f"no setting is called {wish.setting!r}", hint=f"One of {known}.")
    write_durably(folder / WISH_FILE, msgspec.toml.encode(wish), mode=0o600)
    Console().print(f"{name} takes it up with its next batch")

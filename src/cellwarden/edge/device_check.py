"""Everything that a controlled device stands on, looked at before it starts.

What is wrong keeps it from starting; a warning does not. Nothing is changed.
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cellwarden.edge.config import open_device, open_outbox, read_address
from cellwarden.edge.device_config import DeviceConfig, read_device_config
from cellwarden.edge.live import open_live
from cellwarden.edge.models import load_models
from cellwarden.edge.outputs.config import read_outputs
from cellwarden.errors import Error, UsageError
from cellwarden.trust.identity import Identity, Roots, load_certificate, utc

__all__ = ["Seen", "check_device", "require_sound"]

_SOON_DAYS: Final = 30
_GOOD: Final = "ok"


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that was looked at; `level` is ok, warning or wrong."""

    name: str
    level: str
    said: str
    hint: str = ""


def check_device(
    folder: Path, now: float | None = None, environment: Mapping[str, str] = os.environ
) -> list[Seen]:
    """All there is to say of the device of a folder, started in this environment."""
    at = time.time() if now is None else now
    looks: list[tuple[str, Callable[[], Seen]]] = [
        ("configuration", lambda: _configuration(folder)),
        ("driver", lambda: _driver(folder)),
        ("hub's address", lambda: _address(folder)),
        ("certificate", lambda: _certificate(folder, at)),
        ("models", lambda: _models(folder, at)),
        ("outbox", lambda: _outbox(folder)),
        ("outputs", lambda: _outputs(folder)),
        ("disk", lambda: _disk(folder)),
        ("service manager", lambda: _service(folder, environment)),
    ]
    found = []
    for name, look in looks:
        try:
            found.append(look())
        except Error as error:
            found.append(Seen(name, "wrong", str(error), error.hint))
        except OSError as error:
            hint = "Look at the device's folder."
            found.append(Seen(name, "wrong", f"{error.filename}: {error.strerror}", hint))
    return found


def require_sound(folder: Path) -> list[Seen]:
    """Warnings of a device that may start.

    Raises:
        UsageError: something is wrong; each thing is named.
    """
    found = check_device(folder)
    wrong = [seen for seen in found if seen.level == "wrong"]
    if wrong:
        raise UsageError(
            "; ".join(f"{seen.name}: {seen.said}" for seen in wrong),
            hint=wrong[0].hint or f"cellwarden device check {folder.name}",
        )
    return [seen for seen in found if seen.level == "warning"]


def _configuration(folder: Path) -> Seen:
    told = read_device_config(folder).described(folder.name)
    pack, room = told.pack, told.room
    said = (
        f"{pack.series_count} cells of {pack.cell.chemistry.name}, {pack.nominal_capacity_ah:g} Ah,"
        f" charge {room.high_charge_current_ampere:g} A,"
        f" discharge {room.high_discharge_current_ampere:g} A"
    )
    return Seen("configuration", _GOOD, said)


def _config(folder: Path) -> DeviceConfig:
    return read_device_config(folder)


def _driver(folder: Path) -> Seen:
    config = _config(folder)
    with closing(open_live(config, config.described(folder.name))):
        pass
    return Seen("driver", _GOOD, config.driver.kind)


def _address(folder: Path) -> Seen:
    return Seen("hub's address", _GOOD, read_address(folder).url)


def _certificate(folder: Path, now: float) -> Seen:
    device = open_device(folder)
    roots = Roots(load_certificate((folder / "ca.crt").read_bytes()))
    identity = roots.check(device.certificate, utc(now))
    if identity != Identity("device", folder.name):
        raise UsageError(
            f"the certificate is {identity.uri()}'s", hint="Enrol the device under its name."
        )
    if device.certificate.public_key() != device.key.public_key():
        raise UsageError("the certificate is not for this key", hint="Enrol the device again.")
    left = (device.certificate.not_valid_after_utc - utc(now)).days
    if left < _SOON_DAYS:
        return Seen("certificate", "warning", f"runs out in {left} days", "Enrol it again soon.")
    return Seen("certificate", _GOOD, f"good for {left} days")


def _models(folder: Path, now: float) -> Seen:
    roots = Roots(load_certificate((folder / "ca.crt").read_bytes()))
    found = load_models(folder, roots, now)
    if found.troubles:
        hint = "It starts with what is built in; grant the model again."
        return Seen("models", "warning", "; ".join(found.troubles), hint)
    used = [f"{purpose}: {name}" for purpose, name in sorted(found.names.items())]
    obeyed = f"{len(found.obeyed)} whose orders are obeyed"
    return Seen("models", _GOOD, ", ".join([*used, obeyed]))


def _outbox(folder: Path) -> Seen:
    if not (folder / "outbox.sqlite").exists():
        return Seen("outbox", _GOOD, "none yet")
    with closing(open_outbox(folder)) as outbox:
        return Seen("outbox", _GOOD, f"{outbox.waiting_count()} batches wait to be sent")


def _outputs(folder: Path) -> Seen:
    told = read_outputs(folder)
    count = len(told.sunspec) + len(told.sparkplug) + len(told.home_assistant) + len(told.can)
    return Seen("outputs", _GOOD, f"{count} beside the hub")


def _disk(folder: Path) -> Seen:
    config = _config(folder)
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{folder} cannot be written", hint="Give it to the service's user.")
    path = folder / "outbox.sqlite"
    used = path.stat().st_size if path.exists() else 0
    needed = config.room.quota_bytes + config.room.keep_bytes - used
    free = shutil.disk_usage(folder).free
    said = f"{free >> 20} MiB free, up to {max(needed, 0) >> 20} more may be needed"
    if free < needed:
        hint = "Free some, or lower room.quota_bytes: what does not fit is thinned out."
        return Seen("disk", "warning", said, hint)
    return Seen("disk", _GOOD, said)


def _service(folder: Path, environment: Mapping[str, str]) -> Seen:
    if not environment.get("NOTIFY_SOCKET"):
        return Seen("service manager", _GOOD, "none: nobody starts it again when it hangs")
    told = int(environment.get("WATCHDOG_USEC", "0") or 0) / 1e6
    limit = _config(folder).loop.silent_second
    if 0.0 < told <= 2.0 * limit:
        raise UsageError(
            f"WatchdogSec is {told:g} s, the pack is opened after {limit:g} s",
            hint="Give the service manager at least twice as long.",
        )
    return Seen(
        "service manager", _GOOD, f"replaces it after {told:g} s" if told else "no watchdog"
    )

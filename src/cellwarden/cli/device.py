"""Controlled packs of this machine: look before they start, run, let models in."""

import sys
import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from cellwarden.cli.home import Home
from cellwarden.edge.controller import run_controlled
from cellwarden.edge.device_check import check_device, require_sound
from cellwarden.edge.models import install_model, load_models
from cellwarden.errors import Error, UsageError
from cellwarden.registry import digest
from cellwarden.trust.identity import Roots, load_certificate, load_key
from cellwarden.trust.keys import FileKeyStore
from cellwarden.wire.grant import PURPOSES, Grant, sign_grant

__all__ = ["allow_command", "check_command", "run_device"]

_ENDINGS: Final = (".cbor", ".onnx")
_STYLE: Final = {"ok": "green", "warning": "yellow", "wrong": "bold red"}


def check_command(home: Home, name: str) -> None:
    """Print what was looked at.

    Raises:
        UsageError: something is wrong.
    """
    found = check_device(home.device(name))
    table = Table(title=f"device {name}", title_justify="left")
    for title in ("", "what", "what to do"):
        table.add_column(title, overflow="fold")
    for seen in found:
        level = f"[{_STYLE[seen.level]}]{seen.level}[/]"
        table.add_row(f"{level} {seen.name}", seen.said, seen.hint)
    Console().print(table)
    wrong = [seen.name for seen in found if seen.level == "wrong"]
    if wrong:
        raise UsageError(f"{name} cannot start: {', '.join(wrong)}", hint="Mend what is wrong.")


def run_device(home: Home, name: str) -> None:
    """Control a pack until told to stop.

    Raises:
        Error: it cannot start, or cannot go on; the pack is open.
    """
    folder = home.device(name)
    for seen in require_sound(folder):
        _say(f"warning: {seen.name}: {seen.said} ({seen.hint})")
    last = ""

    def report(error: Error) -> None:
        nonlocal last
        if str(error) != last:  # a lost network is said once, not every second
            last = str(error)
            _say(f"{type(error).__name__}: {error}")

    _say(f"controls {name}")
    run_controlled(folder, report)
    _say(f"{name} is open")


def allow_command(home: Home, name: str, file: Path | None, purpose: str, sha256: str) -> None:
    """Grant a model to a device, signed by the operator of this machine.

    Raises:
        UsageError: no such file, device or purpose.
    """
    if purpose not in PURPOSES:
        raise UsageError(f"no model is for {purpose!r}", hint=f"One of {', '.join(PURPOSES)}.")
    if (file is None) == (not sha256):
        raise UsageError("a model is a file or a digest", hint="Give FILE, or --sha256.")
    if file is None and purpose != "order":
        raise UsageError("a model that is used here is a file", hint="Give FILE.")
    content: bytes | None = None
    if file is not None:
        if not file.is_file() or file.suffix not in _ENDINGS:
            raise UsageError(f"{file} is no model", hint=f"A file {' or '.join(_ENDINGS)}.")
        content = file.read_bytes()
    told = sha256 if content is None else digest(content)
    title = f"order-{told[:12]}" if file is None else file.stem
    certificate = load_certificate((home.operator / "operator.crt").read_bytes())
    key = load_key(FileKeyStore(home.operator / "keys").get("identity"))
    folder = home.device(name)
    if not folder.is_dir():
        raise UsageError(f"there is no device {name}", hint="Run `cellwarden enrol NAME`.")
    grant = sign_grant(Grant(title, told, purpose, time.time(), name), key, certificate)
    used = None if purpose == "order" else content
    install_model(folder, title, grant, used, "" if file is None else file.suffix)
    roots = Roots(load_certificate((folder / "ca.crt").read_bytes()))
    trouble = [one for one in load_models(folder, roots, time.time()).troubles if title in one]
    if trouble:
        raise UsageError(f"{name} cannot use it: {trouble[0]}", hint="Grant another model.")
    _say(f"{name} may use {title} ({told[:12]}) for {purpose}; it does from its next start on")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  a command talks to its terminal

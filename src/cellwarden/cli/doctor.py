"""`doctor`: looks at what the installation stands on, and says what to do where it does not."""

import importlib
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from cellwarden.cli.client import HubClient
from cellwarden.cli.home import Home
from cellwarden.errors import Error, UnavailableError
from cellwarden.hub.config import load_config
from cellwarden.hub.place import open_store
from cellwarden.hub.store import FileStore, Store
from cellwarden.trust.identity import load_certificate, utc
from cellwarden.trust.keys import FileKeyStore
from cellwarden.trust.tls import openssl_settings

__all__ = ["doctor_command"]

_ENOUGH_BYTES: Final = 1 << 30
_SOON_DAYS: Final = 30
_LAKE_HINT: Final = (
    "Check that PostgreSQL runs, `lake_catalog` and `lake_data_path` in the hub's config.toml, and"
    " that `pip install 'cellwarden[lake]'` was done; see docs/several-hubs.md."
)
_OLDEST_CLOCK: Final = 1_795_000_000.0  # nobody runs this before it was written


@dataclass(frozen=True, slots=True)
class _Finding:
    what: str
    good: bool
    said: str
    hint: str = ""


def doctor_command(home: Home) -> None:
    """Print a row a check.

    Raises:
        UnavailableError: something does not stand.
    """
    table = Table(title="Cellwarden doctor", title_justify="left")
    for title in ("", "what", "found"):
        table.add_column(title, overflow="fold")
    bad = []
    for found in _examine(home):
        table.add_row("ok" if found.good else "[bold red]NO[/]", found.what, found.said)
        if not found.good:
            bad.append(found)
    console = Console()
    console.print(table)
    for found in bad:
        console.print(f"{found.what}: [bold]{found.hint}[/bold]")
    if bad:
        raise UnavailableError(f"{len(bad)} of the checks failed", hint="See the lines above.")


def _examine(home: Home) -> Iterator[_Finding]:
    version = sys.version_info
    yield _Finding(
        "Python",
        version >= (3, 11),
        f"{version.major}.{version.minor}.{version.micro}",
        "Use Python 3.11 or newer.",
    )
    yield _tried("boosted trees", _load_trees, "Install the system's libgomp1 (OpenMP).")
    yield _tried("encrypted store", _open_store, "Run `make setup` again: a wheel is damaged.")
    yield _tried("TLS 1.3 with AES-256 alone", _offer_suites, "Use a Python with OpenSSL 1.1.1+.")
    yield _clock()
    yield _disk(home)
    pages = Path(__file__).parent.parent / "hub" / "static" / "index.html"
    yield _Finding("pages", pages.exists(), "built" if pages.exists() else "not built",
                   "Run `make pages`.")  # fmt: skip
    yield from _installation(home)


def _tried(what: str, attempt: Callable[[], str], hint: str) -> _Finding:
    try:
        return _Finding(what, good=True, said=attempt())
    except (Error, ImportError, OSError, subprocess.SubprocessError, StopIteration) as error:
        return _Finding(what, good=False, said=str(error)[:200], hint=hint)


def _load_trees() -> str:
    return f"lightgbm {importlib.import_module('lightgbm').__version__}"


def _open_store() -> str:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(FileStore(Path(folder) / "probe.duckdb", os.urandom(32)))
        version = store.rows("SELECT version()")[0][0]
        store.close()
    return f"DuckDB {version}, AES-256-GCM"


def _offer_suites() -> str:
    script = "import ssl; print(*[c['name'] for c in ssl.create_default_context().get_ciphers()])"
    offered = subprocess.run(  # noqa: S603  our own interpreter
        [sys.executable, "-c", script],
        env={**os.environ, "OPENSSL_CONF": str(openssl_settings())},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    suites = [name for name in offered if name.startswith("TLS_")]
    if suites != ["TLS_AES_256_GCM_SHA384"]:
        raise UnavailableError(f"would agree on {' '.join(suites)}")
    return f"{suites[0]} ({ssl.OPENSSL_VERSION})"


def _clock() -> _Finding:
    now = time.time()
    return _Finding(
        "clock",
        now > _OLDEST_CLOCK,
        f"{utc(now):%Y-%m-%d %H:%M} UTC",
        "Set the clock: certificates and time stamps depend on it.",
    )


def _disk(home: Home) -> _Finding:
    place = home.path if home.path.exists() else Path.cwd()
    free = shutil.disk_usage(place).free
    return _Finding(
        "disk", free > _ENOUGH_BYTES, f"{free / 2**30:.1f} GiB free at {place}", "Free some space."
    )


def _look_at_lake(home: Home) -> str:
    importlib.import_module("cellwarden.hub.office")  # the client that elects the writer
    store = open_store(home.hub)
    try:
        entries = store.rows("SELECT coalesce(max(size), 0) FROM checkpoint")[0][0]
    finally:
        store.close()
    return f"catalog and files answer, ledger of {entries} entries"


def _installation(home: Home) -> Iterator[_Finding]:
    if not home.exists():
        yield _Finding("installation", good=True, said=f"none in {home.path} yet")
        return
    yield _Finding("installation", good=True, said=str(home.path))
    yield _tried(
        "hub's keys",
        lambda: f"{len(FileKeyStore(home.hub / 'keys').get('store')) * 8}-bit store key opens",
        "Restore the keys from the backup's key file.",
    )
    config = load_config(home.hub)
    if config.store == "lake":
        yield _tried("lake", lambda: _look_at_lake(home), _LAKE_HINT)
    certificates = [home.hub / "hub.crt", *sorted((home.path / "edge").glob("*/device.crt"))]
    for path in certificates:
        left = load_certificate(path.read_bytes()).not_valid_after_utc - utc(time.time())
        if left.days < _SOON_DAYS:
            yield _Finding(
                f"certificate {path.parent.name}",
                good=False,
                said=f"{left.days} days left",
                hint="Enrol the device again, or renew the hub's certificate.",
            )
    yield _Finding("certificates", good=True, said=f"{len(certificates)} looked at")
    with HubClient(home) as client:
        state = "running" if client.is_up() else "not running"
    yield _Finding("hub", good=True, said=f"{state}, devices at {config.host}:{config.device_port}")

"""A peer's own environment, built on demand from its lock, and its script run in it.

Rules
- Each folder beside this file holds `requirements.in` (what is wanted), `requirements.lock` (pinned
  by hash, without addresses), `python-version` and `measure.py`, which prints one JSON object.
- Environments lie in the folder's `.venv`, which git ignores; they are built again when the lock
  changes. Nothing of them reaches the package's own environment.

A lock is made with
`uv pip compile --universal --python-version VERSION --generate-hashes --no-header --no-annotate
--no-emit-index-url --no-emit-find-links requirements.in -o requirements.lock`.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from cellwarden.errors import UnavailableError

__all__ = ["measure"]

FOLDER = Path(__file__).parent


def measure(peer: str, *arguments: str, second: float = 600.0) -> dict[str, Any]:
    """What the peer's script prints.

    Raises:
        UnavailableError: its environment cannot be built here, or its script fails.
    """
    script = FOLDER / peer / "measure.py"
    line = [str(_python(peer)), str(script), *arguments]
    environment = {name: v for name, v in os.environ.items() if not name.startswith("PYTHON")}
    environment["PYBAMM_DISABLE_TELEMETRY"] = "true"  # it asks, and would send
    ended = subprocess.run(
        line, capture_output=True, text=True, timeout=second, check=False, env=environment,
        cwd=script.parent,
    )  # fmt: skip
    if ended.returncode:
        raise UnavailableError(
            f"{peer}: {(ended.stderr.strip().splitlines() or ['failed'])[-1]}",
            hint=f"Run it by hand: {' '.join(line)}",
        )
    told: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return told


def _python(peer: str) -> Path:
    """The interpreter of a peer's environment, built if it is not there or out of date."""
    folder = FOLDER / peer
    home, lock = folder / ".venv", folder / "requirements.lock"
    python, stamp = home / "bin" / "python", home / "lock.sha256"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise UnavailableError(f"{peer}: no uv to build it with", hint="Run `make setup` first.")
    version = (folder / "python-version").read_text().strip()
    print(f"Building the environment of {peer} (Python {version})", file=sys.stderr)
    _run(peer, [uv, "venv", "--quiet", "--clear", "--python", _found(version), str(home)])
    sync = [uv, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode"]
    _run(peer, [*sync, "--python", str(python), str(lock)])
    stamp.write_text(wanted)
    return python


def _found(version: str) -> str:
    """An interpreter of a version on this machine, or the version, for uv to look for."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return str(Path(sys.executable).resolve())
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    installed = sorted(pyenv.glob(f"{version}.*/bin/python"))
    return str(installed[-1]) if installed else version


def _run(peer: str, line: list[str]) -> None:
    ended = subprocess.run(line, capture_output=True, text=True, check=False)
    if ended.returncode:
        reason = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UnavailableError(
            f"{peer}: its environment cannot be built: {reason}",
            hint="It needs a package index and the Python that python-version names.",
        )

"""Running devices of this machine."""

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cellwarden.cli.home import Home
from cellwarden.edge.gateway import State, run_devices
from cellwarden.edge.source import Source, write_source
from cellwarden.errors import UsageError

__all__ = ["edge_command"]


def edge_command(home: Home, names: Sequence[str], record: Path | None, *, as_json: bool) -> None:
    """Run the devices until each has sent all.

    Raises:
        Error: that of the first named device that failed, after all have finished.
    """
    folders = [home.device(name) for name in names]
    if record is not None:
        if len(folders) != 1:
            raise UsageError("one record, one device", hint="Name one device with --record.")
        write_source(folders[0], Source(record=str(record.absolute())))

    one_line = threading.Lock()

    def tell(state: State) -> None:
        if as_json:
            line = msgspec.json.encode(state).decode()
        else:
            line = f"{state.device}: {state.sent_count} of {state.made_count} batches acknowledged"
            line += f"; {state.trouble}" if state.trouble else ""
        with one_line:
            print(line, file=sys.stdout, flush=True)  # noqa: T201  a command talks to its caller

    failures = run_devices(folders, tell)
    for error in failures.values():
        raise error

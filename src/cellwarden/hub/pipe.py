"""A named pipe between the engine, which writes files only, and whoever reads: nothing hits a disk.

The store keeps everything encrypted; an export must not leave a readable copy behind.
"""

import os
import secrets
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

__all__ = ["through_pipe"]

_CHUNK_BYTES: Final = 1 << 18


def through_pipe(
    folder: Path, write: Callable[[Path], None], stop: Callable[[], None]
) -> Generator[bytes, None, None]:
    """What `write` writes to the path that it is given, while it writes.

    What `write` raises is raised here, behind the last chunk. Whoever stops reading early has
    `stop` called, which has to make `write` return.
    """
    path = folder / secrets.token_hex(8)
    os.mkfifo(path, 0o600)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reading, True)
    # Held open so that the end is seen when the writer is done, not before it has begun.
    holding = os.open(path, os.O_WRONLY)
    raised: list[Exception] = []

    def run() -> None:
        try:
            write(path)
        except Exception as error:  # noqa: BLE001  raised again by the reader
            raised.append(error)
        finally:
            os.close(holding)

    writer = threading.Thread(target=run, name="export", daemon=True)
    writer.start()
    try:
        while chunk := os.read(reading, _CHUNK_BYTES):
            yield chunk
    finally:
        os.close(reading)
        if writer.is_alive():
            stop()
        writer.join()
        path.unlink()
    if raised:
        raise raised[0]

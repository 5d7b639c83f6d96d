"""Break one real file in many ways and count what reading it gives; a process of its own.

    python mutating.py FILE SECONDS SEED

Prints one JSON object; a reader that crashes takes only this process with it.
"""

import json
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from cellwarden.domain import Series
from cellwarden.errors import DataError
from cellwarden.readers import load

MOST_BYTES = 400_000  # of a large file its begin is broken, where the layout stands


def broken(whole: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with some overwritten, flipped, put in, taken out, moved or cut off."""
    content = bytearray(whole)
    for _ in range(int(rng.integers(1, 9))):
        size = max(len(content), 1)
        # Heads hold the layout: every other blow falls there.
        at = int(rng.integers(0, size if rng.random() < 0.5 else min(size, 2048)))
        match int(rng.integers(6)):
            case 0:
                content[at : at + 8] = rng.bytes(int(rng.integers(1, 9)))
            case 1:
                if content:
                    content[min(at, size - 1)] ^= 1 << int(rng.integers(8))
            case 2:
                content[at:at] = rng.bytes(int(rng.integers(1, 64)))
            case 3:
                del content[at : at + int(rng.integers(1, 512))]
            case 4:
                piece = content[at : at + int(rng.integers(1, 4096))]
                to = int(rng.integers(0, size))
                content[to : to + len(piece)] = piece
            case _:
                if rng.random() < 0.3:
                    del content[at:]
    return bytes(content)


def main(path: Path, second: float, seed: int) -> None:
    """Break and read until the time is up."""
    warnings.simplefilter("error")
    rng = np.random.default_rng(seed)
    whole = path.read_bytes()
    told: Counter[str] = Counter()
    end = time.monotonic() + second
    slowest = 0.0
    with TemporaryDirectory() as folder:
        target = Path(folder) / path.name
        while time.monotonic() < end:
            content = broken(whole[:MOST_BYTES] if rng.random() < 0.5 else whole, rng)
            target.write_bytes(content)
            began = time.monotonic()
            try:
                found = load(target)
            except DataError as error:
                told[type(error).__name__] += 1
            except Exception:
                (Path(folder).parent / f"escaped-{path.name}").write_bytes(content)
                raise
            else:
                told["Series" if isinstance(found, Series) else "Table"] += 1
            slowest = max(slowest, time.monotonic() - began)
    print(json.dumps({"told": dict(told), "slowest_second": round(slowest, 3)}))  # noqa: T201  for the caller


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))

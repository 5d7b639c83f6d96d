"""The floor: polars reads the file and does nothing with it. PATH RUNS."""

import json
import os
import sys

import polars as pl


def cpu_second() -> float:
    """User and system time of this process and its children."""
    return sum(os.times()[:4])


def main() -> None:
    """Print the figures."""
    runs = []
    for _ in range(int(sys.argv[2])):
        before = cpu_second()
        frame = pl.read_csv(sys.argv[1])
        runs.append(cpu_second() - before)
    told = {"version": pl.__version__, "cpu_s": min(runs), "row_count": len(frame)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()

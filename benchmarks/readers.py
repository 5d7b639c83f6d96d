"""A tester's file to record, to tables of steps and cycles: CPU seconds, beside other programs.

Rules
- Each measurement is a process of its own; what counts is user and system time of it and of its
  children after imports, the smallest of several runs: what a first run sets up, and what other
  work on the machine adds, is no cost of the program.
- Peers read the very same file in the same run, each in its own pinned environment
  (`benchmarks/peers/`); what they make of it stands in the rows, so that nothing is fast by
  leaving something out unseen.

    cellwarden bench readers [--quick] [--peers] [--json]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from cellwarden.cli.bench import load_script

HERE: Final = Path(__file__).parent
_DATA: Final = "generated Arbin text, 500 cycles × 1,000 points, seed 7"
_PEERS: Final = ("cellpy", "polars", "pyprobe")
_GROWTH_ROWS: Final = (500_000, 1_000_000, 2_000_000, 5_000_000)
_PIECES_ROWS: Final = (5_000_000, 50_000_000)
# Measured by us in 2026-11 on the same kind of file; it has no release that could be pinned.
_BATTERYML_SECOND: Final = 1.9
# Real files that peers know how to read, and what each must be told to do so.
_NATIVE: Final = {
    "cycler_native/neware/neware_uio.csv": {
        "cellpy": ("neware_txt", "one"),
        "pyprobe": ("neware",),
    },
    "cycler_native/maccor/maccor_three.txt": {"cellpy": ("maccor_txt", "three")},
}
# Real files whose testers count.
_COUNTED: Final = (
    "calce_cs2/CS2_35.parquet",
    "calce_cs2/CS2_36.parquet",
    "calce_cs2/CS2_37.parquet",
    "cycler_native/arbin/arbin_example.csv",
    "cycler_native/arbin/2017-05-09_test-TC-contact_CH33.csv",
    "cycler_native/arbin/20160805_test001_45_cc_01.res",
    "cycler_native/neware/neware_uio.csv",
    "cycler_native/biologic/Sample_data_biologic_CA1.txt",
    "cycler_native/basytec/sample_data_basytec.txt",
    "cycler_native/batterydata/p492-13-raw.csv",
    "cycler_native/landt/SINTEF__LiGrR2032__25degC__Landt.csv",
    "cycler_native/pec/Test25205.csv",
)
_CLOSE: Final = 1e-3
_SMALL: Final = 0.02  # of the largest charge of a file: below it a relative difference says nothing


def cpu_second() -> float:
    """User and system time of this process and its children."""
    return sum(os.times()[:4])


def measure(path: str, runs: int) -> dict[str, Any]:
    """What this process needs for a file, and what it made of it."""
    from cellwarden.features import cycles_of, steps
    from cellwarden.readers import read

    reading, making = [], []
    for _ in range(runs):
        before = cpu_second()
        series = read(path)
        between = cpu_second()
        table = steps(series)
        cycles = cycles_of(table)
        making.append(cpu_second() - between)
        reading.append(between - before)
    return {
        "cpu_s": min(a + b for a, b in zip(reading, making, strict=True)),
        "read_s": min(reading),
        "tables_s": min(making),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "row_count": len(series),
        "step_count": len(table),
        "charging_capacity_ah": cycles["charging_capacity_ah"].tolist(),
        "discharging_capacity_ah": cycles["discharging_capacity_ah"].tolist(),
    }


def _apart(path: Path, number: int, what: str = "measure") -> dict[str, Any]:
    """`measure` or another, in a process of its own."""
    line = [sys.executable, __file__, what, str(path), str(number)]
    printed = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    told: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return told


def run(*, quick: bool = False, peers: bool = False) -> dict[str, Any]:
    """All figures, as one object."""
    with tempfile.TemporaryDirectory() as folder:
        path = load_script("arbin_csv").write_arbin_csv(Path(folder) / "arbin_500k.csv")
        runs = 3 if quick else 5
        ours = _apart(path, runs)
        others = _peers(path, runs) if peers else {}
        truth = _truth(path)
    figures = [
        _figure("readers.arbin_500k.cpu_s", ours["cpu_s"], "s", "<=0.6", _seconds(others)),
        _figure("readers.arbin_500k.read.cpu_s", ours["read_s"], "s"),
        _figure("readers.arbin_500k.tables.cpu_s", ours["tables_s"], "s", "<=0.1"),
        _figure("readers.arbin_500k.rss_mb", ours["rss_mb"], "MB"),
    ]
    if "polars" in others:
        ratio = ours["cpu_s"] / others["polars"]["cpu_s"]
        figures.append(_figure("readers.arbin_500k.of_polars_read_csv", ratio, "1"))
    rows = [
        _agreement("cellwarden", "counters", ours, truth),
        *(
            _agreement(who, "counters", told, truth)
            for who, told in others.items()
            if who != "polars"
        ),
    ]
    figures.append(
        _figure("readers.arbin_500k.worst_charge_error", rows[0]["worst"], "1", "<=1e-3")
    )
    if not quick:
        figures += growth(_GROWTH_ROWS)
    rows += _counted()
    if peers:
        rows += _native()
    notes = [
        f"{row['file']}, {row['cycles']} cycles, {row['who']} against {row['against']}:"
        f" {row['within']:.1%} within 0.1 %, median {row['median']:.1e}, worst {row['worst']:.1e}"
        for row in rows
    ]
    return {"figures": figures, "rows": rows, "notes": notes}


def _data() -> Path:
    return Path(os.environ.get("CELLWARDEN_DATA", HERE.parent / ".." / "shared" / "data")).resolve()


def _counted() -> list[dict[str, Any]]:
    """Charges of real files against the testers' own counters; empty without the data."""
    from cellwarden.features import cycle_table
    from cellwarden.readers import read

    rows = []
    for name in _COUNTED:
        path = _data() / name
        if not path.is_file():
            continue
        table = cycle_table(read(path))
        ours, counters = (
            {f"{way}_capacity_ah": table[f"{way}_{what}"] for way in ("charging", "discharging")}
            for what in ("capacity_ah", "counter_ah")
        )
        rows.append(_agreement("cellwarden", "counters", ours, counters, file=path.name))
    return rows


def _native() -> list[dict[str, Any]]:
    """What peers make of real files, against ours; empty without the data."""
    environment, rows = load_script("peers/environment"), []
    for name, readers in _NATIVE.items():
        path = _data() / name
        if not path.is_file():
            continue
        ours = measure(str(path), 1)
        for who, words in readers.items():
            told = environment.measure(who, str(path), "1", *words)
            rows.append(_agreement("cellwarden", who, ours, told, file=path.name))
    return rows


def _figure(
    name: str, value: float, unit: str, goal: str = "", peers: dict[str, float] | None = None
) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "value": float(f"{value:.3g}"), "unit": unit}
    found |= {"goal": goal} if goal else {}
    found |= {"peers": peers} if peers else {}
    return {**found, "data": _DATA}


def _peers(path: Path, runs: int) -> dict[str, Any]:
    environment = load_script("peers/environment")
    return {who: environment.measure(who, str(path), str(runs)) for who in _PEERS}


def _seconds(others: dict[str, Any]) -> dict[str, float]:
    """Peers' figures; the one that was measured earlier says when."""
    found = {
        f"{who} {told['version']}": round(told["cpu_s"], 3)
        for who, told in others.items()
        if who != "polars"
    }
    return {**found, "BatteryML without tables (2026-11)": _BATTERYML_SECOND} if found else {}


def _truth(path: Path) -> dict[str, list[float]]:
    """The counters' last reading of each cycle, which the generator wrote exactly."""
    table = np.loadtxt(path, delimiter=",", skiprows=1, usecols=(4, 8, 9))
    last = np.append(np.flatnonzero(np.diff(table[:, 0])), len(table) - 1)
    return {
        "charging_capacity_ah": table[last, 1].tolist(),
        "discharging_capacity_ah": table[last, 2].tolist(),
    }


def _agreement(
    who: str, against: str, told: dict[str, Any], right: dict[str, Any], file: str = "generated"
) -> dict[str, Any]:
    """How far the charges of each cycle by one lie from those by another. [1]"""
    parts, names = [], ("charging_capacity_ah", "discharging_capacity_ah")
    most = max(np.max(right[name]) for name in names)
    for name in names:
        one, other = np.array(told[name]), np.array(right[name])
        large = other > _SMALL * most
        parts.append(np.abs(one[large] / other[large] - 1))
    miss = np.concatenate(parts)
    return {
        "file": file,
        "who": who,
        "against": against,
        "cycles": len(right["charging_capacity_ah"]),
        "within": float(np.mean(miss < _CLOSE)),
        "worst": float(miss.max()),
        "median": float(np.median(miss)),
    }


def measure_pieces(path: str, row_count: int) -> dict[str, Any]:
    """The tables of a record of very many rows, a file's over and over, in pieces."""
    from cellwarden.features import cycles_of, joined, steps_of_pieces
    from cellwarden.readers import read

    series = read(path)
    before = cpu_second()
    cycles = cycles_of(joined(steps_of_pieces(_repeated(series, row_count))))
    return {
        "tables_s": cpu_second() - before,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "cycle_count": len(cycles),
    }


def measure_scan(path: str, row_count: int) -> dict[str, Any]:
    """From a file of any length to its tables, in bounded memory."""
    from cellwarden.features import cycles_of, joined, steps_of_pieces
    from cellwarden.readers import scan

    next(iter(scan(path)))  # the kernel compiles once per installation
    before = cpu_second()
    cycles = cycles_of(joined(steps_of_pieces(scan(path))))
    if len(cycles) != row_count // 1000:
        raise ValueError(f"{len(cycles)} cycles in {row_count} rows")
    return {
        "cpu_s": cpu_second() - before,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "cycle_count": len(cycles),
    }


def scans(row_counts: tuple[int, ...]) -> list[dict[str, Any]]:
    """CPU seconds and memory from a longer and longer file to its tables, a process each."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arbin.csv"
        for count in row_counts:
            load_script("arbin_csv").write_arbin_csv(path, cycles=count // 1000)
            told = _apart(path, count, "scan")
            for name, unit in (("cpu_s", "s"), ("rss_mb", "MB")):
                figure = _figure(f"readers.growth.scan_{count}.{name}", told[name], unit)
                data = f"generated Arbin text, {count:,} rows, seed 7"
                figures.append({**figure, "data": data, "file_mb": path.stat().st_size // 10**6})
    return figures


def _repeated(series: Any, row_count: int) -> Iterator[Any]:
    """A record again and again, its clock and its cycle numbers going on."""
    last = float(series.test_time_second[-1])
    cycles = int(series.cycle_count[-1])
    for number in range(row_count // len(series)):
        yield replace(
            series,
            test_time_second=series.test_time_second + number * last,
            unix_time_second=None,
            cycle_count=series.cycle_count + number * cycles,
        )


def growth(row_counts: tuple[int, ...]) -> list[dict[str, Any]]:
    """CPU seconds and memory of a file of more and more rows, a process each."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for count in row_counts:
            path = Path(folder) / "arbin.csv"
            load_script("arbin_csv").write_arbin_csv(path, cycles=count // 1000)
            told = _apart(path, 1)
            for name, unit in (("read_s", "s"), ("tables_s", "s"), ("rss_mb", "MB")):
                figure = _figure(f"readers.growth.rows_{count}.{name}", told[name], unit)
                figures.append({**figure, "data": f"generated Arbin text, {count:,} rows, seed 7"})
        load_script("arbin_csv").write_arbin_csv(path)
        for count in _PIECES_ROWS:
            told = _apart(path, count, "pieces")
            for name, unit in (("tables_s", "s"), ("rss_mb", "MB")):
                figure = _figure(f"readers.growth.pieces_{count}.{name}", told[name], unit)
                figures.append({**figure, "data": f"{_DATA}, over and over to {count:,} rows"})
    return figures


def main() -> None:
    """One measurement, for the process that asked for it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["measure", "pieces", "scan"])
    parser.add_argument("path")
    parser.add_argument("number", type=int, help="runs, or rows")
    asked = parser.parse_args()
    chosen = {"measure": measure, "pieces": measure_pieces, "scan": measure_scan}
    print(json.dumps(chosen[asked.what](asked.path, asked.number)))


if __name__ == "__main__":
    main()

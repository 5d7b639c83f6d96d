"""From a file of fifty million rows to its tables of cycles; figures saved with commit and day."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from cellwarden.cli.bench import load_script

ROOT = Path(__file__).parents[2]
ROW_COUNTS = (500_000, 5_000_000, 50_000_000)


@pytest.mark.soak
def test_fifty_million_rows_become_cycles_in_bounded_memory() -> None:
    readers = load_script("readers")
    figures = readers.scans(ROW_COUNTS)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    told = {
        "commit": commit,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "figures": figures,
        "rows": [],
    }
    (ROOT / "benchmarks" / "saved" / "reading.json").write_text(json.dumps(told, indent=1) + "\n")
    largest = {one["name"]: one["value"] for one in figures}
    assert largest["readers.growth.scan_50000000.rss_mb"] < 2048

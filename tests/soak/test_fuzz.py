"""Every tester's file, broken in many ways: a record, a table or a `DataError`, nothing else."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("CELLWARDEN_DATA", ROOT / "../shared/data"))
SECOND_A_FILE = 40.0
SEED = 3
LONGEST_SECOND = 30.0
MORE = (
    "calce_cs2/native/CS2_35_8_19_10.xlsx",
    "nasa_pcoe/B0049.parquet",
    "eis_lco/eis.parquet",
    "abuse_tests/snl_abuse.xlsx",
    "reference_cells/native/5SOCK220_first_part.lvm.txt",
)


def files() -> list[Path]:
    """What testers write, and one file of each other kind."""
    native = sorted(path for path in (DATA / "cycler_native").rglob("*.*") if path.is_file())
    return [path for path in native if path.name not in ("README.md", "index.csv")] + [
        DATA / name for name in MORE
    ]


@pytest.mark.soak
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the data sets under CELLWARDEN_DATA")
def test_no_reader_gives_anything_but_a_record_a_table_or_a_data_error() -> None:
    rows, sums = [], Counter[str]()
    for path in files():
        script = Path(__file__).with_name("mutating.py")
        line = [sys.executable, script, path, str(SECOND_A_FILE), str(SEED)]
        told = subprocess.run(line, capture_output=True, text=True, check=False)
        assert told.returncode == 0, f"{path.name}: {told.stderr[-2000:]}"
        outcome = json.loads(told.stdout)
        assert outcome["slowest_second"] < LONGEST_SECOND, path.name
        sums.update(outcome["told"])
        rows.append({"file": str(path.relative_to(DATA)), **outcome})
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    saved = {
        "commit": commit,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seed": SEED,
        "second_a_file": SECOND_A_FILE,
        "broken_file_count": sums.total(),
        "told": dict(sums),
        "rows": rows,
    }
    target = ROOT / "benchmarks" / "saved" / "fuzz.json"
    target.write_text(json.dumps(saved, indent=1) + "\n")

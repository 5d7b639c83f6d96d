"""The long parts of benches; rows are saved with commit, day and CPU time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHES = ("health",)


@pytest.mark.soak
@pytest.mark.parametrize("name", BENCHES)
def test_the_long_parts_of_a_bench_are_run_and_saved(name: str) -> None:
    script = ROOT / "benchmarks" / f"{name}.py"
    done = subprocess.run([sys.executable, script, "--soak"], capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    saved = ROOT / "benchmarks" / "saved" / f"{name}.json"
    for part in json.loads(saved.read_text(encoding="utf-8"))["parts"].values():
        assert part["rows"]

"""A thousand power losses of hub and devices; the figures are saved with commit and day."""

import dataclasses
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from journeys.kills import Blows
from journeys.system import System

ROOT = Path(__file__).parents[2]
KILL_COUNT = 1_000
SEED = 1_000


@pytest.mark.soak
def test_nothing_is_lost_and_nothing_stands_twice_after_a_thousand_kills(tmp_path: Path) -> None:
    system = System(tmp_path)
    try:
        outcome = Blows(system, count=KILL_COUNT, seed=SEED).run()
    finally:
        system.close()
    assert sum(outcome.kill_count.values()) == KILL_COUNT
    assert outcome.kill_count_while_sending > KILL_COUNT // 2
    told = {
        "commit": subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{os.cpu_count()} cores",
        "seed": SEED,
        **dataclasses.asdict(outcome),
    }
    saved = ROOT / "benchmarks" / "saved" / "kills.json"
    saved.write_text(json.dumps(told, indent=1) + "\n")

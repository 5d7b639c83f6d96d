"""A thousand hours of sound packs, and a car's trips: how often the fault table cries wolf."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from cellwarden.drills.clean import sound_hours, trips
from cellwarden.drills.figures import clean_figures

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("CELLWARDEN_DATA", ROOT / "../shared/data"))
HOURS = 1040.0


@pytest.mark.soak
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the data sets under CELLWARDEN_DATA")
def test_a_thousand_sound_hours_are_judged_and_saved() -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    quiet, car = sound_hours(HOURS, packs_a_kind=50, seed=7, worker_count=2), trips(DATA)
    told = {
        "commit": commit,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "figures": clean_figures(quiet, car),
        "rows": [
            {"data": data, "hours": one.hours, "rows": one.row_count, "raised": one.raised}
            for data, one in (("twins, seed 7", quiet), ("bmw_i3_trips, 46 trips", car))
        ],
    }
    (ROOT / "benchmarks" / "saved" / "clean.json").write_text(json.dumps(told, indent=1) + "\n")
    assert quiet.hours >= 1000.0
    assert quiet.alarm_count == 0, quiet.raised

"""The example of the fleet's year runs, with the data and without it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cellwarden.physics.duty import DUTIES

EXAMPLE = Path(__file__).parents[2] / "examples" / "fleet_year.py"


@pytest.mark.parametrize("gentle", [False, True])
def test_a_year_s_fade_is_printed_by_duty(tmp_path: Path, *, gentle: bool) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "--packs", "70", "--days", "365"] + ["--gentle"] * gentle,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"CELLWARDEN_DATA": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line.split() for line in done.stdout.splitlines()}
    assert "Without" in lines
    assert set(DUTIES) <= set(lines)
    cycles = {name: float(lines[name][1]) for name in DUTIES}
    assert cycles["standby"] == 0.0
    assert cycles["delivery"] > 2.0 * cycles["commuter"] > 0.0
    assert float(lines["delivery"][4].rstrip("%")) > float(lines["commuter"][4].rstrip("%"))

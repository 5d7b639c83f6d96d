"""The long benchmark; its figures are saved with the commit and the day they come from."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from cellwarden.cli.bench import load_script

ROOT = Path(__file__).parents[2]


@pytest.mark.soak
def test_growth_is_measured_and_saved() -> None:
    os.environ.setdefault(
        "OPENSSL_CONF", str(ROOT / "src" / "cellwarden" / "trust" / "openssl.cnf")
    )
    growth = load_script("growth")
    told = growth.run()
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    told = {"commit": commit, "date": time.strftime("%Y-%m-%d", time.gmtime()), **told}
    (ROOT / "benchmarks" / "saved" / "growth.json").write_text(json.dumps(told, indent=1) + "\n")
    figures = {figure["name"]: figure["value"] for figure in told["figures"]}
    assert figures["growth.values_per_s.rows_50000000"] > 0

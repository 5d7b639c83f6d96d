"""The example tells the truth that it prints beside each number."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cellwarden.domain import QUANTITIES

ROOT = Path(__file__).parents[2]
EXAMPLE, PAGE = ROOT / "examples" / "features.py", ROOT / "docs" / "features.md"


def _printed(*parts: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE, *parts],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_part_runs_and_finds_what_its_signal_was_made_of() -> None:
    told = _printed()
    assert "fade_slope_ah -0.0005" in told
    assert "ohmic 20.00 mΩ" in told
    assert "30.00 mΩ, 2.00 mΩ/√s" in told
    assert "range 4: 1.5 cycles" in told
    assert "3.7 to 3.9 V in steps of 10 mV: 0.6667 Ah" in told
    peaks = [float(found) for found in re.findall(r"peak at ([\d.]+)", told)]
    assert peaks == pytest.approx([3.5, 3.8], abs=0.005)


def test_one_part_runs_alone_and_an_unknown_one_is_named() -> None:
    assert _printed("usage").count("---") == 1
    done = subprocess.run([sys.executable, EXAMPLE, "moon"], capture_output=True, check=False)
    assert done.returncode == 2
    assert b"no part moon" in done.stdout


def test_the_page_lists_every_part_and_only_names_that_are_there() -> None:
    from cellwarden import features

    page = PAGE.read_text(encoding="utf-8")
    parts = set(re.findall(r"`python examples/features\.py (\w+)`", page))
    assert parts == {"curves", "early", "incremental", "pulses", "impedance", "partial", "usage"}
    for name in re.findall(r"`features\.(\w+)`", page):
        assert hasattr(features, name), name
    for name in features.__all__:
        getattr(features, name)  # what is listed can be loaded


def test_the_page_gives_every_quantity_its_unit() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page, re.MULTILINE)
    known = {name: unit for name, unit in rows if name in QUANTITIES}
    assert len(known) > 30
    for name, unit in known.items():
        assert QUANTITIES[name].unit == unit.strip(), name

"""The getting-started page does what it says: its blocks are run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "getting-started.md"
README = Path(__file__).parents[2] / "README.md"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a made-up cell in it: three slow cycles, as a tester would write them."""
    place = tmp_path_factory.mktemp("start")
    hour = 3600.0
    time = np.arange(0.0, 12 * hour, 30.0)
    phase = (time % (4 * hour)) / hour
    current = np.where(phase < 2.0, 0.5, np.where(phase < 3.8, -0.55, 0.0))
    charge = np.cumsum(current * 30.0 / hour) / 1.1
    voltage = 3.3 + 0.8 * np.clip(charge, 0.0, 1.0) + 0.05 * current
    rows = "\n".join(
        f"{t:.0f},{v:.4f},{i:.4f}" for t, v, i in zip(time, voltage, current, strict=True)
    )
    (place / "cell.csv").write_text(f"Test Time / s,Voltage / V,Current / A\n{rows}\n")
    return place


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-ec", command],
        cwd=folder,
        env={**os.environ, "PATH": path, "CELLWARDEN_HOME": str(folder / ".cellwarden")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_notebook_lines_run_without_hub_and_keys(folder: Path) -> None:
    script = blocks(PAGE, "python")[0]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "health" in done.stdout
    assert not (folder / ".cellwarden").exists()


def test_the_readme_has_the_same_notebook_lines() -> None:
    (script,) = blocks(README, "python")
    assert "from cellwarden.readers import read" in script
    assert len([line for line in script.splitlines() if line.strip()]) <= 5


def test_reading_shows_guesses_and_then_the_record(folder: Path) -> None:
    done = run(blocks(PAGE, "sh")[0], folder)
    assert done.returncode == 0, done.stderr
    assert "voltage_volt" in done.stdout


def test_a_hub_and_a_device_by_hand(folder: Path) -> None:
    commands = blocks(PAGE, "sh")[1].replace("cellwarden hub &", "cellwarden hub & sleep 4")
    ports = "--device-port 18443 --page-port 18440"
    commands = commands.replace("cellwarden init", f"cellwarden init {ports}")
    commands = f"trap 'kill $(jobs -p); wait' EXIT\n{commands}"
    done = run(commands, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything holds" in done.stdout
    assert (folder / "samples.parquet").stat().st_size > 0
    assert (folder / "ledger" / "checkpoint").exists()
    assert (folder / "today.tar.keys").exists()


def test_a_verdict_has_a_receipt_that_holds_without_the_hub(folder: Path) -> None:
    done = run(blocks(PAGE, "sh")[2], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "holds: the hub said of cell" in done.stdout.replace("\n", " ")

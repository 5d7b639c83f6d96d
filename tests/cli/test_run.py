"""The main job as a process."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A short record, as a tester would write it."""
    time = np.arange(0.0, 4 * 3600.0, 30.0)
    current = np.where(time < 2 * 3600.0, 0.5, -0.5)
    voltage = 3.6 + 0.3 * np.cumsum(current) / np.abs(np.cumsum(current)).max()
    rows = "\n".join(
        f"{t:.0f},{v:.4f},{i:.4f}" for t, v, i in zip(time, voltage, current, strict=True)
    )
    path = tmp_path / "cell.csv"
    path.write_text(f"Test Time / s,Voltage / V,Current / A\n{rows}\n")
    return path


def run(*arguments: str) -> "subprocess.Popen[str]":
    line = [sys.executable, "-m", "cellwarden", "run", *arguments]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_stopping_the_main_job_stops_what_it_started(record: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    process = run(str(record), "--home", str(home))
    with process.stdout or sys.stdin as lines:
        said = ""
        for line in lines:
            said += line
            if "Serving until" in line:
                break
        assert "everything holds" in said
        pid = int((home / "hub" / "hub.pid").read_text())
        process.terminate()
        assert process.wait(60) == 0
    assert not (home / "hub" / "hub.pid").exists()
    assert not Path(f"/proc/{pid}").exists()


def test_a_file_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    process = run(str(tmp_path / "none.csv"), "--once", "--home", str(tmp_path / "home"))
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "none.csv is not a file" in said
    assert "what to do:" in said


def test_two_runs_send_a_record_once(record: Path, tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    for _ in range(2):
        process = run(str(record), "--once", "--home", home)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert "480" in said.split("frames")[-1]

"""The page on exports does what it says: its blocks are run as they stand."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cellwarden.datasets import data_folder

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "export.md"


def block(language: str) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[0]


def run(command: list[str], folder: Path) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_lines_of_the_page_make_a_model_and_export_it(tmp_path: Path) -> None:
    if not (data_folder(None) / "soh_features").is_dir():
        pytest.skip("soh_features is not under CELLWARDEN_DATA")
    if importlib.util.find_spec("onnx") is None:
        pytest.skip("needs the extra export")
    run([sys.executable, "-c", block("python")], tmp_path)
    told = run(["bash", "-ec", block("sh")], tmp_path)
    assert "by ONNX Runtime" in told
    header = (tmp_path / "soh_model.h").read_text("utf-8")
    assert all(name in header for name in re.findall(r"\bSOH_MODEL_\w+", block("c")))

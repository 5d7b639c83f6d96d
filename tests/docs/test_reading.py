"""The lines of docs/reading.md run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

from cellwarden.readers import load_mapping

PAGE = Path(__file__).parents[2] / "docs" / "reading.md"
RECORD = "run,time_s,Volts,Amps\n" + "".join(
    f"{name},{second},{3.5 + second / 1000},1.0\n"
    for name in ("UDDS", "US06")
    for second in range(50)
)


def blocks(language: str) -> list[str]:
    page = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def test_the_lines_of_python_run(tmp_path: Path) -> None:
    for name in ("anything.csv", "cell.csv", "long.csv"):
        (tmp_path / name).write_text(RECORD)
    (tmp_path / "drive.parquet").write_text(RECORD)  # content decides, not the name
    (tmp_path / "lives.csv").write_text("cell,cycle_life\n1,900\n2,1100\n")
    done = subprocess.run(
        [sys.executable, "-c", blocks("python")[0]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("100 ")


def test_the_mapping_is_one(tmp_path: Path) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text(blocks("toml")[0])
    assert load_mapping(path).current_sign == -1

"""docs/sensing.md shows what its example prints, and its lines of Python run."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE, EXAMPLE = ROOT / "docs" / "sensing.md", ROOT / "examples" / "sensing.py"
BLOCKS = re.findall(
    r"^```console\n\$ python examples/sensing\.py (\w+)\n(.*?)^```",
    PAGE.read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_shows_what_the_example_prints() -> None:
    parts = [part for part, _ in BLOCKS]
    told = run(str(EXAMPLE), *parts)
    assert "".join(shown for _, shown in BLOCKS) == told
    assert set(parts) | {"cost"} == set(_parts())


def _parts() -> list[str]:
    done = subprocess.run([sys.executable, EXAMPLE, "moon"], capture_output=True, check=False)
    assert done.returncode == 2
    return done.stdout.decode().strip().partition("there are ")[2].split(", ")


def test_the_cost_of_a_cycle_is_printed_for_three_packs() -> None:
    assert len(re.findall(r"ms of CPU a cycle", run(str(EXAMPLE), "cost"))) == 3


def test_the_lines_of_python_run() -> None:
    page = PAGE.read_text(encoding="utf-8")
    lines = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0]
    told = run("-c", lines)
    assert "None" in told
    assert "nan" not in told


def test_every_name_that_the_page_gives_a_module_is_there() -> None:
    from importlib import import_module

    page = PAGE.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:edge|physics)\.[\w.]+)`", page):
        module, _, thing = f"cellwarden.{name}".rpartition(".")
        found = import_module(module)
        assert hasattr(found, thing) or import_module(f"{module}.{thing}"), name

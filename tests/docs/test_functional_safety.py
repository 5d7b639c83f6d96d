"""Every test and module that the statement leans on is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "functional-safety.md").read_text(encoding="utf-8")


def test_what_the_statement_points_to_exists() -> None:
    written = "\n".join(
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("*.py"))
    )
    names = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(names) > 5
    assert [name for name in names if f"def {name}(" not in written] == []
    paths = set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE))
    assert [path for path in paths if not (ROOT / path).is_file()] == []
    modules = set(re.findall(r"`((?:control|domain|edge)/[\w/]+\.py)`", PAGE))
    assert len(modules) > 3
    assert [name for name in modules if not (ROOT / "src/cellwarden" / name).is_file()] == []


def test_the_statement_says_first_that_nothing_is_certified() -> None:
    assert PAGE.splitlines()[2].startswith("**Cellwarden is not certified")

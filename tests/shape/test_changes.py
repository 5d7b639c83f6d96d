"""The changelog can be built from its fragments, and none is left out."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def project(root: Path) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text())


def plain(text: str) -> str:
    return " ".join(text.split())


def test_the_next_release_says_what_each_fragment_says(root: Path, project: dict) -> None:
    before = (root / "CHANGELOG.md").read_text()
    told = subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--draft"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    drafted = plain(told.stdout)
    kinds = {kind["directory"] for kind in project["tool"]["towncrier"]["type"]}
    fragments = sorted((root / "changes").glob("*.md"))
    for path in fragments:
        word, kind, _ = path.name.split(".")
        assert kind in kinds, path.name
        assert word, path.name
        text = plain(path.read_text())
        assert text, path.name
        assert text in drafted, path.name
    assert (root / "CHANGELOG.md").read_text() == before


def test_the_release_is_made_in_the_projects_own_version_behind_the_mark(
    root: Path, project: dict
) -> None:
    settings = project["tool"]["towncrier"]
    assert settings["version"] == project["project"]["version"]
    assert settings["start_string"] in (root / settings["filename"]).read_text()

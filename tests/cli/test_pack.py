"""`cellwarden pack`: its story, its table and its JSON."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from cellwarden.cli.pack_tour import board, tell
from cellwarden.control.diagram import diagram, settings_table, transition_table
from cellwarden.edge.mishaps import mishap_named
from cellwarden.edge.tour import Rig, TourPack, scenes, tour, visit

STORIES = Path(__file__).parent / "stories"


def cellwarden(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cellwarden", *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_COLOR": "1"},
    )


@pytest.mark.parametrize("name", sorted(path.stem for path in STORIES.glob("*.txt")))
def test_the_story_of_a_mishap_is_told_as_it_was(name: str) -> None:
    told = "\n".join(tell(tour(TourPack(), mishap_named(name), whole=False))) + "\n"
    hint = (
        f"look at it, then: cellwarden pack --fault {name} --short > tests/cli/stories/{name}.txt"
    )
    assert told == (STORIES / f"{name}.txt").read_text(encoding="utf-8"), hint


def test_the_table_shows_the_mode_the_limits_and_why_on_a_screen_of_eighty_columns() -> None:
    listed = scenes(TourPack(), mishap_named("insulation"), whole=False)
    glances = list(visit(Rig(TourPack()), listed[:4]))
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(board(glances[-1], ["an event of before", *tell(glances)]))
    shown = console.export_text()
    for words in (
        "fail: a wet cable: insulation falls to 2 kΩ",
        "the fault to go away",
        "first was insulation_lost",
        "fault.insulation_lost",
        "± ",
    ):
        assert words in shown
    assert "an event of before" not in shown  # the newest alone
    assert max(len(line) for line in shown.splitlines()) <= 80


def test_json_has_each_scene_with_its_events_and_its_end() -> None:
    ran = cellwarden("pack", "--fault", "interlock", "--short", "--cells", "4", "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["fault"] == "interlock"
    names = [row["scene"] for row in told["rows"]]
    assert names == ["wake", "start again", "on the way", "fail", "reset", "back"]
    failed = told["rows"][3]
    assert failed["end"]["mode"] == "error"
    assert failed["end"]["contactors"] == "open"
    assert failed["end"]["troubles"] == ["interlock_open"]
    assert any("interlock_open" in event["text"] for event in failed["events"])
    assert told["rows"][-1]["end"]["mode"] == "standby"


def test_the_diagram_is_printed_with_its_tables() -> None:
    ran = cellwarden("pack", "--diagram")
    assert ran.returncode == 0, ran.stderr
    for part in (diagram(), transition_table(), settings_table()):
        assert part in ran.stdout


def test_an_unknown_mishap_is_one_line_and_a_hint() -> None:
    ran = cellwarden("pack", "--fault", "meteor")
    assert ran.returncode != 0
    assert "no mishap is called 'meteor'" in ran.stderr
    assert "interlock" in ran.stderr
    assert "Traceback" not in ran.stderr

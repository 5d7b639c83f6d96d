from pathlib import Path

from cellwarden.control import TABLE, Event, Mode
from cellwarden.control.diagram import diagram, settings_table, transition_table

PAGE = Path(__file__).parents[2] / "docs" / "pack.md"
HINT = "run: cellwarden pack --diagram, and put its parts into docs/pack.md"


def test_the_page_holds_the_machine_as_it_is() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert f"```mermaid\n{diagram()}```\n" in page, HINT
    assert transition_table() in page, HINT
    assert settings_table() in page, HINT


def test_every_move_of_the_table_is_an_arrow_that_names_its_event() -> None:
    arrows = {}
    for line in diagram().splitlines()[2:]:
        way, _, events = line.strip().partition(": ")
        arrows[way] = arrows.get(way, "") + events
    for (mode, event), target in TABLE.items():
        if target.mode is not None and target.mode is not mode:
            assert event.value in arrows[f"{mode} --> {target.mode}"]
    assert "opening --> error" in arrows
    assert "opening --> standby" in arrows
    assert not any(way.startswith("connected --> error") for way in arrows)


def test_the_table_has_a_row_an_event_and_a_column_a_mode() -> None:
    lines = transition_table().splitlines()
    assert len(lines) == len(Event) + 2
    assert all(line.count("|") == len(Mode) + 2 for line in lines)

from pathlib import Path

from cellwarden.edge.mishaps import MISHAPS
from cellwarden.physics.path import Damage

ROOT = Path(__file__).parents[2]


def test_every_mishap_does_something() -> None:
    for mishap in MISHAPS.values():
        untouched = type(mishap)("untouched", "nothing happens")
        changed = (
            mishap.damage != Damage()
            or mishap.strike is not untouched.strike
            or mishap.asked is not untouched.asked
            or mishap.overload_rate is not None
        )
        assert changed, mishap.name


def test_the_page_names_every_mishap_and_tells_the_end_of_one_as_it_was() -> None:
    page = (ROOT / "docs" / "pack.md").read_text(encoding="utf-8")
    for name, mishap in MISHAPS.items():
        assert f"| `{name}` | {mishap.told} |" in page
    story = (ROOT / "tests" / "cli" / "stories" / "interlock.txt").read_text(encoding="utf-8")
    assert story[story.index("start again:") :].rstrip() in page

import re
from pathlib import Path

from cellwarden.domain import Remark, Severity
from cellwarden.readers import KINDS, by_severity, severity

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reading.md"


def test_the_page_lists_every_kind_with_its_weight() -> None:
    page = PAGE.read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", page, re.MULTILINE)
    assert listed == [(k.name, k.severity.name.lower(), k.meaning) for k in KINDS.values()]


def test_readers_use_no_kind_that_the_table_lacks() -> None:
    sources = (ROOT / "src" / "cellwarden" / "readers").glob("*.py")
    used = {
        kind
        for path in sources
        for kind in re.findall(r'Remark\(\s*"(\w+)"', path.read_text(encoding="utf-8"))
    }
    assert used <= set(KINDS)


def test_the_weightiest_remark_comes_first_and_an_unknown_one_is_not_lost() -> None:
    remarks = [Remark("no_zone", "a"), Remark("new_kind", "b"), Remark("frozen", "c")]
    assert [str(remark) for remark in by_severity(remarks)] == ["c", "b", "a"]
    assert severity(remarks[1]) is Severity.WARNING

"""Parts of a long benchmark, with a script that really runs."""

import json
from pathlib import Path

import pytest

from cellwarden.cli.bench import load_script
from cellwarden.cli.bench_parts import Parts, notes
from cellwarden.errors import UsageError

SCRIPT = """
import json, os, sys
name = sys.argv[sys.argv.index("--part") + 1]
if name == "broken":
    raise SystemExit("it does not run")
print(json.dumps({"rows": [{"part": name, "quick": "--quick" in sys.argv,
                            "threads": os.environ["OMP_NUM_THREADS"], "pid": os.getpid()}]}))
"""


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    script = tmp_path / "made.py"
    script.write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "saved").mkdir()
    return Parts(script, ("short", "long", "longer"), frozenset({"long", "longer"}))


def test_a_long_part_is_told_as_it_was_saved_and_says_so(parts: Parts) -> None:
    parts.soak()
    one, other = parts.told(), parts.told()
    assert list(one) == ["short", "long", "longer"]
    assert one["short"].rows[0]["pid"] != other["short"].rows[0]["pid"], "made anew"
    assert one["long"].rows == other["long"].rows, "as saved"
    assert one["long"].dated()[0]["saved"] == one["long"].saved
    assert "saved" not in one["short"].dated()[0]
    assert one["long"].cpu_s is not None
    assert 0 < one["long"].cpu_s < 60
    (line,) = notes(one)
    assert line == f"Saved on {one['long'].saved}: long, longer."


def test_a_part_that_was_never_saved_is_asked_for(parts: Parts) -> None:
    with pytest.raises(UsageError, match="nothing is saved of long, longer") as caught:
        parts.told()
    assert "--soak" in str(caught.value.hint)
    assert list(parts.told(["short"])) == ["short"]


def test_one_part_soaks_alone_and_leaves_the_others_as_they_are(parts: Parts) -> None:
    before = parts.soak()
    after = parts.soak(["long"])
    assert before["longer"] == after["longer"]
    assert before["long"].rows != after["long"].rows
    names = list(json.loads(parts.file.read_text(encoding="utf-8"))["parts"])
    assert names == ["long", "longer"], "in the order of the script"
    with pytest.raises(UsageError, match="no part other"):
        parts.soak(["other"])


def test_quick_runs_what_it_is_asked_for_and_reads_nothing(parts: Parts) -> None:
    told = parts.told(["short", "long"], quick=True)
    assert [part.rows[0]["quick"] for part in told.values()] == [True, True]
    assert all(part.rows[0]["threads"] == "1" for part in told.values())
    assert notes(told) == []


def test_a_part_that_fails_is_said_with_its_last_line(parts: Parts) -> None:
    broken = Parts(parts.script, ("broken",))
    with pytest.raises(UsageError, match="broken: it does not run"):
        broken.told()


BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("name", ["health", "nets", "field", "hybrid", "transfer"])
def test_the_long_parts_of_a_bench_are_saved_and_no_others(name: str) -> None:
    module = load_script(name)
    saved = module.PARTS.saved()
    assert set(saved) == module.PARTS.long
    for part in saved.values():
        assert part.rows
        assert len(part.commit) == 40

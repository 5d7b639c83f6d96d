"""What must not be in the repository at all, and what must give its reason."""

import ast
import re
from pathlib import Path

import pytest

NOQA = re.compile(r"#\s*noqa\b(?P<rest>.*)", re.IGNORECASE)
CODES = re.compile(r":\s*[A-Z]+[0-9]+(,\s*[A-Z]+[0-9]+)*\s+(?P<reason>[^\s#].*)")
UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}

# Brackets keep a pattern from finding itself.
MACHINE = re.compile(
    rb"(?<![\w.])/(?:wor[k]/(?:main|shared)|roo[t]/\w|hom[e]/\w+/|User[s]/\w+/|tm[p]/brief)"
)
INDEX = re.compile(
    rb"https?://(?:[\w.@:-]+\.)?(?:pyp[i]|pythonhoste[d]|npmj[s]|artifactor[y]|nexu[s]|devp[i])"
    rb"[\w.-]*[:/]"
    rb"|(?:index-ur[l]|extra-index-ur[l]|find-link[s]|registr[y])\s*[=\s]\s*\"?https?://"
)
# Path -> reason, in five words or so.
ALLOWED: dict[str, str] = {}


def test_nothing_imports_a_module_that_runs_what_it_reads(sources: list[Path], root: Path) -> None:
    found = []
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if {name.partition(".")[0] for name in names} & UNSAFE:
                found.append(f"{path.relative_to(root)}:{node.lineno}")
    assert found == []


def test_every_noqa_names_its_rule_and_its_reason(sources: list[Path], root: Path) -> None:
    bare = []
    for path in sources:
        if path.is_relative_to(root / "tests" / "shape"):
            continue  # this file speaks of it
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found = NOQA.search(line)
            if found and not CODES.match(found["rest"]):
                bare.append(f"{path.relative_to(root)}:{number}")
    assert bare == []


def test_every_type_ignore_names_its_rule(sources: list[Path], root: Path) -> None:
    bare = [
        f"{path.relative_to(root)}:{number}"
        for path in sources
        if not path.is_relative_to(root / "tests" / "shape")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"#\s*type:\s*ignore(?!\[)", line)
    ]
    assert bare == []


@pytest.mark.parametrize("pattern", [MACHINE, INDEX], ids=["machine paths", "package indexes"])
def test_no_file_tells_of_a_machine_or_where_packages_came_from(
    tracked: list[Path], root: Path, pattern: re.Pattern[bytes]
) -> None:
    told = {}
    for path in tracked:
        name = str(path.relative_to(root))
        found = pattern.search(path.read_bytes())
        if found and name not in ALLOWED:
            told[name] = found.group().decode(errors="replace")
    assert told == {}


@pytest.mark.parametrize(
    "text",
    [b"open('/wor" + b"k/shared/data')", b" /hom" + b"e/ann/x", b"see /roo" + b"t/x"],
)
def test_a_machine_path_would_be_seen(text: bytes) -> None:
    assert MACHINE.search(text)


@pytest.mark.parametrize(
    "text",
    [
        b"https://pyp" + b"i.org/simple",
        b'"resolved": "https://registry.npmj' + b's.org/a.tgz"',
        b"--ind" + b"ex-u" + b"rl " + b"htt" + b"ps://a.example/b",
        b"registr" + b"y=htt" + b"ps://a.example/",
    ],
)
def test_a_package_index_would_be_seen(text: bytes) -> None:
    assert INDEX.search(text)


@pytest.mark.parametrize("line", ["x = 1  # noqa", "# noqa: E501", "#noqa:E501,S101 "])
def test_a_noqa_without_a_reason_would_be_seen(line: str) -> None:
    found = NOQA.search(line)
    assert found
    assert not CODES.match(found["rest"])


def test_a_noqa_with_a_reason_passes() -> None:
    found = NOQA.search("x = 1  # noqa: S101, E501  the reason")
    assert found
    assert CODES.match(found["rest"])

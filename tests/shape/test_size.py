"""Files and functions small enough to read in one go; an exception carries its reason."""

import ast
from pathlib import Path

FILE_LINES = 500
FUNCTION_LINES = 60
CODE = {".py", ".ts", ".svelte", ".sql", ".css"}

# Path -> reason, in five words or so.
LONG_FILES: dict[str, str] = {}
# "path::function" -> reason, in five words or so.
LONG_FUNCTIONS: dict[str, str] = {}


def test_no_file_is_longer_than_500_lines(tracked: list[Path], root: Path) -> None:
    long = {}
    for path in tracked:
        if path.suffix in CODE:
            count = path.read_text(encoding="utf-8").count("\n")
            if count > FILE_LINES:
                long[str(path.relative_to(root))] = count
    assert {name: n for name, n in long.items() if name not in LONG_FILES} == {}
    assert set(LONG_FILES) <= set(long), "an exception is no longer needed"


def test_no_function_is_longer_than_60_lines(sources: list[Path], root: Path) -> None:
    long = {}
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or node.lineno) - node.lineno + 1
                if count > FUNCTION_LINES:
                    long[f"{path.relative_to(root)}::{node.name}"] = count
    assert {name: n for name, n in long.items() if name not in LONG_FUNCTIONS} == {}
    assert set(LONG_FUNCTIONS) <= set(long), "an exception is no longer needed"


def test_every_exception_has_a_reason() -> None:
    assert all(reason.split() for reason in (*LONG_FILES.values(), *LONG_FUNCTIONS.values()))

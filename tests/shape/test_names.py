"""Names that say what a thing is, and a public face that is written down."""

import ast
import re
from pathlib import Path

FORBIDDEN = {"utils", "helpers", "common", "core", "misc", "manager", "base", "handlers"}
FORBIDDEN |= {name.rstrip("s") for name in FORBIDDEN} | {f"{name}s" for name in FORBIDDEN}


def test_no_module_or_folder_has_a_name_that_says_nothing(sources: list[Path], root: Path) -> None:
    for path in sources:
        names = {part.removesuffix(".py").removeprefix("test_") for part in path.parts}
        names -= set(root.parts)
        assert not names & FORBIDDEN, path


def test_what_is_public_is_listed_and_what_is_listed_is_there(
    sources: list[Path], root: Path
) -> None:
    wrong = {}
    for path in sources:
        if not path.is_relative_to(root / "src"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        listed = _listed(tree)
        made = {
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        missing = {n for n in made - _registered(tree) if not n.startswith("_")} - listed
        unknown = listed - made - _bound(tree)
        if missing or unknown:
            wrong[str(path.relative_to(root))] = sorted(missing), sorted(unknown)
    assert wrong == {}, "left: public but not listed; right: listed but not there"


def test_tests_are_named_as_claims(sources: list[Path], root: Path) -> None:
    short = [
        f"{path.relative_to(root)}::{node.name}"
        for path in sources
        if path.is_relative_to(root / "tests")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if re.fullmatch(r"test_[a-z0-9]*(_[a-z0-9]+)?", node.name)
    ]
    assert short == []


def _listed(tree: ast.Module) -> set[str]:
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def _registered(tree: ast.Module) -> set[str]:
    """Functions that a decorator hands over, such as commands and routes: called by no name."""
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(isinstance(d, ast.Call) for d in node.decorator_list)
    }


def _bound(tree: ast.Module) -> set[str]:
    """Names that imports and assignments give."""
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and _stored(n)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    # A module that loads its names on first use lists them as strings for `__getattr__`.
    lazy = any(isinstance(n, ast.FunctionDef) and n.name == "__getattr__" for n in tree.body)
    if lazy:
        names |= {n.value for n in ast.walk(tree) if _text(n)}
    return names


def _stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)

"""`bench`: the figures of this machine, printed by the scripts of a checkout."""

import importlib.util
import inspect
import json
import os
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table

from cellwarden.errors import UsageError

__all__ = ["bench_command", "load_script"]


def bench_command(name: str, *, as_json: bool, quick: bool, peers: bool = False) -> None:
    """Run one benchmark and print its figures; with `peers`, other programs on the same data.

    Raises:
        UsageError: no such benchmark, one that has no peers, or not in a checkout.
    """
    script = load_script(name)
    if peers and "peers" not in inspect.signature(script.run).parameters:
        raise UsageError(f"{name} is not run against peers", hint="Leave --peers out.")
    told: dict[str, Any] = script.run(quick=quick, **({"peers": True} if peers else {}))
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    for figure in told["figures"]:
        figure["machine"] = machine
    if as_json:
        print(json.dumps(told))  # noqa: T201  one object for a program
        return
    console = Console()
    table = Table(title=f"bench {name} ({machine})", title_justify="left")
    for title in ("figure", "value", "unit", "goal", "peers"):
        table.add_column(title, overflow="fold")
    for figure in told["figures"]:
        others = ", ".join(f"{who}: {value:,}" for who, value in figure.get("peers", {}).items())
        value = f"{figure['value']:,}"
        table.add_row(figure["name"], value, figure["unit"], figure.get("goal", ""), others)
    console.print(table)
    for line in told.get("notes", ()):
        console.print(line)


def load_script(name: str) -> ModuleType:
    """A script of the checkout's `benchmarks`, which are no package.

    Raises:
        UsageError: there is none of that name, or no checkout.
    """
    folder = Path(__file__).parents[3] / "benchmarks"
    path = folder / f"{name}.py"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.py"))) or "none here"
        raise UsageError(
            f"there is no benchmark {name!r}", hint=f"In a checkout there are: {known}."
        )
    described = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    if described is None or described.loader is None:
        raise UsageError(f"{path} cannot be loaded", hint="Check the file.")
    module = importlib.util.module_from_spec(described)
    sys.modules[described.name] = module  # dataclasses look their module up by its name
    described.loader.exec_module(module)
    return module

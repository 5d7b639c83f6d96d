"""CPU seconds of commands that people wait for: a process each, user and system together."""

import os
import statistics
import subprocess
import sys
from typing import Any

_COMMANDS = {
    "cli.help.cpu_s": (["--help"], "<=0.3"),
    "cli.read_help.cpu_s": (["read", "--help"], "<=0.3"),
}


def cpu_second(arguments: list[str]) -> float:
    """CPU time of one run of the command."""
    before = os.times()
    line = [sys.executable, "-m", "cellwarden", *arguments]
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return (
        after.children_user + after.children_system - before.children_user - before.children_system
    )


def run(*, quick: bool = False) -> dict[str, Any]:
    """The median of several runs each."""
    figures = []
    for name, (arguments, goal) in _COMMANDS.items():
        runs = [cpu_second(arguments) for _ in range(3 if quick else 9)]
        figures.append(
            {"name": name, "value": round(statistics.median(runs), 3), "unit": "s", "goal": goal}
        )
    return {"figures": figures, "rows": []}

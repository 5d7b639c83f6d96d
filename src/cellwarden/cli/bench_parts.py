"""Parts of a long benchmark: each in a process of its own, or told as it was saved.

Rules
- A part is a name; `argv` makes of it the arguments with which its script prints its rows as
  `{"rows": [...]}`. It has one thread, and two parts run at a time.
- What takes too long for a command (`long`) is run by `make soak` alone and saved with the commit,
  the day and the CPU seconds of its processes. The command tells it as it was saved, and each of
  its rows says since when (`saved`).
"""

import json
import os
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

from cellwarden.errors import UsageError

__all__ = ["Part", "Parts", "notes"]

_ALONE: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}
_SHOWN: Final = 10  # characters of a commit

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a part, and where they come from; a commit is told of saved ones alone."""

    rows: Rows
    cpu_s: float | None = None
    date: str = ""
    commit: str = ""

    @property
    def saved(self) -> str:
        """When these rows were saved, empty where they were made now."""
        return f"{self.date} at {self.commit[:_SHOWN]}" if self.commit else ""

    def dated(self) -> Rows:
        """The rows, each with when it was saved."""
        return [row | {"saved": self.saved} for row in self.rows] if self.saved else self.rows


def _named(part: str) -> Sequence[str]:
    return ("--part", part)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one script, in the order in which they are told."""

    script: Path
    names: tuple[str, ...]
    long: frozenset[str] = frozenset()
    argv: Callable[[str], Sequence[str]] = _named

    @property
    def file(self) -> Path:
        """Where the long parts are saved."""
        return self.script.parent / "saved" / f"{self.script.stem}.json"

    def told(self, names: Iterable[str] | None = None, *, quick: bool = False) -> dict[str, Part]:
        """The named parts, or all; the long ones as they were saved, unless it is to be quick.

        Raises:
            UsageError: a part could not be run, or none is saved.
        """
        asked = list(self.names if names is None else names)
        kept = {} if quick else self.saved()
        old = [] if quick else [name for name in asked if name in self.long]
        if absent := [name for name in old if name not in kept]:
            raise UsageError(
                f"nothing is saved of {', '.join(absent)}",
                hint=f"Run: python {self.script} --soak.",
            )
        new = self._made([name for name in asked if name not in old], quick=quick)
        return {name: new.get(name) or kept[name] for name in asked}

    def saved(self) -> dict[str, Part]:
        """What was saved."""
        if not self.file.is_file():
            return {}
        told = json.loads(self.file.read_text(encoding="utf-8"))["parts"]
        return {name: Part(**part) for name, part in told.items()}

    def soak(self, names: Sequence[str] = ()) -> dict[str, Part]:
        """Run these parts, or all long ones, save each as it ends, and give all that is saved.

        Raises:
            UsageError: there is no such part, or one could not be run.
        """
        if wrong := set(names) - set(self.names):
            raise UsageError(
                f"no part {', '.join(sorted(wrong))}", hint=f"There are {', '.join(self.names)}."
            )
        todo = names or sorted(self.long, key=self.names.index)
        with ThreadPoolExecutor(2) as pool:
            running = {pool.submit(self._apart, name, quick=False): name for name in todo}
            for done in as_completed(running):
                self._save(running[done], done.result())
        return self.saved()

    def main(
        self, rows_of: Callable[[str, bool], Rows], run: Callable[[bool], dict[str, Any]]
    ) -> None:
        """What the script itself does: print one part's rows, save parts, or print all."""
        parser = ArgumentParser()
        parser.add_argument("--part", choices=self.names, help="the rows of one part alone")
        parser.add_argument("--quick", action="store_true", help="fewer rows")
        parser.add_argument("--soak", nargs="*", metavar="PART", help="save these, or all long")
        given = parser.parse_args()
        if given.soak is not None:
            self.soak(given.soak)
        elif given.part:
            print(json.dumps({"rows": rows_of(given.part, given.quick)}))  # noqa: T201  for the caller
        else:
            print(json.dumps(run(given.quick)))  # noqa: T201  for the caller

    def _save(self, name: str, part: Part) -> None:
        date = datetime.now(UTC).date().isoformat()
        whole = self.saved() | {name: replace(part, date=date, commit=self._commit())}
        parts = {one: asdict(whole[one]) for one in self.names if one in whole}
        text = json.dumps({"parts": parts}, indent=1, ensure_ascii=False)
        self.file.write_text(text + "\n", encoding="utf-8")

    def _commit(self) -> str:
        asked = ["git", "-C", str(self.script.parent), "rev-parse", "HEAD"]
        head = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603  ours
        return head.stdout.strip() or "a commit that is not known"

    def _made(self, names: Sequence[str], *, quick: bool) -> dict[str, Part]:
        with ThreadPoolExecutor(2) as pool:
            found = pool.map(lambda name: self._apart(name, quick=quick), names)
            return dict(zip(names, found, strict=True))

    def _apart(self, name: str, *, quick: bool) -> Part:
        command = [sys.executable, str(self.script), *self.argv(name), *["--quick"] * quick]
        with TemporaryFile() as out, TemporaryFile() as err:
            alone = os.environ | _ALONE
            process = subprocess.Popen(command, stdout=out, stderr=err, env=alone)  # noqa: S603  ours
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            err.seek(0)
            if process.returncode:
                lines = err.read().decode(errors="replace").strip().splitlines()
                last = lines[-1] if lines else process.returncode
                raise UsageError(f"{name}: {last}", hint=f"Run it alone: {' '.join(command)}.")
            rows = json.loads(out.read())["rows"]
        return Part(rows, round(used.ru_utime + used.ru_stime, 2))


def notes(parts: dict[str, Part]) -> list[str]:
    """Lines that say which parts were not run now."""
    every: dict[str, list[str]] = {}
    for name, part in parts.items():
        if part.saved:
            every.setdefault(part.saved, []).append(name)
    return [f"Saved on {when}: {', '.join(names)}." for when, names in every.items()]

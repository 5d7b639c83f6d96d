"""C files compiled on this machine, to be called, measured and compared with Python.

Nothing here is needed to write C files, or to use them elsewhere.
"""

import ctypes
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from platform import machine
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import UnavailableError
from cellwarden.registry.artefact import digest
from cellwarden.registry.c_source import CFiles

__all__ = ["FLAGS", "Compiled", "Footprint", "compile_c", "compilers", "footprint"]

FLAGS: Final = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic")
_MOST_SECOND: Final = 300
# Code and constant numbers, which lie in flash; and what is written to, which lies in RAM.
_FLASH: Final = re.compile(r"^\.(?:text|rodata)\S*\s+(\d+)", re.MULTILINE)
_WRITTEN: Final = re.compile(r"^\.(?:data|bss)(?!\.rel\.ro)\S*\s+(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a compiled model takes: code and constants, static memory, the deepest stack. [bytes]"""

    flash_bytes: int
    static_bytes: int
    stack_bytes: int


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled model, loaded; `linked` has what else was compiled with it."""

    linked: ctypes.CDLL
    name: str
    told_count: int

    def predict(
        self, features: Float64[np.ndarray, "item column"]
    ) -> Float64[np.ndarray, "told item"]:
        """What C tells of each row. [unit of the target]

        Raises:
            UnavailableError: it answers with a code.
        """
        rows, told = np.ascontiguousarray(features), np.empty((len(features), self.told_count))
        call = getattr(self.linked, f"{self.name}_predict")
        call.argtypes, call.restype = (ctypes.c_void_p, ctypes.c_void_p), ctypes.c_int
        for row, answer in zip(rows, told, strict=True):
            if code := call(row.ctypes.data, answer.ctypes.data):
                raise UnavailableError(f"{self.name}_predict gave {code}", hint="Report it.")
        return told.T


def compilers() -> tuple[str, ...]:
    """C compilers of this machine, of gcc and clang, or else its cc. [text]"""
    found = tuple(one for one in ("gcc", "clang") if shutil.which(one))
    return found or tuple(one for one in ("cc",) if shutil.which(one))


def compile_c(files: CFiles, folder: Path, compiler: str, extra: str = "") -> Compiled:
    """The files written, compiled without a warning, and loaded. `extra` is compiled with them.

    Raises:
        UnavailableError: the compiler is not there or does not take them.
    """
    (folder / f"{files.name}.h").write_text(files.header, encoding="utf-8")
    source = folder / f"{files.name}.c"
    source.write_text(files.source, encoding="utf-8")
    sources = [source]
    if extra:
        sources.append(folder / "extra.c")
        sources[-1].write_text(extra, encoding="utf-8")
    # A loader that has a library under one path does not load another from there.
    mark = digest((files.source + extra).encode())[:16]
    library = folder / f"{files.name}-{compiler}-{mark}.so"
    _run([compiler, *FLAGS, "-shared", "-fPIC", *map(str, sources), "-o", str(library), "-lm"])
    counted = re.search(r"_TOLD_COUNT (\d+)", files.header)
    return Compiled(ctypes.CDLL(str(library)), files.name, int(counted[1]) if counted else 1)


def footprint(files: CFiles, folder: Path, compiler: str = "gcc") -> Footprint:
    """What the model takes on this kind of machine; the stack as gcc counts it. [bytes]

    The functions of the model that call one another are added up; math.h is not counted.

    Raises:
        UnavailableError: gcc or `size` is not there, or does not take them.
    """
    compile_c(files, folder, compiler)
    built = folder / f"{files.name}.o"
    source = str(folder / f"{files.name}.c")
    # Below its stack a function of x86-64 may use bytes that the compiler does not count.
    counted = ("-fstack-usage", *(("-mno-red-zone",) if machine() == "x86_64" else ()))
    _run([compiler, *FLAGS, *counted, "-c", source, "-o", str(built)])
    told = _run(["size", "-A", str(built)])
    usage = built.with_suffix(".su").read_text(encoding="utf-8")
    stack = sum(int(line.split("\t")[1]) for line in usage.splitlines())
    flash, written = (sum(map(int, what.findall(told))) for what in (_FLASH, _WRITTEN))
    return Footprint(flash, written, stack)


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603  a compiler of this machine, on files we wrote
            command, capture_output=True, text=True, timeout=_MOST_SECOND, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{command[0]}: {error}", hint="Install gcc or clang.") from error
    if done.returncode:
        raise UnavailableError(
            f"{command[0]} does not take the files: {done.stderr[:400]}", hint="Report it."
        )
    return done.stdout

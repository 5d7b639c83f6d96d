"""`models export`: a portable model as ONNX or as C, compared with Python before it is written."""

import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import typer

from cellwarden.errors import TrustError, UsageError
from cellwarden.health.portable import Portable
from cellwarden.registry import Label, decode_portable, digest
from cellwarden.registry.agreement import agree, draw_rows, with_onnx
from cellwarden.registry.c_source import CFiles, write_c
from cellwarden.registry.compiled import compile_c, compilers, footprint
from cellwarden.registry.onnx_file import encode_onnx
from cellwarden.registry.shelf import DIGESTS
from cellwarden.trust.keys import write_durably

__all__ = ["export_model", "read_portable"]

_ROW_COUNT: Final = 1000
_SEED: Final = 0


def read_portable(file: Path, expected: str | None) -> tuple[Portable, Label]:
    """A portable model; its digest is the one given, or that of a SHA256SUMS beside it.

    Raises:
        UsageError: there is no such file.
        TrustError: its digest is another, or is not known.
    """
    if not file.is_file():
        raise UsageError(f"there is no file {file}", hint="Name a portable model.")
    sums = file.parent / DIGESTS
    if expected is None and sums.is_file():
        rows = [row.split() for row in sums.read_text("utf-8").splitlines()]
        expected = {row[-1]: row[0] for row in rows if row}.get(file.name)
    if expected is None:
        raise TrustError(
            f"nothing says what digest {file.name} should have",
            hint=f"Give --sha256, or put it into {DIGESTS} beside the file.",
        )
    return decode_portable(file.read_bytes(), expected)


def export_model(file: Path, expected: str | None, onnx: Path | None, c: Path | None) -> None:
    """Write what was asked for and say its size and how far it differs from Python.

    Raises:
        UsageError: neither or both are asked for, a file exists, or an extra is not installed.
        DataError: it tells other than Python; nothing is written.
    """
    if (onnx is None) == (c is None):
        raise UsageError("one export is written at a time", hint="Give --onnx or --c.")
    model, label = read_portable(file, expected)
    if onnx is not None:
        _export_onnx(model, label, onnx)
    elif c is not None:
        _export_c(model, label, c)


def _export_onnx(model: Portable, label: Label, target: Path) -> None:
    if importlib.util.find_spec("onnx") is None:
        raise UsageError("onnx is not installed", hint="Install the extra export.")
    _absent(target)
    content = encode_onnx(model, label)
    rows = draw_rows(model, _ROW_COUNT, _SEED)
    if importlib.util.find_spec("onnxruntime") is None:
        how = "not compared with Python: onnxruntime is not installed"
    else:
        how = _compared(agree(model, with_onnx(content, rows), rows, onnx=True), "ONNX Runtime")
    _write(target, content)
    typer.echo(f"  {how}")


def _export_c(model: Portable, label: Label, target: Path) -> None:
    if target.suffix != ".c":
        raise UsageError(f"{target} is no C file", hint="Name it NAME.c; NAME.h is put beside it.")
    _absent(target, target.with_suffix(".h"))
    files = write_c(model, label, target.stem)
    how = list(_tried(model, files))
    _write(target.with_suffix(".h"), files.header.encode())
    _write(target, files.source.encode())
    for line in how or ["not compared with Python: there is no C compiler on this machine"]:
        typer.echo(f"  {line}")


def _tried(model: Portable, files: CFiles) -> Iterator[str]:
    """What each C compiler of this machine makes of the files. [text]"""
    rows = draw_rows(model, _ROW_COUNT, _SEED)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for compiler in compilers():
            told = compile_c(files, folder, compiler).predict(rows)
            yield _compared(agree(model, told, rows, onnx=False), compiler)
        if "gcc" in compilers():
            size = footprint(files, folder)
            yield (
                f"compiled on this machine: {size.flash_bytes:,} bytes of code and constants,"
                f" {size.static_bytes} of static memory, {size.stack_bytes:,} of stack"
            )


def _compared(found: float, who: str) -> str:
    how = "equal to the last bit" if found == 0 else f"at most {found:.1e} from Python, relative"
    return f"{_ROW_COUNT:,} rows drawn with seed {_SEED}, by {who}: {how}"


def _absent(*targets: Path) -> None:
    for target in targets:
        if target.exists():
            raise UsageError(f"{target} exists", hint="Name a new file.")


def _write(target: Path, content: bytes) -> None:
    write_durably(target, content, exclusive=True)
    typer.echo(f"{target}: {len(content):,} bytes, SHA-256 {digest(content)}")

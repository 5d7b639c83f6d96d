"""The bytes of BioLogic's .mpr files: modules, and the points of a measurement in one of them.

Layout, little-endian
- "BIO-LOGIC MODULAR FILE", 0x1A, blanks and zeros up to byte 52; then modules, one after another.
- A module begins with "MODULE", a short name (10 bytes) and a long one (25). Then either u32
  length, u32 version, date (8), or, told by four bytes 0xFF: u64 length, u32 version, date (8).
- "VMP data": u32 points, how many columns (u8; u16 in version 11), their numbers (u16 each), and
  from a place that the version sets the points, packed. Columns 1, 2, 3, 21, 31 and 65 share one
  byte of flags where the first of them stands; its two lowest bits are the mode.
- "VMP LOG": at 0x249 the moment of the start, days since 1899-12-30 (f64), local time.

Rules
- A column whose width is not known makes all behind it unreadable: such a file is refused.
- The length of the module must be that of its points; what is left of a file cut short is refused.

Made from files of BT-Lab 1.79 (version 3) and EC-Lab 11.52 and 11.61 (version 11); the place of
the points in version 2 and the widths of columns as in cheminfo/biologic-converter (MIT).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from jaxtyping import Float64, UInt8

from cellwarden.errors import DataError, DecodeError
from cellwarden.readers.table import MAX_ROWS

__all__ = ["MPR", "Points", "read_points"]

MPR: Final = b"BIO-LOGIC MODULAR FILE\x1a"
_HINT: Final = "The file is damaged or was cut short: fetch it again from where it came."
_EXPORT_HINT: Final = "Export it as text (.mpt) from EC-Lab or BT-Lab."
_FIRST_MODULE: Final = 52
_MODULE: Final = b"MODULE"
_MARK: Final = b"\xff\xff\xff\xff"
_MOST_MODULES: Final = 64
# Version of "VMP data" -> bytes of the number of columns, place of the first point.
_PLACES: Final = {2: (1, 405), 3: (1, 406), 11: (2, 1007)}
_START_AT: Final = 0x249
_FLAGS: Final = frozenset((1, 2, 3, 21, 31, 65))
_WIDTHS: Final = (
    ("<f8", (4, 7, 11, 13, 23, 24, 74, 123, 124, 125, 126, 467)),
    ("<u2", (39, 131)),
    ("<u4", (468, 469)),
    ("<f4", (5, 6, 8, 9, 16, 17, 19, 20, *range(32, 39), 70, *range(75, 79), 96, *range(98, 102))),
    ("<f4", (163, 168, 169, 172, 173, 174, 241, 242, 271, 272, 301, 302, 331, 332, 361, 362)),
    ("<f4", (391, 392, *range(422, 427), *range(430, 436), 441, 462, 471, 473, 474, 476, 477)),
    ("<f4", (479, 480, *range(486, 498))),
)
_DTYPES: Final = {number: dtype for dtype, numbers in _WIDTHS for number in numbers}


@dataclass(frozen=True, slots=True)
class Points:
    """Columns by their number, the byte of flags if there is one, and when the test began. [d]"""

    columns: dict[int, Float64[np.ndarray, " point"]]
    flags: UInt8[np.ndarray, " point"] | None
    start_day: float | None


@dataclass(frozen=True, slots=True)
class _Module:
    name: str
    version: int
    at: int
    length: int


def read_points(path: Path) -> Points:
    """What a file measured.

    Raises:
        DecodeError: it is damaged, or of a version or with a column that is not known.
        DataError: it has more points than can be held.
    """
    with path.open("rb") as file:
        modules = {module.name: module for module in _modules(path, file)}
        if "VMP data" not in modules:
            raise DecodeError(f"{path}: no measured points in it", hint=_HINT)
        found = _points(path, file, modules["VMP data"])
        with np.errstate(invalid="ignore"):  # a signalling NaN is as good as any other
            columns = {
                int(name): found[name].astype(np.float64)
                for name in found.dtype.names or ()
                if name != "flags"
            }
        flags = found["flags"].copy() if "flags" in (found.dtype.names or ()) else None
        return Points(columns, flags, _start(file, modules.get("VMP LOG")))


def _modules(path: Path, file: BinaryIO) -> list[_Module]:
    found: list[_Module] = []
    at, end = _FIRST_MODULE, path.stat().st_size
    while at < end and len(found) < _MOST_MODULES:
        file.seek(at)
        head = file.read(65)
        wide = head[41:45] == _MARK
        begin = at + (65 if wide else 57)
        if not head.startswith(_MODULE) or begin > end:
            raise DecodeError(f"{path}: no module at byte {at}", hint=_HINT)
        sizes = head[45:57] if wide else head[41:49]
        length = int.from_bytes(sizes[:-4], "little")
        if begin + length > end:
            raise DecodeError(f"{path}: ends inside a module", hint=_HINT)
        name = head[6:16].decode("latin-1").strip()
        found.append(_Module(name, int.from_bytes(sizes[-4:], "little"), begin, length))
        at = begin + length
    return found


def _points(path: Path, file: BinaryIO, module: _Module) -> np.ndarray:
    if module.version not in _PLACES:
        raise DecodeError(
            f"{path}: version {module.version} of its points is not known", hint=_EXPORT_HINT
        )
    width, place = _PLACES[module.version]
    file.seek(module.at)
    head = file.read(min(place, module.length))
    rows = int.from_bytes(head[:4], "little")
    count = int.from_bytes(head[4 : 4 + width], "little")
    listed = head[4 + width : 4 + width + 2 * count]
    dtype = _dtype(path, np.frombuffer(listed[: len(listed) // 2 * 2], dtype="<u2").tolist())
    if not count or len(listed) != 2 * count or place + rows * dtype.itemsize != module.length:
        raise DecodeError(
            f"{path}: {rows} points of {dtype.itemsize} bytes do not fill {module.length} bytes",
            hint=_HINT,
        )
    if rows > MAX_ROWS:
        raise DataError(f"{path}: more than {MAX_ROWS:,} rows", hint="Export it in parts.")
    return np.frombuffer(file.read(rows * dtype.itemsize), dtype=dtype)


def _dtype(path: Path, numbers: list[int]) -> np.dtype:
    fields: dict[str, str] = {}
    for number in numbers:
        if number in _FLAGS:
            fields.setdefault("flags", "u1")
        elif number not in _DTYPES or str(number) in fields:
            raise DecodeError(f"{path}: column {number} is not known", hint=_EXPORT_HINT)
        else:
            fields[str(number)] = _DTYPES[number]
    return np.dtype(list(fields.items()))


def _start(file: BinaryIO, log: _Module | None) -> float | None:
    if log is None or log.length < _START_AT + 8:
        return None
    file.seek(log.at + _START_AT)
    return float(np.frombuffer(file.read(8), dtype="<f8")[0])

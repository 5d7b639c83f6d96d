"""The bytes of Neware's .ndc files: rows of fixed width in blocks of 4096 bytes.

Layout, little-endian
- Block 0 is a head: byte 0 tells what the file holds (1 readings, 5 an auxiliary channel, 7 steps,
  18 marks), byte 2 the version.
- In every other block rows begin at byte 132; bit k of the bits from byte 4 on says that row k
  is one. The last byte of a block holds no row.
- Readings are bare: voltage and current, a row each, counted from 1. Time, charge and energy stand
  in the marks: for the reading `row`, and `period` for the readings after it up to the next mark.
- Versions 11 and 16 count in 0.1 mV, mA, mA·s and mW·s, versions 14 and 17 in V, A, Ah and Wh.

Made from a file of version 17; the widths of 11, 14 and 16 as in fastnda (BSD-3-Clause), which
has them from real files. Other versions are refused.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cellwarden.errors import DecodeError

__all__ = ["AUXILIARY", "MARKS", "READINGS", "STEPS", "VERSIONS", "Version", "rows_of"]

READINGS, AUXILIARY, STEPS, MARKS = 1, 5, 7, 18
_HINT: Final = "The file is damaged or was cut short: fetch it again from where it came."
_EXPORT_HINT: Final = "Export the record as CSV or .xlsx from Neware's BTSDA."
_BLOCK: Final = 4096
_BITS_AT, _ROWS_AT, _TAIL = 4, 132, 1
_TWO_COLUMNS: Final = np.dtype([("voltage", "<f4"), ("current", "<f4")])
_ONE_COLUMN: Final = np.dtype([("value", "<f4")])
_TENTHS: Final = np.dtype([("kind", "u1"), ("voltage", "<f4"), ("tenth_celsius", "<i2")])


@dataclass(frozen=True, slots=True)
class Version:
    """Widths and units of one version: factors to V, to A, and to Ah and Wh."""

    volt: float
    ampere: float
    hour: float
    mark_tail: int
    step_tail: int
    auxiliary: np.dtype

    def layout(self, kind: int) -> np.dtype:
        """A row of a kind of file."""
        if kind == READINGS:
            return _TWO_COLUMNS
        if kind == AUXILIARY:
            return self.auxiliary
        if kind == STEPS:
            numbers = [("cycle", "<u4"), ("step", "<u4"), ("_", "V16"), ("type", "u1")]
            return np.dtype([*numbers, ("__", f"V{self.step_tail}")])
        fields = [
            ("step_milli", "<u4"),
            ("_", "V1"),
            *((name, "<f4") for name in ("charge", "discharge", "energy_in", "energy_out")),
            ("__", "V8"),
            ("period_milli", "<i4"),
            ("unix", "<u4"),
            ("step", "<u4"),
            ("row", "<u4"),
            ("unix_milli", "<u2"),
        ]
        return np.dtype([*fields, ("___", f"V{self.mark_tail}")] if self.mark_tail else fields)


_MILLI_HOUR: Final = 1e-3 / 3600
VERSIONS: Final = {
    11: Version(1e-4, 1e-3, _MILLI_HOUR, 0, 12, _TENTHS),
    14: Version(1.0, 1.0, 1.0, 8, 12, _ONE_COLUMN),
    16: Version(1e-4, 1e-3, _MILLI_HOUR, 53, 75, _TENTHS),
    17: Version(1.0, 1.0, 1.0, 53, 75, _ONE_COLUMN),
}


def rows_of(name: str, content: bytes, kind: int) -> tuple[Version, np.ndarray]:
    """The rows of a file, and its version.

    Raises:
        DecodeError: it is damaged, of another kind or of a version that is not known.
    """
    if len(content) < _BLOCK or len(content) % _BLOCK or content[0] != kind:
        raise DecodeError(f"{name}: no whole file of kind {kind}", hint=_HINT)
    version = VERSIONS.get(content[2])
    if version is None:
        raise DecodeError(f"{name}: version {content[2]} is not known", hint=_EXPORT_HINT)
    layout = version.layout(kind)
    blocks = np.frombuffer(content, np.uint8).reshape(-1, _BLOCK)[1:]
    count = (_BLOCK - _ROWS_AT - _TAIL) // layout.itemsize
    held = np.unpackbits(
        blocks[:, _BITS_AT : _BITS_AT + (count + 7) // 8], axis=1, count=count, bitorder="little"
    )
    rows = np.ascontiguousarray(blocks[:, _ROWS_AT : _ROWS_AT + count * layout.itemsize])
    found: np.ndarray = rows.reshape(-1).view(layout)[held.reshape(-1).astype(bool)]
    return version, found

"""Columns as an Arrow stream: the way that per-cell lists reach the database without a copy."""

from collections.abc import Mapping, Sequence
from typing import Any

import nanoarrow as na
import numpy as np
from nanoarrow._array_stream import CArrayStream

__all__ = ["Column", "Masked", "Ragged", "Repeated", "Stream"]


class Ragged:
    """Rows of float32 lists: all their numbers in one line, and where each row ends."""

    def __init__(self, grids: Sequence[np.ndarray]) -> None:
        """From one grid (row, item) a batch, laid behind each other."""
        widths = [np.full(len(grid), grid.shape[1], dtype=np.int32) for grid in grids]
        self.values = np.concatenate([grid.reshape(-1) for grid in grids]).astype(np.float32)
        ends = np.cumsum(np.concatenate(widths), dtype=np.int32)
        self.offsets = np.concatenate([np.zeros(1, dtype=np.int32), ends])

    def __len__(self) -> int:
        return len(self.offsets) - 1


class Masked:
    """Float32 numbers of which some are NULL."""

    def __init__(self, parts: Sequence[np.ndarray | None], counts: Sequence[int]) -> None:
        """From one column a batch, None where the batch has none."""
        gaps = [np.zeros(count, dtype=np.float32) for count in counts]
        filled = [gap if part is None else part for part, gap in zip(parts, gaps, strict=True)]
        self.values = np.concatenate(filled).astype(np.float32)
        present = np.repeat([part is not None for part in parts], counts)
        self.bitmap = np.packbits(present, bitorder="little")

    def __len__(self) -> int:
        return len(self.values)


class Repeated:
    """Text that stays the same over many rows."""

    def __init__(self, texts: Sequence[str], counts: Sequence[int]) -> None:
        """Each text as often as its count says."""
        encoded = [text.encode() for text in texts]
        self.data = b"".join(text * count for text, count in zip(encoded, counts, strict=True))
        lengths = np.repeat([len(text) for text in encoded], counts)
        self.offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)

    def __len__(self) -> int:
        return len(self.offsets) - 1


Column = np.ndarray | Ragged | Masked | Repeated | Sequence[Any]


class Stream:
    """Columns that any reader of the Arrow C stream interface takes, as often as it likes."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        """All columns have the same number of rows; None or a mask says NULL."""
        arrays = {name: _array(column) for name, column in columns.items()}
        count = len(next(iter(columns.values())))
        schema = na.struct({name: array.schema for name, array in arrays.items()})
        self._array = na.c_array_from_buffers(schema, count, [None], children=list(arrays.values()))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand out a new stream over the same buffers."""
        stream = CArrayStream.from_c_arrays([self._array], self._array.schema)
        return stream.__arrow_c_stream__(requested_schema)


def _array(column: Column) -> Any:
    if isinstance(column, Ragged):
        return na.c_array_from_buffers(
            na.list_(na.float32()),
            len(column),
            [None, column.offsets],
            children=[
                na.c_array_from_buffers(na.float32(), len(column.values), [None, column.values])
            ],
        )
    if isinstance(column, Masked):
        return na.c_array_from_buffers(na.float32(), len(column), [column.bitmap, column.values])
    if isinstance(column, Repeated):
        return na.c_array_from_buffers(
            na.string(), len(column), [None, column.offsets, column.data]
        )
    if isinstance(column, np.ndarray):
        return na.c_array(np.ascontiguousarray(column))
    rows = list(column)
    known = next((row for row in rows if row is not None), None)
    match known:
        case bool():
            kind = na.bool_()
        case bytes():
            kind = na.binary()
        case float():
            kind = na.float64()
        case int():
            kind = na.int64()
        case _:
            kind = na.string()
    return na.c_array(rows, kind)

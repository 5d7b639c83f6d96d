"""Named columns that are no signals in time: spectra, curves, features, labels, cycles, steps.

Rules
- A column is numbers (NaN: no value), text, or a curve a row (a grid); all have one row an entry.
- A column that Cellwarden itself fills is named as in the units table; one that a file brought
  keeps the file's name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from types import MappingProxyType
from typing import Any, Final

import nanoarrow as na
import numpy as np
from nanoarrow._array_stream import CArrayStream

from cellwarden.domain.remark import Remark
from cellwarden.errors import DataError, UsageError

__all__ = ["TABLE_KINDS", "Table"]

TABLE_KINDS: Final = MappingProxyType(
    {
        "signals": "signals of several records, or of no cell, in time",
        "spectra": "impedance at frequencies",
        "curves": "one quantity against another that is not time",
        "cycles": "one row a cycle",
        "steps": "one row a step",
        "features": "numbers that describe a cell, a cycle or a sample",
        "labels": "what is to be predicted, or what became of a cell",
        "facts": "anything else in rows and columns",
    }
)
_SHOWN_ROWS: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns of one length under one name; `kind` is a key of `TABLE_KINDS`.

    `source` says where it came from, `remarks` what was noticed and left as it was. pandas, polars
    and DuckDB take it as it is: it speaks the Arrow C stream.
    """

    name: str
    kind: str
    columns: Mapping[str, np.ndarray]
    source: str = ""
    remarks: tuple[Remark, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.kind not in TABLE_KINDS:
            raise UsageError(
                f"{self.kind!r} is no kind of table", hint=f"Use one of {', '.join(TABLE_KINDS)}."
            )
        lengths = {len(column) for column in self.columns.values()}
        if len(lengths) > 1:
            raise DataError(
                f"{self.name}: columns have {', '.join(map(str, sorted(lengths)))} rows",
                hint="Each column of a table has one row an entry.",
            )
        object.__setattr__(self, "columns", MappingProxyType(dict(self.columns)))

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, name: str) -> np.ndarray:
        """A column by name.

        Raises:
            UsageError: there is no such column.
        """
        try:
            return self.columns[name]
        except KeyError:
            raise UsageError(
                f"{self.name} has no column {name}", hint=f"It has {', '.join(self.columns)}."
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def rows(self, chosen: np.ndarray | slice) -> "Table":
        """Some of the rows, by number or by mask."""
        kept = {name: column[chosen] for name, column in self.columns.items()}
        return Table(self.name, self.kind, kept, self.source, self.remarks)

    def __repr__(self) -> str:
        """One line: what it holds and how much."""
        return (
            f"<Table {self.name}: {self.kind}, {len(self):,} rows"
            f" × {len(self.columns)} columns, {len(self.remarks)} remarks>"
        )

    def _repr_html_(self) -> str:
        """The first rows, for notebooks."""
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(_cell(c[row]))}</td>" for c in self.columns.values())
            + "</tr>"
            for row in range(min(len(self), _SHOWN_ROWS))
        )  # fmt: skip
        title = f"<b>{escape(self.name)}</b>, {self.kind}, {len(self):,} rows"
        remarks = "".join(f"<li>{escape(str(remark))}</li>" for remark in self.remarks)
        return f"{title}<table><tr>{head}</tr>{body}</table><ul>{remarks}</ul>"

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The columns as Arrow takes them; numbers keep their bits, text is UTF-8."""
        arrays = {name: _arrow(column) for name, column in self.columns.items()}
        schema = na.struct({name: array.schema for name, array in arrays.items()})
        whole = na.c_array_from_buffers(schema, len(self), [None], children=list(arrays.values()))
        stream = CArrayStream.from_c_arrays([whole], whole.schema)
        return stream.__arrow_c_stream__(requested_schema)


def _cell(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{len(value)} points"
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)


def _arrow(column: np.ndarray) -> Any:
    if column.dtype.kind in "OU":
        return na.c_array([str(value) for value in column], na.string())
    if not column.size:
        # An empty array does not tell its own type.
        text = column.dtype.kind in "OU"
        return na.c_array([], na.string() if text else na.float64())
    if column.ndim > 1:
        points = _arrow(np.ascontiguousarray(column).reshape(-1))
        schema = na.fixed_size_list(points.schema, column.shape[1])
        return na.c_array_from_buffers(schema, len(column), [None], children=[points])
    if column.dtype.kind == "b":
        return na.c_array(column.astype(np.uint8))
    return na.c_array(np.ascontiguousarray(column))

"""Bytes or rows in, a `Series` or a `Table` out; content decides which reader.

from cellwarden.readers import guess, load, read, read_table, records, scan

guess("cell.csv")   # what each column is taken for, and why
read("cell.csv")    # the record of a cell
scan("long.csv")    # the same in pieces, for what memory does not hold
load("lives.csv")   # the record, or the table where a file holds another kind of rows
"""

from cellwarden.readers.bdf import BDF_VERSION, write_bdf
from cellwarden.readers.kinds import KINDS, by_severity, severity
from cellwarden.readers.mapping import ColumnGuess, ColumnMapping, Guess, load_mapping
from cellwarden.readers.open import guess, load, read, read_table, records, scan

__all__ = [
    "BDF_VERSION",
    "KINDS",
    "ColumnGuess",
    "ColumnMapping",
    "Guess",
    "by_severity",
    "guess",
    "load",
    "load_mapping",
    "read",
    "read_table",
    "records",
    "scan",
    "severity",
    "write_bdf",
]

"""Bytes or rows in, a `Series` out; content decides which reader.

from cellwarden.readers import guess, read

guess("cell.csv")   # what each column is taken for, and why
read("cell.csv")    # the record
"""

from cellwarden.readers.bdf import BDF_VERSION, write_bdf
from cellwarden.readers.kinds import KINDS, by_severity, severity
from cellwarden.readers.mapping import ColumnGuess, ColumnMapping, Guess, load_mapping
from cellwarden.readers.open import guess, read

__all__ = [
    "BDF_VERSION",
    "KINDS",
    "ColumnGuess",
    "ColumnMapping",
    "Guess",
    "by_severity",
    "guess",
    "load_mapping",
    "read",
    "severity",
    "write_bdf",
]

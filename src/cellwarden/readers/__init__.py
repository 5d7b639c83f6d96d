"""Bytes or rows in, a `Series` out; content decides which reader.

from cellwarden.readers import guess, read

guess("cell.csv")   # what each column is taken for, and why
read("cell.csv")    # the record
"""

from cellwarden.readers.bdf import BDF_VERSION, write_bdf
from cellwarden.readers.mapping import ColumnGuess, ColumnMapping, Guess, load_mapping
from cellwarden.readers.open import guess, read

__all__ = [
    "BDF_VERSION",
    "ColumnGuess",
    "ColumnMapping",
    "Guess",
    "guess",
    "load_mapping",
    "read",
    "write_bdf",
]

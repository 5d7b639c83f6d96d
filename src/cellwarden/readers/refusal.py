"""The refusal that leaves a door open: no record of a cell, so perhaps a table."""

from cellwarden.errors import DataError

__all__ = ["NoRecordError"]


class NoRecordError(DataError):
    """The content is no record of a cell in time; it may be a table of another kind."""

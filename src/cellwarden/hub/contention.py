"""Writing where other workers write: what their commits were in the way of is tried again.

In a lake two insertions never conflict; a change or a deletion conflicts with whatever else is
done to its table. A file has one process, so nothing is tried twice there.
"""

import secrets
import time
from collections.abc import Callable
from typing import Final, TypeVar

import duckdb

from cellwarden.errors import UnavailableError
from cellwarden.hub.store import LakeStore, Store

__all__ = ["insist", "touch"]

_ATTEMPT_COUNT: Final = 6
T = TypeVar("T")


def insist(store: Store, write: Callable[[], T]) -> T:
    """Write in one transaction, again where another worker's commit was in the way.

    Raises:
        UnavailableError: it did not work after a number of attempts.
    """
    last = _ATTEMPT_COUNT - 1 if isinstance(store.place, LakeStore) else 0
    for attempt in range(last):
        try:
            with store.transaction():
                return write()
        except (UnavailableError, duckdb.TransactionException):
            # Workers that met once should not meet again.
            time.sleep(0.02 * 2**attempt * (1 + secrets.randbelow(100) / 100))
    try:
        with store.transaction():
            return write()
    except duckdb.TransactionException as error:
        raise UnavailableError(
            f"the store does not take it: {error}", hint="Try again in a second."
        ) from error


def touch(store: Store, table: str) -> None:
    """Let no two transactions pass that read this table and then write to it.

    Called first in such a transaction: it changes nothing but the table's version, and of two that
    change a version the lake refuses the later one. In a file they wait for each other anyway.
    """
    if isinstance(store.place, LakeStore):
        store.execute(f"COMMENT ON TABLE {table} IS 'changed by {secrets.token_hex(8)}'")

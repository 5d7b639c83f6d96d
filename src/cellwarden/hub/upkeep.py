"""Small files of a lake made into larger ones; old snapshots and files forgotten.

Each commit leaves a file a table. The worker that writes the ledger merges them, one table and one
larger file a turn, and holds up its own commits meanwhile, so a turn is bounded. What is not
current any more stays readable for an hour: a reader may be at it.
"""

import time
from typing import Final

import duckdb
import structlog

from cellwarden.errors import UnavailableError
from cellwarden.hub.store import Store

__all__ = ["Upkeep"]

_LEAST_COUNT: Final = 32  # fewer files are no hindrance
_SMALL_BYTES: Final = 8 << 20  # what is larger is not written again to grow by a little
_TARGET_SIZE: Final = "32MB"  # the one file of a turn
_SMALL_FILES: Final = (
    "SELECT table_name, count(*) FROM __ducklake_metadata_store.ducklake_data_file AS file"
    " JOIN __ducklake_metadata_store.ducklake_table AS named USING (table_id)"
    " WHERE file.end_snapshot IS NULL AND named.end_snapshot IS NULL"
    f" AND file_size_bytes < {_SMALL_BYTES} GROUP BY table_name HAVING count(*) >= {_LEAST_COUNT}"
    " ORDER BY count(*) DESC LIMIT 1"
)
_log = structlog.get_logger()


class Upkeep:
    """Bounded turns of housekeeping, by the clock."""

    def __init__(
        self,
        store: Store,
        *,
        merge_second: float = 10.0,
        forget_second: float = 300.0,
        kept: str = "1 hour",
    ) -> None:
        """`merge_second` is the time between two merges, `forget_second` between two clearings.

        `kept` is how long, as an SQL interval, what is not current any more stays readable.
        """
        self._store = store
        self._merge_second, self._forget_second = merge_second, forget_second
        self._kept = kept
        self._merged = self._forgot = time.monotonic()

    def turn(self) -> None:
        """Do what is due; what is in somebody's way is put off."""
        now = time.monotonic()
        try:
            if now - self._merged >= self._merge_second:
                self._merged = now
                self.merge()
            elif now - self._forgot >= self._forget_second:
                self._forgot = now
                self.forget()
        except (UnavailableError, duckdb.Error) as error:
            _log.info("housekeeping put off", reason=str(error))

    def merge(self) -> str | None:
        """Make one larger file of the table that has most small ones; gives the table's name."""
        found = self._store.rows(_SMALL_FILES)
        if not found:
            return None
        name = str(found[0][0])
        # A merge and a deletion are in each other's way: this process at least does one at a time.
        with self._store.alone():
            self._store.rows(
                "SELECT count(*)"
                f" FROM ducklake_set_option('store', 'target_file_size', '{_TARGET_SIZE}')"
            )
            self._store.rows(
                f"SELECT count(*) FROM ducklake_merge_adjacent_files('store', '{name}',"
                f" max_compacted_files => 1, max_file_size => {_SMALL_BYTES})"
            )
        return name

    def forget(self) -> None:
        """Forget snapshots, and remove files, that nothing has needed for a while."""
        old = f"older_than => now() - INTERVAL '{self._kept}'"
        with self._store.alone():
            for what in ("expire_snapshots", "cleanup_old_files"):
                self._store.rows(f"SELECT count(*) FROM ducklake_{what}('store', {old})")

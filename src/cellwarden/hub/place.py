"""Where the rows of a hub's folder lie: in a file of the folder, or in a lake that hubs share."""

import time
from pathlib import Path
from typing import Final

from cellwarden.errors import UnavailableError
from cellwarden.hub.config import load_config
from cellwarden.hub.store import FileStore, LakeStore, Store
from cellwarden.trust.keys import FileKeyStore

__all__ = ["open_store", "place_of"]

_ATTEMPT_COUNT: Final = 4
_PAUSE_SECOND: Final = 0.5


def place_of(folder: Path) -> FileStore | LakeStore:
    """What the configuration of a hub's folder says of its rows."""
    config = load_config(folder)
    if config.store == "lake":
        return LakeStore(config.lake_catalog, config.lake_data_path)
    return FileStore(folder / "store.duckdb", FileKeyStore(folder / "keys").get("store"))


def open_store(folder: Path) -> Store:
    """The store of a hub's folder; of a file, no other process may have it open.

    Raises:
        UnavailableError: it does not serve, or is held by another process.
    """
    place = place_of(folder)
    # Hubs that start at once on one lake may both find it empty, and one of them fails.
    for _ in range(_ATTEMPT_COUNT if isinstance(place, LakeStore) else 0):
        try:
            return Store(place)
        except UnavailableError:
            time.sleep(_PAUSE_SECOND)
    return Store(place)

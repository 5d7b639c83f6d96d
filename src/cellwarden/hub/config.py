"""Where a hub lives and listens: `config.toml` in its folder, keys beside it."""

from pathlib import Path
from typing import Literal

import msgspec

from cellwarden.errors import UsageError

__all__ = ["HubConfig", "load_config"]


class HubConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operator may choose; everything has a safe default."""

    origin: str
    host: str = "127.0.0.1"
    device_port: int = 8443
    page_port: int = 8440
    store: Literal["file", "lake"] = "file"
    lake_catalog: str = ""
    lake_data_path: str = ""


def load_config(folder: Path) -> HubConfig:
    """The configuration of the hub in a folder.

    Raises:
        UsageError: there is none, or it says something unknown.
    """
    path = folder / "config.toml"
    try:
        return msgspec.toml.decode(path.read_bytes(), type=HubConfig)
    except FileNotFoundError as error:
        raise UsageError(f"there is no hub in {folder}", hint="Run `cellwarden init`.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", hint="Mend that line of the file.") from error

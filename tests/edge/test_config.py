"""A settings file that holds anything at all is answered in words, never with a traceback."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellwarden.cli.home import Home
from cellwarden.edge.config import read_address
from cellwarden.edge.source import read_source
from cellwarden.errors import UsageError
from cellwarden.hub.config import load_config

READERS: list[tuple[str, Callable[[Path], Any]]] = [
    ("config.toml", load_config),
    ("hub.toml", read_address),
    ("source.toml", read_source),
    ("trust.toml", lambda folder: Home(folder).trust_roots()),
]
BODIES = [b"\xff\xfe\x00", b"= =", b"unknown = 1", b"\x00" * 64]


@pytest.mark.parametrize("body", BODIES, ids=repr)
@pytest.mark.parametrize(("name", "load"), READERS, ids=[name for name, _ in READERS])
def test_a_broken_settings_file_is_named(
    tmp_path: Path, name: str, load: Callable[[Path], Any], body: bytes
) -> None:
    (tmp_path / name).write_bytes(body)
    with pytest.raises(UsageError, match=name) as caught:
        load(tmp_path)
    assert caught.value.hint

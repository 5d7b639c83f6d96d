import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.edge.medium import FileMedium, MemoryMedium
from cellwarden.errors import UnavailableError, UsageError


def test_a_file_has_its_size_from_the_start_and_keeps_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ring"
    medium = FileMedium(path, 4096)
    assert medium.read() == bytes(4096)
    assert path.stat().st_blocks * 512 >= 4096
    assert path.stat().st_mode & 0o077 == 0
    medium.write(100, b"kept")
    medium.sync()
    medium.close()
    medium.close()
    again = FileMedium(path, 4096)
    assert again.read()[100:104] == b"kept"
    again.close()


def test_a_file_that_was_cut_short_is_filled_up_again(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    FileMedium(path, 4096).close()
    os.truncate(path, 1000)
    medium = FileMedium(path, 4096)
    assert len(medium.read()) == 4096
    medium.close()


def test_a_file_is_one_process_own(tmp_path: Path) -> None:
    medium = FileMedium(tmp_path / "ring", 4096)
    with pytest.raises(UsageError):
        FileMedium(tmp_path / "ring", 4096)
    medium.close()
    FileMedium(tmp_path / "ring", 4096).close()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "file" / "ring"):
        with pytest.raises(UnavailableError) as refused:
            FileMedium(path, 4096)
        assert refused.value.hint


@given(seed=st.integers(0, 2**32), offset=st.integers(0, 3000), size=st.integers(1, 1000))
def test_a_power_cut_keeps_what_was_synced_and_each_later_byte_is_old_or_new(
    seed: int, offset: int, size: int
) -> None:
    medium = MemoryMedium(4096)
    medium.write(0, b"\x01" * 4096)
    medium.sync()
    medium.write(offset, b"\x02" * size)
    assert medium.read()[offset] == 2
    medium.cut_power(seed)
    after = medium.read()
    assert set(after[offset : offset + size]) <= {1, 2}
    assert set(after[:offset] + after[offset + size :]) <= {1}


def test_some_cuts_keep_everything_some_nothing_and_some_tear() -> None:
    seen = set()
    for seed in range(200):
        medium = MemoryMedium(2048)
        medium.write(256, b"\x02" * 1024)
        medium.cut_power(seed)
        count = medium.read().count(b"\x02")
        seen.add("none" if not count else "all" if count == 1024 else "torn")
    assert seen == {"none", "all", "torn"}

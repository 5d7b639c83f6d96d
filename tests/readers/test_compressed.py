import bz2
import gzip
import lzma
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.errors import DataError, DecodeError, UnavailableError, UnitError
from cellwarden.readers import compressed, guess, read
from cellwarden.readers.compressed import unpacked

CSV = b"time_s,Volts,Amps\n" + b"".join(b"%d,3.%04d,1\n" % (k, k) for k in range(3000))
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
}
TWO = 4096  # streams one behind the other join where this many bytes went before
everyway = pytest.mark.parametrize("suffix", PACKERS)


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    yield
    assert not list(Path(tempfile.gettempdir()).glob(f"cellwarden-{os.getpid()}-*"))


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def archive(folder: Path, *files: tuple[str, bytes]) -> Path:
    path = folder / "cell.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files:
            target.writestr(name, content)
    return path


@everyway
def test_a_packed_file_reads_as_the_file_in_it(tmp_path: Path, suffix: str) -> None:
    path = put(tmp_path, f"cell_7.csv.{suffix}", PACKERS[suffix](CSV))
    series = read(path)
    assert (len(series), series.name, series.source) == (3000, "cell_7", str(path))
    assert guess(path).path == str(path)


@everyway
def test_the_suffix_does_not_matter(tmp_path: Path, suffix: str) -> None:
    assert len(read(put(tmp_path, "cell.csv", PACKERS[suffix](CSV)))) == 3000


@everyway
def test_streams_behind_one_another_are_one_file(tmp_path: Path, suffix: str) -> None:
    pack = PACKERS[suffix]
    assert len(read(put(tmp_path, "cell.csv", pack(CSV[:TWO]) + pack(CSV[TWO:])))) == 3000


@everyway
def test_a_packed_file_cut_short_is_refused(tmp_path: Path, suffix: str) -> None:
    whole = PACKERS[suffix](CSV)
    for kept in (len(whole) // 2, len(whole) - 2):
        with pytest.raises(DecodeError, match=r"cell\.csv: cannot be unpacked") as caught:
            read(put(tmp_path, "cell.csv", whole[:kept]))
        assert caught.value.hint


@everyway
def test_what_unpacks_without_end_is_refused_at_the_stated_size(
    tmp_path: Path, suffix: str
) -> None:
    path = put(tmp_path, "cell.csv", PACKERS[suffix](bytes(40 << 20)))
    assert path.stat().st_size < 100_000
    with (
        pytest.raises(DataError, match="unpacks to more than 20,971,520 bytes"),
        unpacked(path, most=20 << 20),
    ):
        pass


def test_a_zip_that_unpacks_without_end_is_refused_at_the_stated_size(tmp_path: Path) -> None:
    path = archive(tmp_path, ("cell.csv", bytes(40 << 20)))
    with (
        pytest.raises(DataError, match="unpacks to more than 1,000 bytes"),
        unpacked(path, zipped="cell.csv", most=1000),
    ):
        pass


@everyway
def test_packed_twice_is_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(DecodeError, match="packed more than once"):
        read(put(tmp_path, "cell.csv", gzip.compress(PACKERS[suffix](CSV))))


def test_an_archive_in_an_archive_is_refused(tmp_path: Path) -> None:
    inner = archive(tmp_path, ("cell.csv", CSV)).read_bytes()
    with pytest.raises(DecodeError, match="packed more than once"):
        read(archive(tmp_path, ("inner.zip", inner)))


def test_a_zip_of_one_file_reads_as_that_file(tmp_path: Path) -> None:
    path = archive(
        tmp_path, ("lab 3/", b""), ("lab 3/cell 7.csv", CSV), ("__MACOSX/lab 3/._cell 7.csv", b"x")
    )
    series = read(path)
    assert (len(series), series.name, series.source) == (3000, "cell 7", str(path))


def test_the_member_that_is_asked_for_is_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path, ("a.csv", b"first"), ("b.csv", b"second"))
    for name, content in (("a.csv", b"first"), ("b.csv", b"second")):
        with unpacked(path, zipped=name) as place:
            assert (place.name, place.read_bytes()) == (name, content)


def test_a_zip_of_several_files_names_them(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match=r"2 files \(a\.csv, b\.csv\)") as caught:
        read(archive(tmp_path, ("a.csv", CSV), ("b.csv", CSV)))
    assert "Unpack it" in caught.value.hint


def test_a_member_whose_name_is_damaged_away_is_no_file(tmp_path: Path) -> None:
    path = archive(tmp_path, ("Qdamaged", b"x"), ("cell.csv", CSV))
    path.write_bytes(path.read_bytes().replace(b"Qdamaged", b"\0damaged"))
    assert len(read(path)) == 3000


@pytest.mark.parametrize("name", ["../../out.csv", "/etc/out", "..", "a\\..\\out.csv", "x" * 400])
def test_a_member_cannot_choose_where_it_is_unpacked(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path, (name, CSV))
    with unpacked(path, zipped=zipfile.ZipFile(path).namelist()[0]) as place:
        assert place.parent.parent == Path(tempfile.gettempdir())
        assert place.parent.stat().st_mode & 0o077 == 0
        assert place.read_bytes() == CSV


def test_errors_name_the_file_that_was_asked_for(tmp_path: Path) -> None:
    turned_round = [f"{k},{3.4 + k // 10 % 2 * 0.1},{1 - k // 10 % 2 * 2}" for k in range(60)]
    text = "\n".join(["Test Time / s,Voltage / V,Current / A", *turned_round])
    path = put(tmp_path, "cell.csv.gz", gzip.compress(text.encode()))
    with pytest.raises(DataError) as caught:
        read(put(tmp_path, "text.csv.gz", gzip.compress(b"Dear all,\nsee below,\n" * 20)))
    assert str(caught.value).startswith(str(tmp_path / "text.csv.gz"))
    with pytest.raises(UnitError) as turned:
        read(path)
    assert str(turned.value).startswith(str(path))
    assert all("cellwarden-" not in doubt for doubt in guess(path).doubts)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_without_room_is_no_fault_of_the_data(tmp_path: Path) -> None:
    path = put(tmp_path, "full.gz", gzip.compress(CSV))
    with pytest.raises(UnavailableError, match="No space left") as caught:
        compressed._spool(path, compressed._gzip, Path("/dev/full"), 1 << 20)
    assert caught.value.hint


@settings(max_examples=60, deadline=None)
@given(data=st.data(), suffix=st.sampled_from([*PACKERS, "zip"]))
def test_mutated_packed_bytes_give_a_series_or_a_data_error(
    data: st.DataObject, suffix: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if suffix == "zip":
            content = bytearray(archive(Path(folder), ("cell.csv", CSV[:4000])).read_bytes())
        else:
            content = bytearray(PACKERS[suffix](CSV[:4000]))
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(content) - 1))
            content[at : at + 1] = data.draw(st.binary(max_size=3))
        path = Path(folder) / f"cell.csv.{suffix}"
        path.write_bytes(content or b"\x1f\x8b")
        for door in (guess, read):
            refusal = None
            try:
                door(path)
            except DataError as error:
                refusal = error
            assert refusal is None or (refusal.hint and os.fspath(path) in str(refusal))

import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cellwarden.errors import DataError, DecodeError, UsageError
from cellwarden.readers import guess, read

VECTORS = Path(__file__).parents[1] / "vectors" / "readers"
CSV = b"time_s,Volts,Amps\n0,3.0,1\n1,3.1,1\n"
NOBODY = 65534


def put(folder: Path, content: bytes) -> Path:
    path = folder / "record.csv"
    path.write_bytes(content)
    return path


def test_content_decides_not_the_suffix(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    shutil.copy(VECTORS / "legacy.bdf.parquet", table)
    text = tmp_path / "text.parquet"
    text.write_bytes(CSV)
    assert len(read(table)) == 1500
    assert len(read(text)) == 2


def test_the_file_names_the_cell_unless_the_caller_does(tmp_path: Path) -> None:
    path = tmp_path / "cell_7.bdf.csv"
    path.write_bytes(CSV)
    assert read(path).name == "cell_7"
    assert read(path, name="B7").name == "B7"
    assert read(str(path)).source == str(path)


@pytest.mark.parametrize("content", [b"", b"\n \n\t\n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DecodeError, match="empty") as caught:
        read(put(tmp_path, content))
    assert caught.value.hint


@pytest.mark.parametrize("content", [bytes(4096), bytes(range(256)) * 16, b"PAR1", b"PAR1" * 99])
def test_bytes_that_are_no_record_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        read(put(tmp_path, content))
    assert "record.csv" in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"NEWARE" + bytes(99), r"\.nda"),
        (b"MATLAB 7.3 MAT-file" + bytes(600), r"MATLAB 7\.3"),
    ],
)
def test_formats_that_are_known_and_not_read_are_named(
    tmp_path: Path, head: bytes, says: str
) -> None:
    with pytest.raises(DecodeError, match=says) as caught:
        read(put(tmp_path, head))
    assert caught.value.hint.endswith(".")


def test_text_that_is_no_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="looks like the header of a record"):
        read(put(tmp_path, b"Dear all,\nplease find the data attached,\nbest, A.\n" * 20))


def test_missing_columns_are_named_with_what_is_there(tmp_path: Path) -> None:
    path = put(tmp_path, b"time_s,Volts,Watts\n0,3.0,1\n1,3.1,1\n")
    with pytest.raises(DataError, match=r"no column for current_ampere.*Watts") as caught:
        read(path)
    assert "current_ampere" in caught.value.hint
    assert any("no column for current_ampere" in doubt for doubt in guess(path).doubts)


def test_a_header_without_rows_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        read(put(tmp_path, b"Test Time / s,Voltage / V,Current / A\n"))


def test_a_folder_a_pipe_and_nothing_at_all_are_the_callers_error(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe, tmp_path / "nowhere.csv", tmp_path / "nul\0l", Path("/dev/zero")):
        with pytest.raises(UsageError) as caught:
            read(path)
        assert caught.value.hint


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read anything: give its rights up for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_without_the_right_to_read_is_the_callers_error(tmp_path: Path) -> None:
    path = put(tmp_path, CSV)
    path.chmod(0)
    with as_nobody(), pytest.raises(UsageError, match="Permission denied"):
        read(path)
    path.chmod(stat.S_IRUSR)
    assert len(read(path)) == 2


@pytest.mark.parametrize("kept", [12, 200, 5000, 12000])
def test_a_parquet_file_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    whole = (VECTORS / "legacy.bdf.parquet").read_bytes()
    with pytest.raises(DecodeError, match=r"record\.csv"):
        read(put(tmp_path, whole[:kept]))


SIZED = """
import resource, sys, time
from cellwarden.errors import DataError
from cellwarden.readers import read
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begin = time.monotonic()
try:
    read(sys.argv[1])
except DataError as error:
    print(type(error).__name__)
else:
    print("read")
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
print(f"{time.monotonic() - begin:.3f} s, {grown:.0f} MiB", file=sys.stderr)
assert grown < 400, grown
"""


LONG_ROWS = b"time_s,Volts,Amps,note\n" + (b"0,3.0,0," + b"x" * 200 + b"\n") * 9


@pytest.mark.parametrize(
    "head", [b"", CSV, LONG_ROWS, b"PAR1", b"PK\x03\x04", b"\xff\xfet\x00"], ids=range(6)
)
def test_two_gigabytes_of_nothing_are_refused_in_little_memory(tmp_path: Path, head: bytes) -> None:
    path = put(tmp_path, head)
    os.truncate(path, 2 << 30)
    done = subprocess.run(
        [sys.executable, "-c", SIZED, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("DecodeError", "DataError")


def test_more_rows_than_can_be_held_are_refused_before_they_are_read(tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "long.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT 0 AS test_time_second, 3.0 AS voltage_volt, 0 AS current_ampere"
            f" FROM range(10000001)) TO '{path}' (FORMAT parquet)"
        )
    with pytest.raises(DataError, match="more than 10,000,000 rows"):
        read(path)


def test_a_workbook_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        with archive.open("xl/_rels/workbook.xml.rels", "w", force_zip64=True) as part:
            part.write(b"<Relationships>")
            for _ in range(1100):
                part.write(b" " * (1 << 20))
    with pytest.raises(DataError, match="unpacks to more than"):
        read(path)


def test_a_workbook_that_declares_entities_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lol.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            '<!DOCTYPE x [<!ENTITY a "aaaa">]><Relationships>&a;</Relationships>',
        )
    with pytest.raises(DecodeError, match="document type"):
        read(path)


def test_a_zip_without_a_workbook_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "record.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one.bin", "x")
        archive.writestr("two.bin", "x")
    with pytest.raises(DecodeError, match="holds no workbook"):
        read(path)

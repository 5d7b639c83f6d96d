"""Tables as files: complete, harmless, and nothing left behind in the clear."""

import csv
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import httpx
import numpy as np
import pytest

from cellwarden.errors import UsageError
from cellwarden.hub.export import TABLES, export_table, stream_table
from cellwarden.hub.roles import Role
from cellwarden.hub.service import Hub
from cellwarden.readers import read
from hub.fleet import (
    NOW,
    Clock,
    Site,
    finding,
    installation,
    open_hub,
    pack_notes,
    silent_frames,
    sound_frames,
)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    running = open_hub(tmp_path_factory.mktemp("export"), Clock())
    for device in ("pack-1", "pack-2"):
        maker = installation().maker(device)
        for begin in (NOW - 300, NOW - 200, NOW - 100):
            message = maker.next(sound_frames(begin=begin), pack_notes(finding()))
            running.ingest.submit([message.encode()], maker.peer).result(30)
    yield running
    running.close()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_table_leaves_with_all_its_rows_and_columns(
    quiet: Hub, tmp_path: Path, table: str, ending: str
) -> None:
    path = tmp_path / f"{table}.{ending}"
    count = export_table(quiet.store, table, path)
    assert path.stat().st_size == count
    reader = duckdb.connect()
    found = reader.execute(f"SELECT * FROM '{path}'")
    names = [column[0] for column in found.description or ()]
    rows = found.fetchall()
    told = quiet.store.rows(f"SELECT * FROM {table}")
    assert len(rows) == len(told)
    assert names == [row[0] for row in quiet.store.rows(f"DESCRIBE {table}")]
    if ending == "parquet":
        assert sorted(map(repr, rows)) == sorted(map(repr, told))


def test_one_device_leaves_without_the_others(quiet: Hub, tmp_path: Path) -> None:
    path = tmp_path / "one.parquet"
    export_table(quiet.store, "sample", path, "pack-2")
    found = duckdb.connect().execute(f"SELECT DISTINCT device FROM '{path}'").fetchall()
    assert found == [("pack-2",)]


def test_the_battery_data_format_has_its_names_its_order_and_a_clock_from_zero(
    quiet: Hub, tmp_path: Path
) -> None:
    path = tmp_path / "pack-1.bdf.csv"
    export_table(quiet.store, "sample", path, "pack-1")
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert list(rows[0]) == [
        "Test Time / s",
        "Voltage / V",
        "Current / A",
        "Unix Time / s",
        "Ambient Temperature / degC",
        "Surface Temperature / degC",
    ]
    times = [float(row["Test Time / s"]) for row in rows]
    assert times[0] == 0.0
    assert times == sorted(times)
    assert len(times) == 180
    assert float(rows[0]["Surface Temperature / degC"]) == 26.0


def test_the_battery_data_format_is_read_back_by_our_own_reader(quiet: Hub, tmp_path: Path) -> None:
    path = tmp_path / "pack-1.bdf.csv"
    export_table(quiet.store, "sample", path, "pack-1")
    series = read(path)
    assert len(series) == 180
    frames = sound_frames(begin=NOW - 300)
    np.testing.assert_allclose(series.voltage_volt[:60], frames.voltage_volt, rtol=1e-6)
    np.testing.assert_allclose(series.current_ampere[:60], frames.current_ampere, rtol=1e-5)


def test_a_missing_reading_is_an_empty_field_in_the_battery_data_format(tmp_path: Path) -> None:
    hub = open_hub(tmp_path, Clock())
    try:
        maker = installation().maker("dark")
        hub.ingest.submit([maker.next(silent_frames()).encode()], maker.peer).result(30)
        text = b"".join(stream_table(hub.store, "sample", "bdf", "dark")).decode()
        row = next(csv.DictReader(io.StringIO(text)))
        assert row["Voltage / V"] == row["Current / A"] == ""
        assert row["Surface Temperature / degC"] == row["Ambient Temperature / degC"] == ""
    finally:
        hub.close()


def test_a_text_that_a_spreadsheet_would_run_is_made_harmless_in_csv_and_kept_in_parquet(
    tmp_path: Path,
) -> None:
    hub = open_hub(tmp_path, Clock())
    evil = ['=HYPERLINK("http://evil")', "+1", "-1+1", "@SUM(A1)", "\tx", "plain", 'a,"b"\nc']
    try:
        with hub.store.transaction() as store:
            for message in evil:
                store.add(
                    "refusal",
                    unix_time_second=1.0,
                    claimed_device="?",
                    peer="?",
                    kind="DataError",
                    message=message,
                )
        text = b"".join(stream_table(hub.store, "refusal", "csv")).decode()
        shown = {row["message"] for row in csv.DictReader(io.StringIO(text, newline=""))}
        assert shown == {f"'{m}" if m[0] in "=+-@\t" else m for m in evil}
        path = tmp_path / "refusal.parquet"
        export_table(hub.store, "refusal", path)
        kept = duckdb.connect().execute(f"SELECT message FROM '{path}'").fetchall()
        assert {row[0] for row in kept} == set(evil)
    finally:
        hub.close()


@pytest.mark.parametrize(
    "table", ["account", "schema_version", "sample; DROP TABLE sample", "", "tile"]
)
def test_what_is_not_on_the_list_does_not_leave(quiet: Hub, tmp_path: Path, table: str) -> None:
    with pytest.raises(UsageError):
        export_table(quiet.store, table, tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("table", "form", "device"),
    [
        ("sample", "bdf", None),
        ("batch", "bdf", "pack-1"),
        ("audit", "csv", "pack-1"),
        ("sample", "csv", "x' OR 1=1 --"),
    ],
)
def test_a_form_that_makes_no_sense_is_refused(
    quiet: Hub, table: str, form: str, device: str | None
) -> None:
    with pytest.raises(UsageError):
        stream_table(quiet.store, table, form, device)


def test_a_file_that_does_not_say_its_form_is_refused(quiet: Hub, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="form"):
        export_table(quiet.store, "sample", tmp_path / "sample.xlsx")


def test_an_export_that_is_not_read_to_its_end_stops_and_leaves_nothing(quiet: Hub) -> None:
    crossed = "SELECT a.* FROM sample a, sample b, sample c"
    chunks = quiet.store.copy_out(crossed, [], "csv")
    assert len(next(chunks)) > 0
    chunks.close()
    folder = quiet.store._pipes
    assert [path for path in folder.iterdir() if not path.is_dir()] == []
    assert quiet.store.rows("SELECT count(*) FROM sample") == [(360,)]


def test_an_export_that_fails_says_so_instead_of_ending_early(quiet: Hub) -> None:
    failing = (
        "SELECT CASE WHEN frame_index = 59 THEN error('boom') ELSE frame_index END FROM sample"
    )
    with pytest.raises(Exception, match="boom"):
        b"".join(quiet.store.copy_out(failing, [], "csv"))


def test_the_store_still_writes_nowhere_else_and_reads_no_file(quiet: Hub, tmp_path: Path) -> None:
    for sql in (
        f"COPY pack TO '{tmp_path}/out.csv'",
        f"COPY pack TO '{quiet.store._pipes}/../out.csv'",
        "SELECT * FROM read_text('/etc/hostname')",
        f"ATTACH '{tmp_path}/other.duckdb'",
        "SET allowed_directories = ['/']",
    ):
        with pytest.raises(duckdb.Error):
            quiet.store.rows(sql)


def test_the_folder_of_the_pipes_goes_with_the_store(tmp_path: Path) -> None:
    hub = open_hub(tmp_path, Clock())
    folder = hub.store._pipes
    assert folder.stat().st_mode & 0o077 == 0
    hub.close()
    assert not folder.exists()


def test_an_export_over_the_wire_is_a_file_and_stands_in_the_trail(
    hub: Site, people: dict[Role, httpx.Client], tmp_path: Path
) -> None:
    analyst = people[Role.ANALYST]
    answer = analyst.get("/api/export/sample?format=parquet")
    assert answer.headers["content-disposition"] == 'attachment; filename="sample.parquet"'
    path = tmp_path / "got.parquet"
    path.write_bytes(answer.content)
    assert duckdb.connect().execute(f"SELECT count(*) FROM '{path}'").fetchone() == (180,)
    answer = analyst.get("/api/export/sample?format=bdf&device=pack-1")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text.count("\n") == 121
    assert ("analyst", "export", "sample pack-1", "done") in hub.audit()
    assert people[Role.AUDITOR].get("/api/export/audit").text.count("export") >= 2
    assert analyst.get("/api/export/audit").status_code == 403
    for table in ("account", "nothing"):
        assert people[Role.ADMINISTRATOR].get(f"/api/export/{table}").status_code == 400
    assert analyst.get("/api/export/sample?format=xlsx").status_code == 422


def test_whoever_hangs_up_during_an_export_does_not_hold_up_the_next(
    people: dict[Role, httpx.Client],
) -> None:
    analyst = people[Role.ANALYST]
    for _ in range(8):
        with analyst.stream("GET", "/api/export/sample?format=csv") as answer:
            next(answer.iter_raw(16))
    assert analyst.get("/api/export/pack?format=csv").status_code == 200
    deadline = time.monotonic() + 20
    while any(t.name == "export" for t in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not [t for t in threading.enumerate() if t.name == "export"]

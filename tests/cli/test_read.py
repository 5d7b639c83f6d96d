import json
from pathlib import Path

import pytest

from cellwarden.cli.read import read_command
from cellwarden.errors import UsageError
from cellwarden.readers import read

VECTORS = Path(__file__).parents[1] / "vectors" / "readers"


def test_a_record_is_summed_up_on_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    read_command(VECTORS / "B0005.parquet", dry_run=False, mapping=None, out=None, as_json=False)
    out = capsys.readouterr().out
    assert "B0005" in out
    assert "2 Ah nominal" in out
    assert "2008-04-02 to 2008-04-02" in out or "2008-04-02 to 2008-04-03" in out
    assert "voltage_volt" in out
    assert "· the clock names no time zone and is taken as UTC (no_zone)" in out


def test_a_dry_run_shows_what_each_column_becomes(capsys: pytest.CaptureFixture[str]) -> None:
    read_command(
        VECTORS / "maccor_minutes.txt", dry_run=True, mapping=None, out=None, as_json=False
    )
    out = capsys.readouterr().out
    assert "test_time_second" in out
    assert "× 60" in out
    assert "unused: Rec" in out
    assert "? the clock is left out" in out


def test_both_are_one_json_object_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    read_command(VECTORS / "arbin.csv", dry_run=False, mapping=None, out=None, as_json=True)
    record = json.loads(capsys.readouterr().out)
    assert record["row_count"] == 119
    assert record["columns"]["voltage_volt"]["low"] == 3.2796359
    read_command(VECTORS / "wrong_sign.bdf.csv", dry_run=True, mapping=None, out=None, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["format"] == "Battery Data Format"
    assert any("not as BDF states" in doubt for doubt in found["doubts"])


def test_a_record_is_written_as_bdf_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "copy.bdf.parquet"
    mapping = tmp_path / "mapping.toml"
    mapping.write_text("nominal_capacity_ah = 1.5")
    read_command(VECTORS / "arbin.csv", dry_run=False, mapping=mapping, out=out, as_json=True)
    assert json.loads(capsys.readouterr().out)["nominal_capacity_ah"] == 1.5
    assert read(out).nominal_capacity_ah == 1.5


def test_a_record_without_a_clock_or_with_a_wild_one_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "[wild].csv"
    path.write_text("time_s,unix_time_second,Volts,Amps\n0,1e17,3,0\n9,2e17,3,0\n")
    read_command(path, dry_run=False, mapping=None, out=None, as_json=False)
    assert "[wild]" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_the_callers_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_command(tmp_path / "nowhere", dry_run=False, mapping=None, out=None, as_json=False)


def test_programs_get_each_remark_in_its_parts(capsys: pytest.CaptureFixture[str]) -> None:
    path = VECTORS / "time_bug.bdf.csv"
    read_command(path, dry_run=False, mapping=None, out=None, as_json=True)
    remark = json.loads(capsys.readouterr().out)["remarks"][0]
    assert remark["kind"] == "backward_time"
    assert remark["severity"] == "alarm"
    assert remark["column"] == "test_time_second"
    assert (remark["count"], remark["first_row"]) == (1, 24)
    assert "runs backwards once" in remark["text"]

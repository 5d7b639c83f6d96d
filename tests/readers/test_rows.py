from pathlib import Path

import duckdb
import numpy as np
import openpyxl
import pytest

from cellwarden.cli.read import read_command
from cellwarden.domain import Table
from cellwarden.errors import DataError, UsageError
from cellwarden.readers import load, read, read_table, records


def put(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("cell,cycle_life\n1,900\n2,1100\n", "labels"),
        ("cell,cycle,capacity_Ah\nA,1,1.1\nA,2,1.0\nB,1,1.2\n", "cycles"),
        ("battery,test_id,type,start\nA,0,charge,x\nA,1,discharge,y\n", "steps"),
        ("freq_Hz,z_re_ohm,z_im_ohm\n1000,0.1,-0.2\n100,0.2,-0.3\n", "spectra"),
        ("time_s,soc\n0,0.5\n900,0.6\n1800,0.7\n", "signals"),
        ("cell,v_mean,v_std,v_slope,soh\nA,3.7,0.1,2,0.9\nB,3.6,0.2,3,0.8\n", "features"),
        ("name,amount,unit\nlithium,0.3,kg\ncobalt,0.2,kg\n", "facts"),
        ("cell,cycle,capacity_Ah\nA,1,1.1\nA,1,1.0\n", "facts"),
    ],
)
def test_names_and_repeats_tell_the_kind(tmp_path: Path, text: str, kind: str) -> None:
    assert read_table(put(tmp_path, text)).kind == kind


def test_numbers_are_numbers_and_all_else_is_text(tmp_path: Path) -> None:
    table = read_table(put(tmp_path, 'name;price;note\nA;1,5;"a; b"\nB;;2\n\nC;3,25;x\n'))
    assert table["price"].tolist()[::2] == [1.5, 3.25]
    assert np.isnan(table["price"][1])
    assert table["note"].tolist() == ["a; b", "2", "x"]


def test_a_quoted_cell_may_hold_lines_and_names_may_differ_in_case(tmp_path: Path) -> None:
    table = read_table(put(tmp_path, 'id,Note,note\n1,"two\nlines",x\n2,one,y\n3,"a",z\n'))
    assert table["Note"].tolist() == ["two\nlines", "one", "a"]
    assert table["note"].tolist() == ["x", "y", "z"]


def test_columns_without_labels_are_numbered(tmp_path: Path) -> None:
    table = read_table(put(tmp_path, "1,2.5,REST\n2,2.6,CHA\n"))
    assert list(table) == ["#1", "#2", "#3"]
    assert table["#2"].tolist() == [2.5, 2.6]


@pytest.mark.parametrize(
    "text", ["Dear all,\nplease find attached,\nbest, A.\n" * 9, "a,b,c\n", "just words\n" * 9]
)
def test_prose_and_bare_labels_are_no_table(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError) as caught:
        read_table(put(tmp_path, text))
    assert caught.value.hint


def test_the_longest_sheet_of_a_workbook_is_the_table(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    first = book.active
    assert first is not None
    first.append(["note", "by"])
    first.append(["x", "me"])
    data = book.create_sheet("data")
    for row in (["Running Time", "Force", None], [0.0, 1.5, None], [1.0, 2.5, None]):
        data.append(row)
    book.save(tmp_path / "book.xlsx")
    book.close()
    table = load(tmp_path / "book.xlsx")
    assert isinstance(table, Table)
    assert (table.kind, list(table)) == ("signals", ["Running Time", "Force"])
    assert [remark.kind for remark in table.remarks] == ["note"]


def test_lists_of_a_parquet_file_are_curves_and_go_on_as_arrow(tmp_path: Path) -> None:
    path = tmp_path / "curves.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT i AS cell, [i * 1.0, i * 2.0, CASE WHEN i = 7 THEN 900.0 ELSE i END]"
            f" AS q, TIMESTAMP '2024-01-01' AS day FROM range(1, 20) r(i)) TO '{path}'"
        )
    table = read_table(path)
    assert table.kind == "curves"
    assert table["q"].shape == (19, 3)
    assert table["day"][0] == 1_704_067_200.0
    kinds = {remark.kind: remark for remark in table.remarks}
    assert kinds["overshoot"].first_row == 7
    assert kinds["date_as_number"].column == "day"
    with duckdb.connect() as connection:
        connection.register("found", table)
        assert connection.execute("SELECT q[2] FROM found LIMIT 1").fetchone() == (2.0,)


def test_a_file_of_several_records_gives_each_by_name(tmp_path: Path) -> None:
    rows = [f"{name},{i},{3.5 + i / 100},1.0" for name in ("a b", "it's") for i in range(20)]
    path = put(tmp_path, "\n".join(["run,time_s,Volts,Amps", *rows]) + "\n")
    assert records(path) == ("a b", "it's")
    whole = read(path)
    remark = next(remark for remark in whole.remarks if remark.kind == "many_records")
    assert (remark.column, remark.count, remark.first_row) == ("run", 2, 21)
    assert len(read(path, record="it's")) == 20
    with pytest.raises(UsageError, match="no record 'c'"):
        read(path, record="c")


def test_a_single_record_has_no_names(tmp_path: Path) -> None:
    path = put(tmp_path, "time_s,Volts,Amps\n0,3,1\n9,3.1,1\n")
    assert records(path) == ()
    with pytest.raises(UsageError, match="holds one record"):
        read(path, record="a")


def test_a_table_is_shown_and_a_record_of_several_is_chosen_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = put(tmp_path, "cell,cycle_life\n1,900\n2,1100\n")
    read_command(path, dry_run=False, mapping=None, out=None, as_json=False)
    assert "labels: what is to be predicted" in capsys.readouterr().out
    with pytest.raises(DataError, match="holds a table of labels"):
        read_command(path, False, None, tmp_path / "x.csv", False)  # noqa: FBT003  as the app calls


def test_a_sign_is_overridden_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).parents[1] / "vectors" / "readers" / "wrong_sign.bdf.csv"
    read_command(path, False, None, None, True, current_sign=-1)  # noqa: FBT003  as the app calls
    assert '"row_count"' in capsys.readouterr().out

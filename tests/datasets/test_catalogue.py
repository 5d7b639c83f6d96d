"""What the shipped descriptions say, held against the papers' rules and the data itself."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from cellwarden import datasets
from cellwarden.datasets.check import _shape
from cellwarden.domain import Series
from cellwarden.domain.table import Table
from cellwarden.errors import DataError, UsageError

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
needs_data = pytest.mark.skipif(
    not (DATA / "severson_lfp").is_dir(), reason="needs the data sets under CELLWARDEN_DATA"
)


@pytest.mark.parametrize(
    ("name", "protocol", "counts"),
    [
        ("severson_lfp", "published", {"train": 41, "primary_test": 43, "secondary_test": 40}),
        ("eis_lco", "published", {"train": 4, "test": 4}),
        ("uw_lipo", "published", {"train": 30, "validation": 8, "test": 10}),
        ("citylearn_2022", "published", {"train": 10, "test": 7}),
        ("lg_hg2", "published", {"train": 8, "test": 4}),
        ("soh_features", "TJU D1_NCA", {"train": 53, "test": 13}),
        ("soh_features", "HUST", {"train": 57, "test": 20}),
    ],
)
def test_published_splits_have_their_published_sizes(
    name: str, protocol: str, counts: dict[str, int]
) -> None:
    found = datasets.splits(name, protocol)
    assert {split: len(members) for split, members in found.items()} == counts


def test_the_test_cells_of_the_charge_features_follow_the_papers_rule() -> None:
    for protocol in datasets.describe("soh_features").protocols:
        train, test, *_ = (split.members for split in protocol.splits)
        numbers = [(m, m.partition("/")[2]) for m in (*train, *test)]
        if protocol.name.startswith("XJTU"):
            expected = {m for m, number in numbers if "4" in number or "8" in number}
        elif protocol.name == "MIT":
            expected = {m for m, number in numbers if int(number) % 5 == 0}
        elif protocol.name == "HUST":
            expected = {m for m, n in numbers if n.endswith(("-4", "-8")) or n == "5-7"}
            expected -= {"HUST/5-8"}
        else:
            continue
        assert set(test) == expected, protocol.name


def test_every_set_says_who_made_it_and_under_what_licence() -> None:
    for known in datasets.catalogue().values():
        assert known.licence, known.name
        assert known.citation.endswith("."), known.name
        assert all(doi.startswith("10.") for doi in known.dois), known.name
        assert all(fault.known_by for fault in known.faults), known.name
        assert all(protocol.source for protocol in known.protocols), known.name


def test_cells_that_are_in_two_sets_are_said_to_be_kept_apart_in_both() -> None:
    for one, other in (("severson_lfp", "soh_features"), ("soh_features", "severson_lfp")):
        said = " ".join(datasets.describe(one).keep_apart)
        assert other in said
        assert "2017-05-12" in said


def test_names_that_are_not_there_are_wrong_calls(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no data set 'nothing'"):
        datasets.describe("nothing")
    with pytest.raises(UsageError, match="no protocol nothing"):
        datasets.splits("eis_lco", "nothing")
    with pytest.raises(UsageError, match="no protocol"):
        datasets.splits("vectors")
    with pytest.raises(UsageError, match="no folder"):
        datasets.catalogue(tmp_path / "nothing")
    with pytest.raises(UsageError, match="is not there") as caught:
        datasets.load("eis_lco", "eis", data=tmp_path)
    assert "CELLWARDEN_DATA" in caught.value.hint


def test_a_description_lies_in_a_file_of_its_name(tmp_path: Path) -> None:
    shipped = Path(datasets.__file__).parent / "sets" / "eis_lco.toml"
    (tmp_path / "other.toml").write_bytes(shipped.read_bytes())
    with pytest.raises(DataError, match="describes eis_lco"):
        datasets.catalogue(tmp_path)


@needs_data
def test_every_folder_of_data_is_described_and_every_description_has_its_folder() -> None:
    folders = {path.name for path in DATA.iterdir() if path.is_dir()}
    assert folders == set(datasets.catalogue())


@needs_data
def test_every_described_column_is_in_a_table() -> None:
    for known in datasets.catalogue().values():
        tables = [part for part in known.parts if part.form == "table"]
        described = {
            id(known.column(label))
            for part in tables
            for label in _shape(DATA / known.name / part.path)[0]
        }
        unused = {name for name, column in known.columns.items() if id(column) not in described}
        assert not unused, known.name


@needs_data
def test_a_part_loads_as_the_readers_take_it() -> None:
    series = datasets.load("calce_cs2", "CS2_35", data=DATA)
    assert isinstance(series, Series)
    assert (series.name, series.chemistry) == ("CS2_35", "LCO")
    assert len(series) == datasets.describe("calce_cs2").part("CS2_35").row_count
    table = datasets.load("eis_lco", "eis", data=DATA)
    assert isinstance(table, Table)
    assert (table.kind, len(table)) == ("spectra", 679)


def number(sql: str) -> float:
    row = duckdb.sql(sql.replace("@", f"{DATA}/")).fetchone()
    assert row is not None
    return float(row[0])


def faults() -> Iterator[tuple[str, str, str]]:
    """A set, SQL that counts a fault, and how the description writes the number."""
    curves = "FROM '@severson_lfp/*_q.parquet'"
    odd = "WHERE list_max(qd_uAh::int[]) > 1200000 OR list_min(qd_uAh::int[]) < -100000"
    yield "severson_lfp", f"SELECT count(*) {curves} {odd}", "6 of 8,316 curves"
    yield (
        "soh_features",
        "SELECT count(*) FROM '@soh_features/xjtu.parquet' WHERE isinf(voltage_entropy)",
        "112 infinite",
    )
    yield (
        "obelix",
        "SELECT count(*) FROM '@obelix/train.csv' WHERE \"Ionic conductivity (S cm-1)\" LIKE '<%'",
        "29 conductivities",
    )
    yield (
        "mp_electrodes",
        (
            "SELECT count(*) FROM '@mp_electrodes/electrodes.parquet'"
            " WHERE average_voltage < 0 OR average_voltage > 6"
        ),
        "155 average voltages",
    )
    nasa = "FROM '@nasa_pcoe/tests.csv' WHERE type = 'discharge'"
    yield "nasa_pcoe", f"SELECT count(*) {nasa} AND capacity_Ah < 0.1", "151 discharges"
    yield "nasa_pcoe", f"SELECT count(*) - count(capacity_Ah) {nasa}", "4 of 2,039"
    yield (
        "nasa_pcoe",
        (
            "SELECT count(*) FROM (FROM '@nasa_pcoe/tests.csv' SELECT battery_id"
            " GROUP BY 1 HAVING count(DISTINCT ambient_C) > 1)"
        ),
        "14 cells",
    )
    loads = " + ".join(f"(load_{n}_kW < 0)::int" for n in range(1, 7))
    yield "rl_adn_15min", f"SELECT sum({loads}) FROM '@rl_adn_15min/series.parquet'", "1,181 loads"


@needs_data
@pytest.mark.parametrize(("name", "sql", "said"), list(faults()), ids=lambda text: text[:24])
def test_a_known_fault_is_in_the_data_as_often_as_it_says(name: str, sql: str, said: str) -> None:
    told = [fault.what for fault in datasets.describe(name).faults if said in fault.what]
    assert len(told) == 1
    assert number(sql) == float(said.split(maxsplit=1)[0].replace(",", ""))


@needs_data
def test_partial_cycles_of_calce_are_as_many_as_it_says() -> None:
    with (DATA / "calce_cs2" / "cycles.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    counts = [
        sum(row["cell"] == cell and float(row["discharge_Ah_integrated"]) < 0.2 for row in rows)
        for cell in ("CS2_35", "CS2_36", "CS2_37")
    ]
    assert counts == [4, 49, 36]
    assert "4, 49 and 36" in datasets.describe("calce_cs2").faults[0].what


@needs_data
@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        (known.name, protocol.name)
        for known in datasets.catalogue().values()
        for protocol in known.protocols
    ],
)
def test_the_rows_of_a_split_are_those_of_its_members_and_of_no_other(
    name: str, protocol: str
) -> None:
    chosen = datasets.describe(name).protocol(protocol)
    total = 0
    for split in chosen.splits:
        if split.held_back:
            with pytest.raises(UsageError, match="no rows of"):
                datasets.rows(name, split.name, protocol, DATA)
            continue
        table = datasets.rows(name, split.name, protocol, DATA)
        cells = zip(*(table[column].tolist() for column in chosen.columns), strict=True)
        assert len(set(cells)) == split.count
        total += len(table)
    parts = {split.part or chosen.part for split in chosen.splits} - {""}
    whole = sum(datasets.describe(name).part(part).row_count or 0 for part in parts)
    alone = sum(chosen.part == one.part for one in datasets.describe(name).protocols) == 1
    if chosen.exhaustive and alone:
        assert total == whole


@needs_data
def test_one_record_of_several_is_loaded_by_its_name() -> None:
    one = datasets.load("lg_hg2", "drive_1hz", data=DATA, record="551_Mixed1")
    assert isinstance(one, Series)
    assert len(one) == 7_723

"""A stranger's table: guesses are shown, the ambiguous is asked, what tells the answer is out."""

import numpy as np
import pytest

from cellwarden.domain import Table
from cellwarden.errors import DataError, UsageError
from cellwarden.health.own_table import Wish, find_in_table

RNG = np.random.default_rng(3)


def made(**more: object) -> Table:
    """Four cells of five cycles; the health falls and a voltage says so."""
    cycle = np.tile(np.arange(1.0, 6.0), 4)
    columns: dict[str, object] = {
        "cell": np.repeat(np.array(["a", "b", "c", "d"], dtype=object), 5),
        "cycle": cycle,
        "soh": 1.0 - 0.01 * cycle + 0.001 * RNG.normal(size=20),
        "rest_volt": 3.3 - 0.02 * cycle + 0.001 * RNG.normal(size=20),
    }
    return Table("own", "facts", {name: np.asarray(v) for name, v in (columns | more).items()})


def test_the_usual_names_are_found_and_told() -> None:
    found = find_in_table(made(), "soh", Wish())
    assert found.task.cells == ("a", "b", "c", "d")
    assert found.task.columns == ("rest_volt", "cycle_count")
    assert found.task.choices == {"": ("rest_volt",)}
    assert found.taken["target"] == "soh"
    assert found.taken["order"] == "cycle"


def test_a_column_that_says_the_answer_is_left_out_and_the_reason_given() -> None:
    table = made(capacity_left=RNG.normal(size=20), scaled=made()["soh"], note=["x"] * 20)
    table = made(
        capacity_left=RNG.normal(size=20),
        copy=2.0 * table["soh"],
        soh=table["soh"],
        note=["x"] * 20,
    )
    found = find_in_table(table, "soh", Wish(target="soh"))
    assert "rest_volt" in found.task.columns
    assert "name it in --features" in found.left_out["capacity_left"]
    assert found.left_out["copy"] == "the target in another unit"
    assert found.left_out["note"] == "no numbers"


def test_a_column_that_is_named_is_taken_all_the_same() -> None:
    table = made(start_capacity=RNG.normal(size=20))
    found = find_in_table(table, "soh", Wish(features=("rest_*", "start_capacity")))
    assert found.task.columns[:2] == ("rest_volt", "start_capacity")


@pytest.mark.parametrize(
    ("more", "option"),
    [({"battery": np.arange(20.0)}, "--cell"), ({"capacity": np.ones(20)}, "--target")],
)
def test_what_could_be_two_columns_is_asked(more: dict, option: str) -> None:
    with pytest.raises(UsageError, match="could each") as caught:
        find_in_table(made(**more), "soh", Wish())
    assert option in caught.value.hint


def test_a_column_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="no column tells the life"):
        find_in_table(made(), "life", Wish())
    with pytest.raises(UsageError, match="has no column nothing") as caught:
        find_in_table(made(), "soh", Wish(features=("nothing",)))
    assert "rest_volt" in caught.value.hint


def test_the_target_cannot_be_its_own_feature() -> None:
    with pytest.raises(UsageError, match="soh is no feature"):
        find_in_table(made(), "soh", Wish(features=("soh",)))


def test_numbers_of_cells_that_begin_again_in_each_batch_are_told_apart() -> None:
    table = made(batch=["one"] * 10 + ["two"] * 10, cell=np.tile(np.repeat([1.0, 2.0], 5), 2))
    found = find_in_table(table, "soh", Wish())
    assert found.task.cells == ("one/1", "one/2", "two/1", "two/2")


def test_a_split_of_whole_cells_is_taken_and_one_through_cells_is_not() -> None:
    whole = find_in_table(made(split=["train"] * 15 + ["test"] * 5), "soh", Wish())
    assert whole.split == {"a": "train", "b": "train", "c": "train", "d": "test"}
    through = find_in_table(made(split=["train", "test"] * 10), "soh", Wish())
    assert through.split == {}


def test_a_capacity_is_told_over_nominal_where_that_is_given() -> None:
    table = made(capacity_ah=2.0 * made()["soh"])
    wish = Wish(target="capacity_ah", features=("rest_volt",), nominal_ah=2.0)
    found = find_in_table(table, "soh", wish)
    assert found.task.unit == "1"
    assert 0.9 < found.task.target.min() < found.task.target.max() < 1.05


def test_without_an_order_nothing_is_told_of_age() -> None:
    table = Table("own", "facts", {k: v for k, v in made().columns.items() if k != "cycle"})
    found = find_in_table(table, "soh", Wish())
    assert found.task.columns == ("rest_volt",)
    assert not found.task.carried


def test_text_is_no_target_and_rows_without_one_are_left_out() -> None:
    with pytest.raises(DataError, match="holds no numbers"):
        find_in_table(made(note=["x"] * 20), "soh", Wish(target="note"))
    health = made()["soh"].copy()
    health[:3] = np.nan
    found = find_in_table(made(soh=health), "soh", Wish())
    assert len(found.task.target) == 17
    assert found.left_out["3 rows"] == "no cell or no target"
    with pytest.raises(DataError, match="no row has"):
        find_in_table(made(soh=np.full(20, np.nan)), "soh", Wish())

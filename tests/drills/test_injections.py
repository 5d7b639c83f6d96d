from cellwarden.drills import scene as scenes
from cellwarden.drills.injections import injections
from cellwarden.drills.scene import CONDITIONS


def test_every_row_of_the_table_is_injected_in_some_condition() -> None:
    rows: set[str] = set()
    for condition in CONDITIONS:
        begun = scenes.begin(condition._replace(rested_second=0.0))
        begun.condition = condition
        rows |= {one.row for one in injections(begun)}
    assert rows == {row.name for row in begun.diagnostics.rows}


def test_what_pack_bytes_carry_is_injected_there() -> None:
    begun = scenes.begin(CONDITIONS[0])
    by_value = {one.row for one in injections(begun) if one.place == "value"}
    assert by_value == {
        "clock_error",
        "clock_backwards",
        "memory_damaged",
        "authentication_failed",
        "master_lost",
        "precharge_failed",
    }

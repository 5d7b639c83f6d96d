import re

from cellwarden.domain import QUANTITIES
from cellwarden.edge.drivers.can_table import MESSAGES
from cellwarden.edge.outputs.metrics import metrics_of

PLAIN = re.compile(r".*(bits|index|cell_count|sensor_count|message_count)")


def test_every_number_that_is_told_has_its_row_in_the_table_of_units() -> None:
    rows = [(row.name, row.unit) for row in metrics_of(2) if row.unit]
    for name, unit in rows:
        known = QUANTITIES[re.sub(r"^cell_\d+_", "cell_", name)]
        assert unit == known.unit, name


def test_every_number_on_the_bus_has_its_row_in_the_table_of_units() -> None:
    fields = [f for message in MESSAGES for f in (*message.fields, message.item) if f]
    unknown = {field.name for field in fields} - set(QUANTITIES)
    assert {name for name in unknown if not PLAIN.fullmatch(name)} == set()


def test_names_are_told_once() -> None:
    names = [row.name for row in metrics_of(20)]
    assert len(set(names)) == len(names)

from dataclasses import fields

import pytest

from cellwarden.domain import FRAME_COLUMNS, QUANTITIES, Series, quantity
from cellwarden.domain.units import FARADAY, GAS_CONSTANT

SUFFIX = {
    "s": "_second",
    "V": "_volt",
    "A": "_ampere",
    "°C": "_celsius",
    "Ah": "_ah",
    "Wh": "_wh",
    "Ω": "_ohm",
    "W": "_watt",
    "H": "_henry",
    "Hz": "_hertz",
    "nat": "_nat",
    "1/h": "_per_hour",
    "Ah/V": "_ah_per_volt",
    "V/Ah": "_volt_per_ah",
    "V/s": "_volt_per_second",
    "A/s": "_ampere_per_second",
    "Ω/√s": "_ohm_per_root_second",
    "°C h": "_celsius_hour",
    "log10 1": "_log10_ratio",
    "log10 Ah": "_log10_ah",
    "log10 Ah²": "_log10_ah2",
}


@pytest.mark.parametrize("row", QUANTITIES.values(), ids=lambda row: row.name)
def test_a_name_ends_in_its_unit(row) -> None:  # noqa: ANN001  one row of the table
    if row.unit == "1":
        assert row.name.endswith(("_fraction", "_count", "_index", "_ratio"))
    else:
        assert row.name.endswith(SUFFIX[row.unit])
    assert row.low < row.high
    assert row.meaning


def test_every_column_that_is_stored_or_sent_is_in_the_table() -> None:
    numbers = {field.name for field in fields(Series)} - {"name", "chemistry", "source", "remarks"}
    assert numbers | set(FRAME_COLUMNS) <= set(QUANTITIES)


def test_an_unknown_quantity_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        quantity("voltage")
    assert quantity("voltage_volt").bdf_label == "Voltage / V"


def test_the_constants_are_the_defined_ones() -> None:
    assert pytest.approx(1.602176634e-19 * 6.02214076e23, rel=1e-9) == FARADAY
    assert pytest.approx(1.380649e-23 * 6.02214076e23, rel=1e-9) == GAS_CONSTANT

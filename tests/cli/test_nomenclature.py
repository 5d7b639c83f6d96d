from pathlib import Path

from cellwarden.cli.nomenclature import nomenclature
from cellwarden.domain import QUANTITIES

PAGE = Path(__file__).parents[2] / "docs" / "nomenclature.md"


def test_the_page_is_what_the_table_says() -> None:
    hint = "run: python -m cellwarden.cli.nomenclature > docs/nomenclature.md"
    assert PAGE.read_text(encoding="utf-8") == nomenclature(), hint


def test_every_quantity_has_its_row_and_its_unit_in_its_name_or_none() -> None:
    page = nomenclature()
    for name, quantity in QUANTITIES.items():
        assert f"| `{name}` | {quantity.unit} |" in page


def test_names_are_lower_case_and_end_in_a_spelled_unit() -> None:
    units = {
        "s": ("second",),
        "V": ("volt",),
        "A": ("ampere",),
        "°C": ("celsius",),
        "Ah": ("ah",),
        "Wh": ("wh",),
        "W": ("watt",),
        "Ω": ("ohm",),
        "1": ("fraction", "count", "index", "ratio"),
        "log10 1": ("ratio",),
        "log10 Ah": ("ah",),
        "log10 Ah²": ("ah2",),
        "°C h": ("hour",),
        "Ah/V": ("volt",),
        "V/Ah": ("ah",),
        "Ω/√s": ("second",),
        "Hz": ("hertz",),
        "1/h": ("hour",),
        "V/s": ("second",),
        "A/s": ("second",),
        "nat": ("nat",),
        "H": ("henry",),
    }
    for name, quantity in QUANTITIES.items():
        assert name.rsplit("_", 1)[1] in units[quantity.unit], name

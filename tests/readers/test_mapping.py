from pathlib import Path

import pytest

from cellwarden.errors import UsageError
from cellwarden.readers import ColumnMapping, load_mapping


@pytest.mark.parametrize(
    "wrong",
    [
        {"current_sign": 0},
        {"delimiter": "::"},
        {"decimal": "'"},
        {"header_row": -1},
        {"columns": {"volts": "V"}},
        {"units": {"voltage_volt": "A"}},
        {"units": {"nonsense": "A"}},
        {"date_format": "day/month"},
        {"date_format": "%Q"},
        {"nominal_capacity_ah": 0.0},
        {"nominal_capacity_ah": float("nan")},
        {"chemistry": ""},
    ],
)
def test_a_mapping_that_makes_no_sense_is_the_callers_error(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        ColumnMapping(**wrong)  # type: ignore[arg-type]
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "current_sign = ",
        "sign = 1",
        "columns = 3",
        "[columns]\nvoltage_volt = 3",
        "current_sign = 'up'",
        "header_row = 'first'",
        "date_format = 1979-05-27",
        "nominal_capacity_ah = '1'",
        "\xff",
    ],
)
def test_a_file_that_is_no_mapping_is_the_callers_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mapping.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError):
        load_mapping(path)


def test_a_mapping_that_is_not_there_is_the_callers_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere.toml"):
        with pytest.raises(UsageError):
            load_mapping(path)


def test_a_mapping_cannot_be_changed_behind_its_back() -> None:
    columns = {"voltage_volt": "V"}
    mapping = ColumnMapping(columns=columns)
    columns["voltage_volt"] = "I"
    assert mapping.columns["voltage_volt"] == "V"

import pytest

from cellwarden.readers.labels import read_label


@pytest.mark.parametrize(
    ("text", "field", "factor"),
    [
        ("Voltage / V", "voltage_volt", 1.0),
        ("voltage_volt", "voltage_volt", 1.0),
        ("Ecell/V", "voltage_volt", 1.0),
        ("U[V]", "voltage_volt", 1.0),
        ("Potential (mV)", "voltage_volt", 1e-3),
        ("\ufeffI/mA", "current_ampere", 1e-3),
        ("<I>/mA", "current_ampere", 1e-3),
        ("Current(µA)", "current_ampere", 1e-6),
        ("mAmps", "current_ampere", 1e-3),
        ("~Time[s]", "test_time_second", 1.0),
        ("Test (Sec)", "test_time_second", 1.0),
        ("Run Time (h)", "test_time_second", 3600.0),
        ("Unix Time / ms", "unix_time_second", 1e-3),
        ("Q charge/mA.h", "charging_capacity_ah", 1e-3),
        ("DChg. Cap.(Ah)", "discharging_capacity_ah", 1.0),
        ("Discharge Capacity (C)", "discharging_capacity_ah", 1 / 3600),
        ("Aux_Temperature_1 (C)", "surface_temperature_celsius", 1.0),
        ("T1[�C]", "surface_temperature_celsius", 1.0),
        ("t/s", "test_time_second", 1.0),
        ("T/°C", "surface_temperature_celsius", 1.0),
    ],
)
def test_labels_of_many_testers_name_their_field_and_unit(
    text: str, field: str, factor: float
) -> None:
    label = read_label(text)
    assert label is not None
    assert label.field == field
    assert label.unit is not None
    assert label.unit.factor == pytest.approx(factor)


@pytest.mark.parametrize(
    "text",
    ["", "dV/dt(V/s)", "Charge Capacity (mAh/g)", "Current (V)", "Power (W)", "Step Time (s)", "T"],
)
def test_a_label_that_does_not_fit_is_left_alone(text: str) -> None:
    assert read_label(text) is None

"""Units of columns whose names do not say them."""

import pytest

from cellwarden.registry.column_units import unit_of


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        ("voltage_mean", "V"),
        ("current_std_recent", "A"),
        ("cc_q", "Ah"),
        ("cc_q_since_start", "log Ah"),
        ("cv_charge_time_smooth", "log s"),
        ("U17", "V"),
        ("step_1_2_log_volt", "log V"),
        ("ZImag_0.02Hz", "ohm"),
        ("cycle_count", "cycles"),
        ("delta_variance_log10_ah2", "log10 Ah²"),
        ("second_capacity_ah", "Ah"),
        ("rest_volt", "V"),
        ("anything", ""),
    ],
)
def test_a_column_has_its_unit(column: str, unit: str) -> None:
    assert unit_of(column) == unit

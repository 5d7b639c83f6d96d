import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.readers.sign import judge


def record(sign: float, *, seed: int = 0, noise: float = 0.0) -> dict[str, np.ndarray]:
    """Charge, rest and discharge of a cell with 50 mOhm, its current written with a sign."""
    current = np.repeat([1.0, 0.0, -2.0, 0.0, 1.0], 40)
    charge = np.cumsum(current) / 3600
    voltage = 3.5 + 20 * charge + 0.05 * current
    voltage += noise * np.random.default_rng(seed).standard_normal(len(voltage))
    return {"current_ampere": sign * current, "voltage_volt": voltage}


@pytest.mark.parametrize("sign", [1, -1])
@given(seed=st.integers(0, 2**32 - 1), noise=st.floats(0, 5e-3))
def test_the_voltage_tells_the_sign_through_noise(sign: int, seed: int, noise: float) -> None:
    assert judge(record(sign, seed=seed, noise=noise)).sign == sign


@pytest.mark.parametrize("sign", [1, -1])
@given(at=st.integers(0, 199), wild=st.floats(-50, 50))
def test_one_wild_reading_changes_no_verdict(sign: int, at: int, wild: float) -> None:
    columns = record(sign)
    columns["voltage_volt"][at] = wild
    assert judge(columns).sign == sign


def test_missing_readings_change_no_verdict() -> None:
    columns = record(-1)
    columns["voltage_volt"][::7] = np.nan
    columns["current_ampere"][::5] = np.nan
    assert judge(columns).sign == -1


def test_counters_that_are_reset_still_tell_the_sign() -> None:
    columns = record(-1)
    columns["voltage_volt"][:] = 3.7
    columns["discharging_capacity_ah"] = np.tile(np.arange(40) / 100.0, 5)
    columns["discharging_capacity_ah"][columns["current_ampere"] <= 0] = 0.0
    assert judge(columns).sign == -1


def test_witnesses_that_contradict_one_another_decide_nothing() -> None:
    verdict = judge(record(1), direction=np.repeat([-1.0, 0.0, 1.0, 0.0, -1.0], 40))
    assert verdict.sign == 0
    assert verdict.contradiction


@pytest.mark.parametrize("length", [0, 1, 2])
def test_a_record_too_short_to_tell_says_so(length: int) -> None:
    columns = {"current_ampere": np.ones(length), "voltage_volt": np.full(length, 3.7)}
    assert judge(columns).sign == (1 if length == 0 else 0)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.domain import CLOSED, OPEN, Allowance, Command, Diagnosis, Reaction, Trouble
from cellwarden.edge.drivers.line import BusFrame
from cellwarden.edge.outputs.inverter import decode_inverter, encode_inverter
from cellwarden.edge.outputs.view import PackView
from cellwarden.errors import DataError
from edge.carried import charge_record, frame, pack


def view(**changed: object) -> PackView:
    told: dict[str, object] = {
        "pack": pack(),
        "frame": frame(),
        "allowance": Allowance(60.0, 120.0, 3000.0, 6000.0),
        "command": Command(CLOSED, 50.0, 200.0, charge_voltage_volt=57.4),
        "soc_fraction": 0.437,
        "soh_fraction": 0.95,
    }
    return PackView(**{**told, **changed})  # type: ignore[arg-type]


def said(shown: PackView) -> dict[int, dict[str, float]]:
    return {sent.number: decode_inverter(sent) for sent in encode_inverter(shown)}


def test_the_messages_are_laid_out_as_published() -> None:
    sent = {message.number: message.data for message in encode_inverter(view())}
    assert sent[0x351] == bytes.fromhex("3e02f401b0048801")  # 57.4 V, 50 A, 120 A, 39.2 V
    assert sent[0x355] == bytes.fromhex("2c005f00")  # 44 %, 95 %
    assert sent[0x356] == bytes.fromhex("03147b00f800")  # 51.23 V, +12.3 A, 24.8 °C
    assert sent[0x359] == bytes.fromhex("0000000001504e")
    assert sent[0x35C] == bytes.fromhex("c000")
    assert sent[0x35E] == b"PYLON   "


def test_a_real_charge_is_positive() -> None:
    for ampere, shown in charge_record():
        values = said(view(frame=shown))[0x356]
        assert np.sign(values["current_ampere"]) == np.sign(ampere)


def test_what_is_not_known_is_not_sent() -> None:
    assert 0x355 not in said(view(soc_fraction=1.2))
    assert 0x356 not in said(view(frame=frame(voltage_volt=1500.0)))
    assert 0x356 not in said(view(frame=frame(current_ampere=np.nan)))
    assert 0x355 not in said(view(soc_fraction=np.nan))
    assert said(view(allowance=None))[0x351]["high_charge_current_ampere"] == 0.0


@pytest.mark.parametrize(
    "changed",
    [
        {"command": Command(OPEN, 50.0, 50.0)},
        {"command": None},
        {"allowance": Allowance(0.0, 0.0, 0.0, 0.0)},
    ],
)
def test_an_open_pack_asks_for_no_current(changed: dict[str, object]) -> None:
    values = said(view(**changed))
    assert values[0x351]["high_charge_current_ampere"] == 0.0
    assert values[0x351]["high_discharge_current_ampere"] == 0.0
    assert values[0x35C]["permit_bits"] == 0


def test_a_fault_that_forbids_charging_takes_the_charge_permit() -> None:
    trouble = Trouble("cold", Reaction.FORBID_CHARGE, 0.0, 0.0, 0.0)
    values = said(view(diagnosis=Diagnosis((trouble,)), event_names={"cold": "UNDER_TEMP_WARNING"}))
    assert values[0x35C]["permit_bits"] == 0x40
    assert values[0x351]["high_charge_current_ampere"] == 0.0
    assert (values[0x359]["alarm_bits"], values[0x359]["warning_bits"]) == (0, 1 << 4)


@given(charge=st.floats(0, 1e5), discharge=st.floats(0, 1e5), volt=st.floats(0, 58.8))
def test_no_limit_grows_on_its_way(charge: float, discharge: float, volt: float) -> None:
    told = Command(CLOSED, charge, discharge, charge_voltage_volt=volt)
    values = said(view(command=told, allowance=Allowance(charge, discharge, 0.0, 0.0)))[0x351]
    assert values["high_charge_current_ampere"] <= charge + 1e-6
    assert values["high_discharge_current_ampere"] <= discharge + 1e-6
    assert values["charge_voltage_volt"] <= (volt or 58.8) + 1e-6


@given(number=st.sampled_from([0x351, 0x355, 0x356, 0x359, 0x35C]), data=st.binary(max_size=8))
def test_random_bytes_are_refused_or_can_be(number: int, data: bytes) -> None:
    try:
        values = decode_inverter(BusFrame(number, data))
    except DataError:
        return
    assert values.get("soc_fraction", 0.0) <= 1.0 + 1e-9
    assert values.get("high_charge_current_ampere", 0.0) >= 0.0

"""Our registers, read by the tables here; `test_modbus` reads them with SunSpec's own client."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.control.fault_table import SUNSPEC_EVENTS
from cellwarden.domain import (
    CLOSED,
    Allowance,
    Command,
    Diagnosis,
    Frame,
    Pack,
    Reaction,
    Trouble,
    chemistry_named,
)
from cellwarden.domain.cell import Cell, tiers
from cellwarden.edge.drivers import sunspec
from cellwarden.edge.outputs.registers import encode_map, powers_of
from cellwarden.edge.outputs.view import PackView
from edge.carried import frame, pack


def model(view: PackView, number: int) -> sunspec.Model:
    data = encode_map(view, powers_of(view.pack), 3)
    place = 4
    while (head := int.from_bytes(data[place : place + 2], "big")) != sunspec.END:
        length = 2 * int.from_bytes(data[place + 2 : place + 4], "big") + 4
        if head == number:
            return sunspec.read_model(number, data[place : place + length])
        place += length
    raise AssertionError(number)


def trouble(name: str, reaction: Reaction) -> Trouble:
    return Trouble(name, reaction, 0.0, 0.0, 0.0)


def test_what_is_known_is_shown_in_its_unit() -> None:
    view = PackView(
        pack(),
        frame(),
        state="connected",
        allowance=Allowance(60.04, 120.0, 3000.0, 6000.0),
        command=Command(CLOSED, 60.0, 120.0, (True,) + (False,) * 13),
        soc_fraction=0.4321,
        soh_fraction=0.95,
    )
    bank = model(view, 802).values
    assert bank["A"] == pytest.approx(12.3)
    assert bank["W"] == pytest.approx(51.234 * 12.3, abs=1.0)
    assert bank["SoC"] == pytest.approx(0.4321)
    assert bank["DoD"] == pytest.approx(0.5679)
    assert bank["SoH"] == pytest.approx(0.95)
    assert (bank["State"], bank["ChaSt"], bank["Typ"]) == (3, 4, 4)
    assert bank["AHRtg"] == pytest.approx(60.0)
    assert bank["AChaMax"] == pytest.approx(60.04, abs=0.011)
    assert bank["AChaMax"] <= 60.04
    string = model(view, 803)
    assert string.values["NStrCon"] == 1
    assert string.values["NCellBal"] == 1
    assert string.groups[0]["StrSt"] == 3
    module = model(view, 805)
    assert [cell["CellSt"] for cell in module.groups] == [1.0] + [0.0] * 13
    assert module.values["CellTmpMin"] == pytest.approx(21.5)


def test_what_is_not_known_is_not_implemented_and_limits_are_zero() -> None:
    volts = np.full(14, np.nan)
    blank = frame(
        voltage_volt=np.nan,
        current_ampere=np.nan,
        cell_voltage_volt=volts,
        cell_temperature_celsius=np.full(2, np.nan),
    )
    view = PackView(pack(), blank)
    bank = model(view, 802).values
    for name in ("V", "A", "W", "SoC", "DoD", "SoH", "CellVMax", "CellVMin", "ChaSt"):
        assert math.isnan(bank[name]), name
    for name in ("AChaMax", "ADisChaMax", "WChaRteMax", "WDisChaRteMax"):
        assert bank[name] == 0.0
    assert bank["State"] == 1
    assert all(math.isnan(cell["CellV"]) for cell in model(view, 805).groups)


def test_troubles_are_events_and_those_without_a_name_are_alarms_or_warnings() -> None:
    view = PackView(
        pack(),
        frame(),
        diagnosis=Diagnosis(
            (
                trouble("cell_voltage_high_maximum", Reaction.OPEN),
                trouble("odd", Reaction.OPEN),
                trouble("mild", Reaction.WARN),
                trouble("noted", Reaction.RECORD),
            )
        ),
        event_names={"cell_voltage_high_maximum": "OVER_VOLT_ALARM"},
    )
    bits = int(model(view, 802).values["Evt1"])
    told = {name for place, name in enumerate(SUNSPEC_EVENTS) if bits >> place & 1}
    assert told == {"OVER_VOLT_ALARM", "OTHER_ALARM", "OTHER_WARNING"}
    assert bits == int(model(view, 803).groups[0]["StrEvt1"])


@given(ampere=st.floats(0.0, 5e4), watt=st.floats(0.0, 5e6))
@settings(max_examples=60, deadline=None)
def test_a_limit_never_grows_on_its_way(ampere: float, watt: float) -> None:
    view = PackView(pack(), frame(), allowance=Allowance(ampere, ampere, watt, watt))
    bank = model(view, 802).values
    assert bank["AChaMax"] <= ampere + 1e-6
    assert bank["WDisChaRteMax"] <= watt + 1e-3


@pytest.mark.parametrize(("cells", "capacity"), [(1, 0.5), (16, 280.0), (240, 300.0), (400, 5.0)])
def test_every_size_of_pack_fits_its_powers(cells: int, capacity: float) -> None:
    chemistry = chemistry_named("LFP")
    described = Pack("p", Cell(chemistry, capacity, tiers(chemistry, capacity)), cells)
    full = cells * chemistry.high_voltage_volt
    most = described.cell.limits.maximum.high_discharge_current_ampere
    shown = Frame(0.0, full, -most, np.full(cells, 3.4), np.full(cells, 60.0))
    view = PackView(described, shown, soc_fraction=1.0)
    bank = model(view, 802).values
    assert bank["V"] == pytest.approx(full, rel=0.01)
    assert bank["A"] == pytest.approx(-most, rel=0.01)
    assert bank["W"] == pytest.approx(-most * full, rel=0.01)
    assert len(model(view, 805).groups) == cells
    assert model(view, 805).groups[-1]["CellTmp"] == pytest.approx(60.0)


def test_the_heartbeat_is_the_count() -> None:
    assert model(PackView(pack(), frame()), 802).values["Hb"] == 3

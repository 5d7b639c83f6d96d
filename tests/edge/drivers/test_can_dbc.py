"""A battery read by its makers' DBC file: here an excerpt of that of foxBMS 2."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cantools.database
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import CLOSED, Command
from cellwarden.edge.drivers.can_dbc import DbcProbe, SignalMap
from cellwarden.edge.drivers.line import BusFrame
from cellwarden.edge.drivers.memory import MemoryBus
from cellwarden.edge.drivers.polled import Layout
from cellwarden.errors import UnavailableError, UsageError
from edge.carried import VECTORS, charge_record

DBC = VECTORS / "foxbms_excerpt.dbc"
THEIRS = cantools.database.load_file(str(DBC))
SIGNALS = SignalMap(
    "foxBMS_batteryVoltage",
    "foxBMS_packCurrent",
    "cellVoltage_{:03d}",
    invalid="{}_invalidFlag",
)
LAYOUT = Layout(8, 0)


def probe(signals: SignalMap = SIGNALS, layout: Layout = LAYOUT) -> tuple[MemoryBus, DbcProbe]:
    bus = MemoryBus(1000.0)
    return bus, DbcProbe(bus, layout, DBC, signals, "discharge", period_second=0.1)


def sent(ampere: float, volt: float, cells: list[float], bad: int = -1) -> Iterator[BusFrame]:
    """What such a battery sends; its own sign, its own units."""
    told = {"foxBMS_packCurrent": ampere, "foxBMS_batteryVoltage": volt}
    told |= {"foxBMS_busVoltage": 0.0, "foxBMS_packPower": 0.0}
    yield BusFrame(546, bytes(THEIRS.encode_message(546, told)))
    for group in range(2):
        told = {"foxBMS_CellVoltages_Mux": float(group)}
        for place in range(4 * group, 4 * group + 4):
            told[f"cellVoltage_{place:03d}"] = round(1000 * cells[place])
            told[f"cellVoltage_{place:03d}_invalidFlag"] = float(place == bad)
        yield BusFrame(576, bytes(THEIRS.encode_message(576, told)))


def test_a_real_charge_is_positive_though_they_have_it_the_other_way_round() -> None:
    bus, dbc = probe()
    for ampere, shown in charge_record():
        cells = [float(shown.cell_voltage_volt[0])] * 8
        bus.say(sent(-shown.current_ampere, shown.voltage_volt, cells))
        got = dbc.sample()
        assert got.current_ampere == pytest.approx(shown.current_ampere, abs=0.006)
        assert np.sign(got.current_ampere) == np.sign(ampere)
        assert got.voltage_volt == pytest.approx(shown.voltage_volt, abs=0.051)
        assert got.cell_voltage_volt == pytest.approx(np.array(cells), abs=0.00051)


def test_a_cell_that_they_do_not_believe_is_a_gap() -> None:
    bus, dbc = probe()
    bus.say(sent(0.0, 29.6, [3.7] * 8, bad=5))
    assert list(np.isnan(dbc.sample().cell_voltage_volt)) == [k == 5 for k in range(8)]


def test_what_is_no_longer_heard_becomes_missing() -> None:
    bus, dbc = probe()
    bus.say(sent(1.0, 29.6, [3.7] * 8))
    assert np.isfinite(dbc.sample().voltage_volt)
    bus.unix_time_second += 3.0
    assert np.isnan(dbc.sample().voltage_volt)
    bus.unix_time_second += 5.0
    with pytest.raises(UnavailableError):
        dbc.sample()


@given(
    frames=st.lists(st.tuples(st.sampled_from([546, 576, 100]), st.binary(max_size=10)), max_size=6)
)
@settings(max_examples=100, deadline=None)
def test_random_frames_give_numbers_that_can_be_or_gaps(frames: list[tuple[int, bytes]]) -> None:
    bus, dbc = probe()
    bus.say(BusFrame(number, data) for number, data in frames)
    got = dbc.sample()
    wrong = sum(number != 100 and len(data) != 8 for number, data in frames)
    assert dbc.refused_count >= wrong
    cells = got.cell_voltage_volt
    assert np.all(np.isnan(cells) | (cells >= 0.0) & (cells <= 8.191))
    assert np.isnan(got.voltage_volt) or 0.0 <= got.voltage_volt <= 1638.3


def test_such_a_battery_is_only_read() -> None:
    bus, dbc = probe()
    with pytest.raises(UsageError, match="only read"):
        dbc.obey(Command(CLOSED, 1.0, 1.0))
    assert bus.sent == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"voltage": "nothing"}, "no signal 'nothing'"),
        ({"cells": "cellVoltage_{}"}, "and 7 others"),
        ({"cells": "cellVoltage_000"}, "one signal for all"),
        ({"cells": "cellVoltage_{x}"}, "names no signals"),
        ({"voltage": "foxBMS_packPower"}, "is in 'kW'"),
        ({"invalid": "{}_flag"}, "no flag 'cellVoltage_000_flag'"),
    ],
)
def test_names_that_do_not_fit_the_file_are_refused_in_words(
    changed: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        probe(replace(SIGNALS, **changed))


def test_more_cells_than_the_file_has_are_refused() -> None:
    with pytest.raises(UsageError, match="cellVoltage_008"):
        probe(layout=Layout(9, 0))


@pytest.mark.parametrize("text", [None, b"", b"BO_ nonsense", b"\xff\xfe"])
def test_a_file_that_is_no_dbc_is_refused(tmp_path: Path, text: bytes | None) -> None:
    path = tmp_path / "a.dbc"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(UsageError):
        DbcProbe(MemoryBus(), LAYOUT, path, SIGNALS, "charge")


def test_a_fault_in_the_file_counts_where_it_is_read_only(tmp_path: Path) -> None:
    text = DBC.read_text()
    double = "".join(
        f' SG_ {name} : {bit}|8@0+ (1,0) [0|255] "" Vector__XXX\n'
        for name, bit in (("x", 7), ("y", 5))
    )
    path = tmp_path / "a.dbc"
    path.write_text(f"{text}\nBO_ 99 other: 8 Vector__XXX\n{double}")
    DbcProbe(MemoryBus(), LAYOUT, path, SIGNALS, "charge")
    path.write_text(text.replace("BO_ 576", f"{double}\nBO_ 576"))
    with pytest.raises(UsageError, match="foxBMS_PackValues"):
        DbcProbe(MemoryBus(), LAYOUT, path, SIGNALS, "charge")

"""Packs and records that driver tests share, and ways to carry a frame over each protocol."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cellwarden.domain import CLOSED, Command, Frame, Pack, chemistry_named
from cellwarden.domain.cell import Cell, tiers
from cellwarden.edge.drivers.can_messages import encode_pack
from cellwarden.edge.drivers.can_probe import CanProbe
from cellwarden.edge.drivers.jbd import JbdProbe
from cellwarden.edge.drivers.memory import JbdBoard, MemoryBus, RegisterMap
from cellwarden.edge.drivers.modbus import SunSpecProbe
from cellwarden.edge.drivers.polled import Layout
from cellwarden.edge.outputs.registers import encode_map, powers_of
from cellwarden.edge.outputs.view import PackView

VECTORS = Path(__file__).parents[1] / "vectors" / "drivers"
CELLS, STRINGS = 14, 20


def pack(cells: int = CELLS, strings: int = STRINGS, name: str = "rack-1") -> Pack:
    chemistry = chemistry_named("NMC")
    return Pack(name, Cell(chemistry, 3.0, tiers(chemistry, 3.0)), cells, strings)


def frame(**changed: object) -> Frame:
    told: dict[str, object] = {
        "unix_time_second": 1_750_000_000.0,
        "voltage_volt": 51.234,
        "current_ampere": 12.3,
        "cell_voltage_volt": 3.65 + 0.001 * np.arange(CELLS),
        "cell_temperature_celsius": np.array([21.5, 28.0]),
    }
    return Frame(**{**told, **changed})  # type: ignore[arg-type]


def charge_record() -> list[tuple[float, Frame]]:
    """A real cell's discharge, rest and charge as a pack of such cells: its current and frames."""
    with (VECTORS / "lg_hg2_charge.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [
        (
            row["current_A"],
            frame(
                unix_time_second=1_750_000_000.0 + row["time_s"],
                voltage_volt=CELLS * row["voltage_V"],
                current_ampere=STRINGS * row["current_A"],
                cell_voltage_volt=np.full(CELLS, row["voltage_V"]),
                cell_temperature_celsius=np.full(2, row["temperature_C"]),
            ),
        )
        for row in rows
    ]


def over_can(shown: Frame) -> Frame:
    bus = MemoryBus(shown.unix_time_second)
    bus.say(encode_pack(shown, 1))
    layout = Layout(len(shown.cell_voltage_volt), len(shown.cell_temperature_celsius))
    return CanProbe(bus, layout, period_second=0.1).sample()


def over_jbd(shown: Frame) -> Frame:
    layout = Layout(len(shown.cell_voltage_volt), len(shown.cell_temperature_celsius))
    return JbdProbe(JbdBoard(shown), layout).sample()


def over_sunspec(shown: Frame) -> Frame:
    cells = len(shown.cell_voltage_volt)
    described = pack(cells)
    view = PackView(described, shown, command=Command(CLOSED, 10.0, 10.0), soc_fraction=0.5)
    data = encode_map(view, powers_of(described), 1)
    line = RegisterMap(data, unix_time_second=shown.unix_time_second)
    layout = Layout(cells, len(shown.cell_temperature_celsius))
    return SunSpecProbe(line, layout, "charge").sample()


# Name, way, and the steps of its current, voltage and cell voltage.
WAYS: list[tuple[str, Callable[[Frame], Frame], tuple[float, float, float]]] = [
    ("can", over_can, (0.001, 0.001, 0.0001)),
    ("jbd", over_jbd, (0.01, 0.01, 0.001)),
    ("sunspec", over_sunspec, (0.1, 0.01, 0.0001)),
]

"""What a battery can be connected by, and a look at what it shows."""

import contextlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Column, Table

from cellwarden.cli.home import Home
from cellwarden.domain import Frames
from cellwarden.edge.drivers import PolledDriver
from cellwarden.edge.source import open_source, read_source

__all__ = ["drivers_command", "look_command"]

# Name in source.toml or outputs.toml, what it is, what is written to it, sign there, protection,
# and the library that it needs.
_DRIVERS: Final = (
    ("record", "a battery file", "nothing", "told by the file", "-", ""),
    ("twin", "a pack made of equations", "commands", "positive charges", "-", ""),
    ("can", "our messages, cellwarden.dbc", "commands", "positive charges", "none", "can"),
    ("can, dbc", "a maker's DBC file", "nothing", "you must say", "none", "can"),
    ("modbus", "SunSpec 802 and 805", "nothing", "you must say", "mutual TLS", "pymodbus"),
    ("serial", "JBD boards", "nothing", "positive charges", "none", "serial"),
    ("replay", "what capture kept of these", "nothing", "as recorded", "-", ""),
)
_OUTPUTS: Final = (
    ("sunspec", "Modbus TCP server", "nothing", "positive charges", "mutual TLS", "pymodbus"),
    ("sparkplug", "MQTT, Sparkplug B", "rebirth", "positive charges", "mutual TLS", "paho"),
    ("home_assistant", "MQTT discovery", "nothing", "positive charges", "mutual TLS", "paho"),
    ("can", "our messages, or an inverter's", "nothing", "positive charges", "none", "can"),
)


def drivers_command() -> None:
    """Print what can be read, and to whom a battery can be shown."""
    console = Console()
    for title, rows in (("source.toml reads", _DRIVERS), ("outputs.toml shows", _OUTPUTS)):
        name = Column("name", no_wrap=True)
        table = Table(name, "what", "takes", "current", "secured by", "here", title=title)
        for *told, library in rows:
            there = not library or find_spec(library) is not None
            table.add_row(*told, "yes" if there else "install cellwarden[field]")
        console.print(table)
    console.print("How to connect: docs/drivers.md")


def look_command(home: Home, name: str, count: int) -> None:
    """Read some frames of a device and print them; nothing is sent or kept.

    Raises:
        Error: the device cannot be opened.
    """
    folder: Path = home.device(name)
    opened = open_source(read_source(folder), b"", folder)
    console = Console()
    console.print(f"{name}: {opened.note.source}. Positive current charges.")
    with contextlib.closing(opened):
        for _ in range(count):
            frames = opened.driver.read(1)
            if frames is None:
                break
            console.print(_line(frames))
    if isinstance(opened.driver, PolledDriver) and opened.driver.trouble is not None:
        driver = opened.driver
        console.print(
            f"refused {driver.refused_count}, silent {driver.silent_count}: {driver.trouble}"
        )
        console.print(f"  {driver.trouble.hint if driver.trouble else ''}")


def _line(frames: Frames) -> str:
    cells, heat = frames.cell_voltage_volt[-1], frames.cell_temperature_celsius[-1]
    shown = (
        (frames.voltage_volt[-1], "V", 2),
        (frames.current_ampere[-1], "A", 2),
        (_end(cells, np.min), "V lowest cell", 3),
        (_end(cells, np.max), "V highest", 3),
        (_end(heat, np.max), "°C hottest", 1),
    )
    moment = np.datetime64(round(1000 * frames.unix_time_second[-1]), "ms")
    return f"{moment}Z  " + "  ".join(_number(*one) for one in shown)


def _number(value: float, unit: str, digits: int) -> str:
    return f"{value:.{digits}f} {unit}" if np.isfinite(value) else f"no reading ({unit})"


def _end(column: np.ndarray, fold: Callable[[np.ndarray], float]) -> float:
    there = column[np.isfinite(column)]
    return float(fold(there)) if len(there) else float("nan")

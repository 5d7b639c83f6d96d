"""What is measured: one moment of a pack, a run of such moments, the record of one cell.

Rules
- NaN says that a sensor gave no reading; a column that is None says there is no such sensor.
- Times never decrease inside `Frames`; a `Series` keeps what the file says, faults included.
- Measured columns of `Frames` are float32 (24 bits: finer than any cell monitor), time float64;
  these very bits are what a device signs and what the store keeps.
"""

from dataclasses import dataclass, fields, replace
from html import escape
from typing import Final

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from cellwarden.domain.remark import Remark
from cellwarden.errors import DataError, RangeError

__all__ = ["FRAME_COLUMNS", "LIST_COLUMNS", "Frame", "Frames", "Series"]

LIST_COLUMNS: Final = ("cell_voltage_volt", "cell_temperature_celsius")
FRAME_COLUMNS: Final = (
    "unix_time_second",
    "voltage_volt",
    "current_ampere",
    "ambient_temperature_celsius",
    "humidity_fraction",
    "soc_fraction",
    "soc_std_fraction",
    *LIST_COLUMNS,
)
_ESTIMATED: Final = ("soc_fraction", "soc_std_fraction")


@dataclass(frozen=True, slots=True)
class Frame:
    """One pack at one moment, as its driver read it."""

    unix_time_second: float
    voltage_volt: float
    current_ampere: float
    cell_voltage_volt: Float[np.ndarray, " cell"]
    cell_temperature_celsius: Float[np.ndarray, " sensor"]
    ambient_temperature_celsius: float | None = None
    humidity_fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Frames:
    """A run of frames of one pack, column by column."""

    unix_time_second: Float64[np.ndarray, " time"]
    voltage_volt: Float32[np.ndarray, " time"]
    current_ampere: Float32[np.ndarray, " time"]
    cell_voltage_volt: Float32[np.ndarray, "time cell"]
    cell_temperature_celsius: Float32[np.ndarray, "time sensor"]
    ambient_temperature_celsius: Float32[np.ndarray, " time"] | None = None
    humidity_fraction: Float32[np.ndarray, " time"] | None = None
    soc_fraction: Float32[np.ndarray, " time"] | None = None
    soc_std_fraction: Float32[np.ndarray, " time"] | None = None

    def __post_init__(self) -> None:
        count = len(self.unix_time_second)
        for name, column in self.columns().items():
            if len(column) != count:
                raise DataError(
                    f"column {name} has {len(column)} rows, unix_time_second has {count}",
                    hint="Send every column of a batch with the same number of rows.",
                )
        if not np.all(np.isfinite(self.unix_time_second)):
            raise RangeError(
                "a time stamp is missing", hint="Give each frame the time it was read."
            )
        if np.any(np.diff(self.unix_time_second) < 0):
            raise RangeError("time runs backwards", hint="Sort the frames, or mend the clock.")

    def __len__(self) -> int:
        return len(self.unix_time_second)

    def columns(self) -> dict[str, np.ndarray]:
        """The columns that are there, by name, in the order of `FRAME_COLUMNS`."""
        found = {name: getattr(self, name) for name in FRAME_COLUMNS}
        return {name: column for name, column in found.items() if column is not None}

    def value_count(self) -> int:
        """Readings in this run; gaps and estimates do not count. [1]"""
        return sum(
            int(np.count_nonzero(np.isfinite(column)))
            for name, column in self.columns().items()
            if name != "unix_time_second" and name not in _ESTIMATED
        )

    def rows(self, start: int, stop: int) -> "Frames":
        """Rows `start` up to `stop` as views."""
        return replace(self, **{name: c[start:stop] for name, c in self.columns().items()})

    @staticmethod
    def stack(frames: "list[Frame]") -> "Frames":
        """Single frames as columns.

        Raises:
            DataError: the frames do not have the same number of cells or sensors.
        """
        if not frames:
            raise DataError("no frames to stack", hint="Read at least one frame first.")

        def scalar(name: str) -> Float32[np.ndarray, " time"] | None:
            values = [getattr(frame, name) for frame in frames]
            if all(value is None for value in values):
                return None
            return np.array([np.nan if v is None else v for v in values], dtype=np.float32)

        def grid(name: str) -> Float32[np.ndarray, "time item"]:
            rows = [np.asarray(getattr(frame, name), dtype=np.float32) for frame in frames]
            if len({row.shape for row in rows}) != 1:
                raise DataError(
                    f"{name} changes its length within a batch",
                    hint="Begin a new batch when a cell or a sensor is added.",
                )
            return np.stack(rows)

        voltage, current = scalar("voltage_volt"), scalar("current_ampere")
        assert voltage is not None  # noqa: S101  a frame always has both
        assert current is not None  # noqa: S101  likewise
        return Frames(
            unix_time_second=np.array([f.unix_time_second for f in frames], dtype=np.float64),
            voltage_volt=voltage,
            current_ampere=current,
            cell_voltage_volt=grid("cell_voltage_volt"),
            cell_temperature_celsius=grid("cell_temperature_celsius"),
            ambient_temperature_celsius=scalar("ambient_temperature_celsius"),
            humidity_fraction=scalar("humidity_fraction"),
        )


@dataclass(frozen=True, slots=True)
class Series:
    """The record of one cell in time: what a file or the store holds, columns named as in BDF.

    Positive current charges. `name` is the cell, `source` where the record came from, `remarks`
    what the reader noticed and left as it was.
    """

    name: str
    test_time_second: Float64[np.ndarray, " time"]
    voltage_volt: Float64[np.ndarray, " time"]
    current_ampere: Float64[np.ndarray, " time"]
    unix_time_second: Float64[np.ndarray, " time"] | None = None
    surface_temperature_celsius: Float64[np.ndarray, " time"] | None = None
    ambient_temperature_celsius: Float64[np.ndarray, " time"] | None = None
    cycle_count: Int64[np.ndarray, " time"] | None = None
    step_index: Int64[np.ndarray, " time"] | None = None
    charging_capacity_ah: Float64[np.ndarray, " time"] | None = None
    discharging_capacity_ah: Float64[np.ndarray, " time"] | None = None
    step_count: Int64[np.ndarray, " time"] | None = None
    charging_energy_wh: Float64[np.ndarray, " time"] | None = None
    discharging_energy_wh: Float64[np.ndarray, " time"] | None = None
    internal_resistance_ohm: Float64[np.ndarray, " time"] | None = None
    nominal_capacity_ah: float | None = None
    chemistry: str | None = None
    source: str = ""
    remarks: tuple[Remark, ...] = ()

    def __post_init__(self) -> None:
        for name, column in self.columns().items():
            if len(column) != len(self.test_time_second):
                raise DataError(
                    f"{self.name}: column {name} has {len(column)} rows,"
                    f" test_time_second has {len(self.test_time_second)}",
                    hint="Each column of a series has one row a time stamp.",
                )

    def __len__(self) -> int:
        return len(self.test_time_second)

    def columns(self) -> dict[str, np.ndarray]:
        """The columns that are there, by name."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}

    def __repr__(self) -> str:
        """One line: how long, how wide, how much to look at."""
        known = {name: (low, high) for name, low, high in self.ranges()}
        parts = [f"{len(self):,} rows"]
        if "test_time_second" in known:
            low, high = known["test_time_second"]
            parts.append(f"{(high - low) / 3600:,.4g} h")
        for name, unit in (("voltage_volt", "V"), ("current_ampere", "A")):
            if name in known:
                parts.append(f"{known[name][0]:.4g} to {known[name][1]:.4g} {unit}")
        parts.append(f"{len(self.remarks)} remark{'' if len(self.remarks) == 1 else 's'}")
        return f"<Series {self.name}: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        """The same as a small table, for notebooks."""
        rows = "".join(
            f"<tr><td>{title}</td><td>{low:.6g}</td><td>{high:.6g}</td></tr>"
            for title, low, high in self.ranges()
        )
        remarks = "".join(f"<li>{escape(str(remark))}</li>" for remark in self.remarks)
        return (
            f"<b>{escape(self.name)}</b>, {len(self):,} rows"
            f"<table><tr><th>column</th><th>lowest</th><th>highest</th></tr>{rows}</table>"
            f"<ul>{remarks}</ul>"
        )

    def ranges(self) -> list[tuple[str, float, float]]:
        """Name, lowest and highest reading of each column that has one."""
        return [
            (name, float(np.nanmin(column)), float(np.nanmax(column)))
            for name, column in self.columns().items()
            if np.any(np.isfinite(column))
        ]

    def frames(self, start_unix_time_second: float = 0.0) -> Frames:
        """The record as a one-cell pack would have sent it.

        Rows are put in order of time; where the file has no clock, it begins at
        `start_unix_time_second`.
        """
        time = self.unix_time_second
        if time is None:
            time = start_unix_time_second + self.test_time_second
        order = np.argsort(time, kind="stable")
        order = order[np.isfinite(time[order])]
        single = np.float32
        surface = self.surface_temperature_celsius
        ambient = self.ambient_temperature_celsius
        voltage = self.voltage_volt[order].astype(single)
        return Frames(
            unix_time_second=time[order],
            voltage_volt=voltage,
            current_ampere=self.current_ampere[order].astype(single),
            cell_voltage_volt=voltage[:, None],
            cell_temperature_celsius=(
                np.empty((len(order), 0), dtype=single)
                if surface is None
                else surface[order, None].astype(single)
            ),
            ambient_temperature_celsius=None if ambient is None else ambient[order].astype(single),
        )

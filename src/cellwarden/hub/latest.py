"""The newest of each device, kept in memory: a view of the fleet reads no samples."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Float32

from cellwarden.hub.rows import Accepted
from cellwarden.hub.store import Store

__all__ = ["Latest", "read_latest"]


@dataclass(frozen=True, slots=True)
class Latest:
    """What a device's last frame said; NaN is a sensor that gave no reading, or is not there."""

    device: str
    boot: int
    sequence: int
    batch_count: int
    frame_count: int
    received_unix_time_second: float
    sample_unix_time_second: float
    voltage_volt: float
    current_ampere: float
    soc_fraction: float
    soc_std_fraction: float
    cell_temperature_celsius: float
    cell_count: int

    @classmethod
    def after(cls, batch: Accepted, before: Self | None) -> Self:
        """With one more batch."""
        manifest, frames = batch.manifest, batch.frames
        return cls(
            device=manifest.device,
            boot=manifest.boot,
            sequence=manifest.sequence,
            batch_count=(before.batch_count if before else 0) + 1,
            frame_count=(before.frame_count if before else 0) + manifest.frame_count,
            received_unix_time_second=batch.received_unix_time_second,
            sample_unix_time_second=float(frames.unix_time_second[-1]),
            voltage_volt=float(frames.voltage_volt[-1]),
            current_ampere=float(frames.current_ampere[-1]),
            soc_fraction=_last(frames.soc_fraction),
            soc_std_fraction=_last(frames.soc_std_fraction),
            cell_temperature_celsius=_hottest(frames.cell_temperature_celsius[-1]),
            cell_count=frames.cell_voltage_volt.shape[1],
        )


def read_latest(store: Store, first_leaf: int = 0, stop_leaf: int = 1 << 62) -> dict[str, Latest]:
    """Of every device that has a batch among these leaves; counts are of these alone."""
    rows = store.rows(
        "SELECT device, boot, sequence, batch_count, all_frame_count, received_unix_time_second,"
        " unix_time_second, voltage_volt, current_ampere, soc_fraction, soc_std_fraction,"
        " cell_temperature_celsius, len(cell_voltage_volt)"
        " FROM (SELECT device, max(leaf_index) AS leaf_index, max(boot) AS boot,"
        "  max(sequence) AS sequence, count(*) AS batch_count,"
        "  sum(frame_count)::BIGINT AS all_frame_count,"
        "  arg_max(frame_count, leaf_index) - 1 AS frame_index,"
        "  arg_max(received_unix_time_second, leaf_index) AS received_unix_time_second"
        "  FROM batch WHERE leaf_index >= ? AND leaf_index < ? GROUP BY device) AS newest"
        " JOIN (SELECT * EXCLUDE (device) FROM sample WHERE leaf_index >= ? AND leaf_index < ?)"
        " AS last USING (leaf_index, frame_index)",
        [first_leaf, stop_leaf, first_leaf, stop_leaf],
    )
    return {row[0]: _latest(row) for row in rows}


def _latest(row: tuple[Any, ...]) -> Latest:
    *told, temperatures, cell_count = row
    known: list[Any] = [np.nan if value is None else value for value in told]
    known += [_hottest(np.array(temperatures, dtype=np.float32)), cell_count]
    return Latest(*known)


def _last(column: Float32[np.ndarray, " time"] | None) -> float:
    return float("nan") if column is None else float(column[-1])


def _hottest(row: Float32[np.ndarray, " sensor"]) -> float:
    known = row[np.isfinite(row)]
    return float(known.max()) if len(known) else float("nan")

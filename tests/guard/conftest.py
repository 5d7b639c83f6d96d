"""A healthy pack of eight cells, and frames of it in a gentle drive."""

from collections.abc import Callable

import numpy as np
import pytest

from cellwarden.domain import Cell, CellLimits, Chemistry, Frames, LimitTiers, Pack
from cellwarden.guard import Watch, inspect, merge, pending

Record = Callable[..., Frames]
Look = Callable[..., list]


def tier(volt: float, celsius: float, ampere: float) -> CellLimits:
    return CellLimits(
        low_voltage_volt=3.0 - volt,
        high_voltage_volt=4.2 + volt,
        low_charge_temperature_celsius=0.0 - celsius,
        high_charge_temperature_celsius=45.0 + celsius,
        low_discharge_temperature_celsius=-20.0 - celsius,
        high_discharge_temperature_celsius=60.0 + celsius,
        high_charge_current_ampere=50.0 + ampere,
        high_discharge_current_ampere=100.0 + ampere,
    )


@pytest.fixture
def pack() -> Pack:
    chemistry = Chemistry("any", 3.7, 3.0, 4.2, 0.0, 45.0, -20.0, 60.0, (0.0, 1.0), (3.0, 4.2), ())
    tiers = LimitTiers(tier(0, 0, 0), tier(0.1, 5, 10), tier(0.2, 10, 20))
    return Pack("trial", Cell(chemistry, 50.0, tiers), series_count=8)


@pytest.fixture
def record() -> Record:
    """Frames at 1 Hz: a swinging load, cells of unlike resistance, noise of a millivolt."""

    def make(count: int = 200, cells: int = 8, sensors: int = 4, seed: int = 0) -> Frames:
        rng = np.random.default_rng(seed)
        time = 1_000_000.0 + np.arange(count)
        current = 15 * np.sin(time / 7) + 5 * np.sin(time / 41) + rng.normal(0, 0.2, count)
        ohm = 0.002 * (1 + 0.1 * rng.normal(0, 1, max(cells, 1)))
        volt = 3.7 + current[:, None] * ohm + rng.normal(0, 0.001, (count, max(cells, 1)))
        volt = volt.astype(np.float32)
        heat = 25 + rng.normal(0, 0.05, (count, sensors))
        return Frames(
            unix_time_second=time,
            voltage_volt=volt.sum(axis=1) if cells else volt[:, 0] * 8,
            current_ampere=current.astype(np.float32),
            cell_voltage_volt=volt if cells else np.empty((count, 0), np.float32),
            cell_temperature_celsius=heat.astype(np.float32),
            ambient_temperature_celsius=np.full(count, 20, np.float32),
            humidity_fraction=np.full(count, 0.5, np.float32),
        )

    return make


@pytest.fixture
def look() -> Look:
    """All findings of a record that came in batches of a size."""

    def watch(frames: Frames, pack: Pack | None, batch: int = 60) -> list:
        state, told = Watch(), []
        for start in range(0, len(frames), batch):
            state, findings = inspect(frames.rows(start, start + batch), pack, state)
            told += findings
        return merge([*told, *pending(state)])

    return watch

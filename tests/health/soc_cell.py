"""A cell made of equations, for the tests of the filters: a circuit and drives of it."""

import numpy as np

from cellwarden.health.soc_identify import predict_volt
from cellwarden.health.soc_model import CellModel, Record


def cell_model(*, flat: bool = False) -> CellModel:
    """A 3 Ah cell; its resistances double at 0 °C."""
    soc = np.linspace(0.0, 1.0, 41)
    steep = 3.2 + 0.9 * soc - 0.4 * np.exp(-30.0 * soc)
    level = 3.3 + 0.02 * soc - 0.4 * np.exp(-30.0 * soc) + 0.1 * np.exp(-40.0 * (1.0 - soc))
    table = np.zeros((2, 41, 6))
    table[:, :, 0] = level if flat else steep
    for row, factor in enumerate((2.0, 1.0)):
        table[row, :, 1:5] = factor * np.array([0.02, 0.01, 0.012, 0.015])
    table[:, :, 5] = 0.01
    errors = np.array([0.01, 0.005])
    return CellModel(
        capacity_ah=3.0,
        table=table,
        knot_celsius=np.array([0.0, 25.0]),
        lag_second=np.array([3.0, 30.0, 400.0]),
        transfer_ampere=1.0,
        hysteresis_rate=20.0,
        drift_volt=errors,
        reading_volt=errors,
        drift_second=300.0,
        correlation_second=100.0,
        load_ampere=-1.0,
        load_std_ampere=0.5,
        widening=np.ones((2, 2)),
    )


def drive(
    model: CellModel, seed: int, *, celsius: float = 25.0, second_count: int = 5400
) -> Record:
    """A drive from full on: a mean load, and a new one every twenty seconds; noise of 1 mV."""
    rng = np.random.default_rng(seed)
    current = np.repeat(rng.normal(-1.2, 2.0, second_count // 20 + 1), 20)[:second_count]
    time = np.arange(second_count, dtype=np.float64)
    soc = np.clip(0.97 + np.cumsum(current) / 3600.0 / model.capacity_ah, 0.02, 1.0)
    blank = np.zeros(second_count)
    record = Record(time, blank, current, blank + celsius, soc)
    volts = predict_volt(model, record) + rng.normal(0.0, 0.001, second_count)
    return Record(time, volts, current, blank + celsius, soc)

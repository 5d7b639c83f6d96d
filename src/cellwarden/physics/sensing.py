"""What the twin's sensors show, and what load and air it meets; all by counters.

Rules
- Draws come in blocks of `BLOCK` steps from Philox keyed by seed and stream, its counter the
  block's number: step k gets the same draws whoever asks, whenever.
- Readings are disturbed by the sensor faults in the order in which the configuration names them.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from jaxtyping import Float32, Float64, Int64

from cellwarden.domain import Frames
from cellwarden.physics.config import TwinConfig
from cellwarden.physics.fault import disturb

__all__ = ["Readings", "air", "demand", "frames", "normal", "sense", "spread"]

BLOCK: Final = 64
_NOISE, _SPREAD, _LOAD = range(3)  # streams
_DAY: Final = 86_400.0
_WARMEST: Final = 15 * 3600.0  # the air is warmest at three in the afternoon, UTC
_SEGMENT_SECOND: Final = 10.0  # a driver changes his mind
_PACK_NOISE: Final = 5.0  # a pack's voltmeter has a wider range than a cell's


@dataclass(frozen=True, slots=True)
class Readings:
    """Columns of one stretch."""

    step: Int64[np.ndarray, " time"]
    voltage_volt: Float64[np.ndarray, "time 1"]
    current_ampere: Float64[np.ndarray, "time 1"]
    cell_voltage_volt: Float64[np.ndarray, "time cell"]
    cell_temperature_celsius: Float64[np.ndarray, "time cell"]
    ambient_temperature_celsius: Float64[np.ndarray, "time 1"] | None = None


@lru_cache(maxsize=512)
def _draws(seed: int, stream: int, block: int, width: int) -> Float32[np.ndarray, "step width"]:
    generator = np.random.Generator(
        np.random.Philox(
            key=np.array([seed % 2**64, stream], dtype=np.uint64),
            counter=np.array([0, 0, 0, block], dtype=np.uint64),
        )
    )
    drawn = generator.standard_normal((BLOCK, width), dtype=np.float32)
    drawn.flags.writeable = False
    return drawn


def normal(
    seed: int, stream: int, first: int, last: int, width: int
) -> Float32[np.ndarray, "step width"]:
    """Standard normal draws of the steps `first` up to and with `last`."""
    begin = first // BLOCK
    drawn = [_draws(seed, stream, block, width) for block in range(begin, last // BLOCK + 1)]
    return np.concatenate(drawn)[first - begin * BLOCK : last - begin * BLOCK + 1]


def spread(seed: int, cell_count: int) -> Float64[np.ndarray, "3 cell"]:
    """How each cell differs in capacity, resistance and charge, in standard deviations."""
    drawn = normal(seed, _SPREAD, 0, 2, cell_count).astype(np.float64)
    bounded: np.ndarray = np.clip(drawn, -3.0, 3.0)
    return bounded


def air(config: TwinConfig, test_time_second: np.ndarray) -> Float64[np.ndarray, " time"]:
    """Temperature around the pack, warm by day. [°C]"""
    wave = _day_wave(config, test_time_second)
    mean, swing = config.ambient_temperature_celsius, config.ambient_swing_celsius
    warm: np.ndarray = mean + swing * wave
    return warm


def _day_wave(config: TwinConfig, test_time_second: np.ndarray) -> np.ndarray:
    clock = config.start_unix_time_second % _DAY + test_time_second
    wave: np.ndarray = np.cos(2.0 * np.pi * (clock - _WARMEST) / _DAY)
    return wave


def demand(config: TwinConfig, step: Int64[np.ndarray, " time"]) -> np.ndarray:
    """The current that the load asks for; braking charges. [A]"""
    rate = config.discharge_rate
    if config.profile != "drive":
        return np.full(len(step), -rate * config.nominal_capacity_ah)
    segment = (step * config.period_second // _SEGMENT_SECOND).astype(np.int64)
    drawn = normal(config.seed, _LOAD, int(segment[0]), int(segment[-1]), 1)[:, 0]
    rates = np.clip(-0.35 * rate + 0.7 * rate * drawn.astype(np.float64), -2.5 * rate, 0.6 * rate)
    rates[np.abs(rates) < 0.1 * rate] = 0.0  # standing still
    asked: np.ndarray = rates[segment - segment[0]] * config.nominal_capacity_ah
    return asked


def sense(
    config: TwinConfig,
    true: Readings,
    air_celsius: np.ndarray,
    held: Float64[np.ndarray, "fault cell"],
) -> Readings:
    """The readings of a stretch: noise, then the faults of the sensors; `held` moves on."""
    cells = config.series_count
    first, last = int(true.step[0]), int(true.step[-1])
    noise = normal(config.seed, _NOISE, first, last, 3 + 2 * cells)
    volt, celsius = config.voltage_noise_volt, config.temperature_noise_celsius
    ampere = config.current_noise_fraction * config.nominal_capacity_ah
    shown = Readings(
        true.step,
        true.voltage_volt + _PACK_NOISE * volt * noise[:, 0:1],
        true.current_ampere + ampere * noise[:, 1:2],
        true.cell_voltage_volt + volt * noise[:, 3 : 3 + cells],
        true.cell_temperature_celsius + celsius * noise[:, 3 + cells :],
        air_celsius[:, None] + celsius * noise[:, 2:3],
    )
    time = true.step * config.period_second
    for index, fault in enumerate(config.faults):
        if fault.on_sensor and fault.active(first, config.period_second):
            column = getattr(shown, fault.signal)
            disturb(column, fault, time, held[index, : column.shape[1]])
    return shown


def frames(config: TwinConfig, pieces: list[Readings]) -> Frames:
    """Stretches as one run of frames."""

    def join(name: str) -> np.ndarray:
        return np.concatenate([getattr(piece, name) for piece in pieces])

    time = (join("step") + 1) * config.period_second
    single = np.float32
    return Frames(
        unix_time_second=config.start_unix_time_second + time,
        voltage_volt=join("voltage_volt")[:, 0].astype(single),
        current_ampere=join("current_ampere")[:, 0].astype(single),
        cell_voltage_volt=join("cell_voltage_volt").astype(single),
        cell_temperature_celsius=join("cell_temperature_celsius").astype(single),
        ambient_temperature_celsius=join("ambient_temperature_celsius")[:, 0].astype(single),
        humidity_fraction=(0.5 - 0.15 * _day_wave(config, time)).astype(single),
    )

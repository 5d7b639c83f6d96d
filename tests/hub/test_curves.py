"""Curves of a battery come from what is stored, oldest first, and of its mean cell."""

from collections.abc import Iterator

import numpy as np
import pytest

from cellwarden.domain import Frames
from cellwarden.hub.curves import read_curves
from cellwarden.hub.service import Hub
from hub.fleet import NOW, Clock, installation, open_hub

CAPACITY_AH = (1.0, 0.9, 0.8)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    running = open_hub(tmp_path_factory.mktemp("curves"), Clock())
    yield running
    running.close()


def cycled() -> Frames:
    """Three discharges and charges at 1 A, each shorter than the last, of two unequal cells."""
    volt, ampere = [4.0], [0.0]
    for capacity in CAPACITY_AH:
        share = np.linspace(0, 1, round(capacity * 60))
        for sign, middle in ((-1.0, 3.6), (1.0, 3.7)):
            volt += list(middle + sign * 0.5 * (share - 0.5) * 2)
            ampere += [sign] * len(share)
    mean = np.array(volt, dtype=np.float32)
    return Frames(
        unix_time_second=NOW + 60.0 * np.arange(len(volt)),
        voltage_volt=2 * mean,
        current_ampere=np.array(ampere, dtype=np.float32),
        cell_voltage_volt=np.column_stack([mean - 0.01, mean + 0.01]).astype(np.float32),
        cell_temperature_celsius=np.full((len(volt), 1), 25, dtype=np.float32),
    )


def _send(hub: Hub, device: str, frames: Frames) -> None:
    maker = installation().maker(device)
    ack, refusal = hub.ingest.submit([maker.next(frames).encode()], maker.peer).result(30)
    assert ack is not None, refusal


def test_each_discharge_is_a_curve_of_the_mean_cell_down_to_its_capacity(hub: Hub) -> None:
    frames = cycled()
    _send(hub, "cycled", frames)
    told = read_curves(hub.store, "cycled", "discharge")
    ends = [curve.charge_ah[-1] for curve in told.curves]
    assert ends == pytest.approx(CAPACITY_AH, abs=0.02)
    for curve in told.curves:
        assert curve.voltage_volt[-1] == pytest.approx(3.1, abs=0.02)
        assert np.all(np.diff(curve.charge_ah) > 0)
        # 1 V is passed over the whole, so each volt holds the capacity.
        assert np.median(curve.slope_ah_per_volt) == pytest.approx(curve.charge_ah[-1], rel=0.1)
    assert told.smoothed_volt is not None


def test_charges_are_told_apart_from_discharges(hub: Hub) -> None:
    if "cycled" not in hub.ingest.latest:
        _send(hub, "cycled", cycled())
    told = read_curves(hub.store, "cycled", "charge")
    assert all(curve.voltage_volt[-1] > curve.voltage_volt[0] for curve in told.curves)


def test_a_battery_at_rest_has_no_curve(hub: Hub) -> None:
    resting = cycled()
    still = Frames(
        unix_time_second=resting.unix_time_second,
        voltage_volt=np.full(len(resting), 7.2, dtype=np.float32),
        current_ampere=np.zeros(len(resting), dtype=np.float32),
        cell_voltage_volt=np.full((len(resting), 2), 3.6, dtype=np.float32),
        cell_temperature_celsius=resting.cell_temperature_celsius,
    )
    _send(hub, "resting", still)
    assert read_curves(hub.store, "resting", "discharge").curves == []


def test_a_battery_that_nobody_knows_has_none_either(hub: Hub) -> None:
    assert read_curves(hub.store, "nobody", "charge").curves == []

import numpy as np
import pytest

from cellwarden.domain import Frames
from cellwarden.errors import UsageError
from cellwarden.features.response import ANSWERS, answer_edges, find_edges, open_tail

OHM = np.array([0.010, 0.011, 0.013])
SLOW_OHM = np.array([0.004, 0.005, 0.006])
TAU = 8.0


def pulses(*, ripple: float = 0.0, lost: bool = False) -> Frames:
    """Load on for 30 s, off for 60 s, four times, of cells with known resistances."""
    time = np.arange(0.0, 360.0)
    ampere = np.where(time % 90.0 < 30.0, -20.0, 0.0)
    ampere[0] = 0.0
    state = np.zeros(3)
    volts = np.empty((len(time), 3))
    for row, now in enumerate(ampere):
        volts[row] = 3.7 + now * OHM + state
        state = state * np.exp(-1.0 / TAU) + now * SLOW_OHM * (1.0 - np.exp(-1.0 / TAU))
    ampere = ampere + ripple * np.sin(time)
    if lost:
        volts[100:, 1] = np.nan
    return Frames(
        1e9 + time,
        volts.sum(axis=1).astype(np.float32),
        ampere.astype(np.float32),
        volts.astype(np.float32),
        np.empty((len(time), 0), dtype=np.float32),
    )


def test_known_resistances_are_found() -> None:
    found = answer_edges(pulses(), edge_ampere=10.0, hold_second=20.0)
    assert found is not None
    assert found.log_ohm.shape == (3, len(ANSWERS))
    ohm = np.exp(found.log_ohm)
    reached = 1.0 - np.exp(-20.0 / TAU)
    np.testing.assert_allclose(ohm[:, 0], OHM, rtol=0.002)
    np.testing.assert_allclose(ohm[:, 1], SLOW_OHM * reached, rtol=0.01)
    np.testing.assert_allclose(ohm[:, 3], SLOW_OHM * reached, rtol=0.05)
    assert found.edge_count.tolist() == [4, 4, 4, 4]


def test_a_current_that_does_not_hold_is_no_edge() -> None:
    assert answer_edges(pulses(ripple=4.0), edge_ampere=10.0, hold_second=20.0) is None


def test_a_cell_that_falls_silent_keeps_what_it_had_said() -> None:
    found = answer_edges(pulses(lost=True), edge_ampere=10.0, hold_second=20.0)
    assert found is not None
    assert np.all(np.isfinite(found.log_ohm))
    whole = answer_edges(pulses(), edge_ampere=10.0, hold_second=20.0)
    assert whole is not None
    np.testing.assert_allclose(found.log_ohm[[0, 2]], whole.log_ohm[[0, 2]])


def test_no_edge_is_no_answer_and_a_wrong_call_is_refused() -> None:
    assert answer_edges(pulses(), edge_ampere=50.0) is None
    with pytest.raises(UsageError):
        answer_edges(pulses(), edge_ampere=0.0)


@pytest.mark.parametrize("cut", [1, 7, 60, 95, 200])
def test_edges_in_pieces_are_the_edges_of_the_whole(cut: int) -> None:
    frames = pulses()
    whole = find_edges(frames, edge_ampere=10.0, hold_second=20.0)
    assert len(whole.loaded) == 8
    tail, found = frames.rows(0, 0), []
    for start in range(0, len(frames), cut):
        first = start - len(tail)
        piece = frames.rows(first, start + cut)
        tail = open_tail(piece, 20.0)
        assert len(tail) <= 22
        found.append(find_edges(piece, edge_ampere=10.0, hold_second=20.0))
    assert np.concatenate([piece.loaded for piece in found]).tolist() == whole.loaded.tolist()
    np.testing.assert_array_equal(np.concatenate([piece.ohm for piece in found]), whole.ohm)


def test_an_edge_that_nobody_watched_to_its_end_does_not_count() -> None:
    frames = pulses()
    kept = (frames.unix_time_second < 1e9 + 95.0) | (frames.unix_time_second > 1e9 + 115.0)
    gap = Frames(
        frames.unix_time_second[kept],
        frames.voltage_volt[kept],
        frames.current_ampere[kept],
        frames.cell_voltage_volt[kept],
        frames.cell_temperature_celsius[kept],
    )
    whole = find_edges(frames, edge_ampere=10.0, hold_second=15.0)
    assert len(find_edges(gap, edge_ampere=10.0, hold_second=15.0).loaded) == len(whole.loaded) - 1

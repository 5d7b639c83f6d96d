import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cellwarden.domain import CHEMISTRIES, Cell, Frames, Pack, tiers
from cellwarden.health import charge

LENGTH, CELLS = 40, 3


def pack_of(chemistry: str) -> Pack:
    kind = CHEMISTRIES[chemistry]
    return Pack("p", Cell(kind, 3.0, tiers(kind, 3.0)), CELLS)


def grid(low: float, high: float, *shape: int) -> st.SearchStrategy[np.ndarray]:
    elements = st.one_of(st.floats(low, high, width=32), st.just(float("nan")))
    return npst.arrays(np.float32, shape, elements=elements)


@st.composite
def telemetry(draw: st.DrawFn) -> Frames:
    """Anything that a pack, or a fault, can send."""
    steps = draw(
        npst.arrays(np.float64, LENGTH, elements=st.sampled_from([0.0, 0.1, 1.0, 60.0, 1e5]))
    )
    return Frames(
        np.cumsum(steps),
        np.full(LENGTH, np.nan, dtype=np.float32),
        draw(grid(-1000.0, 1000.0, LENGTH)),
        draw(grid(-10.0, 10.0, LENGTH, CELLS)),
        draw(grid(-90.0, 1200.0, LENGTH, CELLS)),
    )


KINDS = st.sampled_from(sorted(CHEMISTRIES))


@settings(max_examples=60, deadline=None)
@given(frames=telemetry(), chemistry=KINDS)
def test_charge_stays_in_0_to_1_and_doubt_stays_finite_whatever_comes(
    frames: Frames, chemistry: str
) -> None:
    pack = pack_of(chemistry)
    state, charges = charge.run(charge.init(pack), frames, pack)
    assert np.all((charges.soc_fraction >= 0.0) & (charges.soc_fraction <= 1.0))
    assert np.all((charges.soc_std_fraction > 0.0) & (charges.soc_std_fraction <= 0.3 + 1e-12))
    assert np.all(charges.innovation_std_volt > 0.0)
    assert np.all(np.isfinite(state.cells))
    there = np.isfinite(frames.cell_voltage_volt)
    assert np.array_equal(np.isfinite(charges.innovation_volt), there)


@settings(max_examples=40, deadline=None)
@given(frames=telemetry(), chemistry=KINDS, cuts=st.sets(st.integers(1, LENGTH - 1), max_size=4))
def test_resumed_is_uninterrupted_to_the_bit(
    frames: Frames, chemistry: str, cuts: set[int]
) -> None:
    pack = pack_of(chemistry)
    whole, charges = charge.run(charge.init(pack), frames, pack)
    state, socs = charge.init(pack), []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), LENGTH], strict=True):
        state, part = charge.run(state, frames.rows(begin, end), pack)
        socs.append(part.soc_fraction)
    assert np.array_equal(np.concatenate(socs), charges.soc_fraction)
    assert np.array_equal(state.cells, whole.cells)
    assert np.array_equal(state.clock, whole.clock)


@settings(max_examples=40, deadline=None)
@given(frames=telemetry(), chemistry=KINDS)
def test_input_and_state_are_left_alone(frames: Frames, chemistry: str) -> None:
    pack = pack_of(chemistry)
    state = charge.init(pack)
    before = {name: column.copy() for name, column in frames.columns().items()}
    cells, clock = state.cells.copy(), state.clock.copy()
    charge.run(state, frames, pack)
    assert np.array_equal(state.cells, cells)
    assert np.array_equal(state.clock, clock, equal_nan=True)
    for name, column in frames.columns().items():
        assert np.array_equal(column, before[name], equal_nan=True)


@settings(max_examples=40, deadline=None)
@given(frames=telemetry(), cell=st.integers(0, CELLS - 1))
def test_a_cell_is_judged_by_its_own_voltage_only(frames: Frames, cell: int) -> None:
    pack = pack_of("NMC")
    _, charges = charge.run(charge.init(pack), frames, pack)
    lone = Pack("p", pack.cell, 1)
    alone = Frames(
        frames.unix_time_second,
        frames.voltage_volt,
        frames.current_ampere,
        frames.cell_voltage_volt[:, cell : cell + 1],
        frames.cell_temperature_celsius[:, cell : cell + 1],
    )
    _, one = charge.run(charge.init(lone), alone, lone)
    assert np.array_equal(one.soc_fraction[:, 0], charges.soc_fraction[:, cell])


@given(st.floats(0.0, 1.0))
def test_a_silent_pack_keeps_the_charge_it_was_told(soc: float) -> None:
    pack = pack_of("LFP")
    nothing = np.full((LENGTH, CELLS), np.nan, dtype=np.float32)
    zero = np.zeros(LENGTH, dtype=np.float32)
    frames = Frames(np.arange(LENGTH, dtype=np.float64), zero, zero, nothing, nothing)
    _, charges = charge.run(charge.init(pack, soc), frames, pack)
    assert charges.soc_fraction[-1] == pytest.approx([soc] * CELLS)

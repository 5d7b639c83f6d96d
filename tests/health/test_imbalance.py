import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.domain import NotServed, chemistry_named
from cellwarden.errors import DataError
from cellwarden.health.imbalance import Loss, find_rests, loss_of_pack, split_loss
from cellwarden.physics import Fault, FaultKind, Truth, Twin, TwinConfig

NOMINAL_AH = 3.0
capacities = st.lists(st.floats(0.1, 5.0), min_size=1, max_size=12)


def charges(count: int) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(0.0, 1.0), min_size=count, max_size=count)


packs = capacities.flatmap(lambda sizes: st.tuples(st.just(sizes), charges(len(sizes))))


@given(packs)
def test_the_parts_of_the_loss_add_up(pack: tuple[list[float], list[float]]) -> None:
    told = split_loss(np.array(pack[0]), np.array(pack[1]), NOMINAL_AH)
    lost = NOMINAL_AH - told.usable_ah
    assert told.ageing_loss_ah + told.imbalance_loss_ah == pytest.approx(lost, abs=1e-9)
    assert told.imbalance_loss_ah >= 0
    assert -1e-12 <= told.usable_ah <= min(pack[0])


@given(capacities, st.floats(0.0, 1.0))
def test_a_balanced_pack_has_lost_nothing_to_imbalance(sizes: list[float], soc: float) -> None:
    told = split_loss(np.array(sizes), np.full(len(sizes), soc), NOMINAL_AH)
    assert told.recoverable_ah == pytest.approx(0, abs=1e-9)
    assert told.usable_ah == pytest.approx(min(sizes))


@given(packs, st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_step_toward_balance_can_only_help(
    pack: tuple[list[float], list[float]], toward: float, step: float
) -> None:
    size, soc = np.array(pack[0]), np.array(pack[1])
    before = split_loss(size, soc, NOMINAL_AH)
    after = split_loss(size, np.clip(soc + step * (toward - soc), 0, 1), NOMINAL_AH)
    assert after.usable_ah >= before.usable_ah - 1e-9
    assert after.ageing_loss_ah == pytest.approx(before.ageing_loss_ah)


@given(packs, st.data())
def test_neither_the_order_of_cells_nor_other_packs_change_the_loss(
    pack: tuple[list[float], list[float]], data: st.DataObject
) -> None:
    order = np.array(data.draw(st.permutations(range(len(pack[0])))), dtype=np.int64)
    size, soc = np.array(pack[0]), np.array(pack[1])
    alone = split_loss(size, soc, NOMINAL_AH)
    both = split_loss(np.stack([size[order], size]), np.stack([soc[order], soc]), NOMINAL_AH)
    assert both.usable_ah == pytest.approx(np.full(2, float(alone.usable_ah)))


def test_imbalance_costs_what_the_fullest_and_the_emptiest_cell_leave_unused() -> None:
    told = split_loss(np.array([2.5, 2.5, 2.4]), np.array([1.0, 0.9, 1.0]), 3.0)
    assert told.usable_ah == pytest.approx(2.25)
    assert told.ageing_loss_ah == pytest.approx(0.6)
    assert told.recoverable_ah == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("size", "soc"),
    [([], []), ([1.0], [0.5, 0.5]), ([0.0], [0.5]), ([1.0], [1.1]), ([np.nan], [0.5])],
)
def test_cells_that_cannot_be_are_refused(size: list[float], soc: list[float]) -> None:
    with pytest.raises(DataError):
        split_loss(np.array(size), np.array(soc), NOMINAL_AH)


def simulated(chemistry: str, size: float, hours: float = 24) -> tuple[Loss | NotServed, Truth]:
    """Loss as told from the twin's telemetry, noise included, and what the cells are."""
    fault = (Fault(FaultKind.IMBALANCE, 3600.0, size, 2),) if size else ()
    config = TwinConfig(
        "p", chemistry=chemistry, series_count=8, duration_second=hours * 3600, period_second=10.0,
        seed=3, soh_fraction=0.9, faults=fault,
    )  # fmt: skip
    twin = Twin(config)
    frames = twin.read(config.frame_count)
    assert frames is not None
    told = loss_of_pack(
        frames.unix_time_second,
        frames.current_ampere.astype(np.float64),
        frames.cell_voltage_volt.astype(np.float64),
        chemistry_named(chemistry),
        NOMINAL_AH,
    )
    return told, twin.truth()


@pytest.mark.parametrize("size", [0.0, 0.05, 0.1])
def test_an_imbalance_of_the_twin_is_told_from_its_telemetry_apart_from_ageing(
    size: float,
) -> None:
    told, cells = simulated("NMC", size)
    true = split_loss(cells.capacity_ah, np.clip(cells.soc_fraction, 0, 1), NOMINAL_AH)
    assert isinstance(told, Loss)
    assert told.ageing_loss_ah == pytest.approx(true.ageing_loss_ah, abs=0.01)
    assert told.imbalance_loss_ah == pytest.approx(true.imbalance_loss_ah, abs=0.02)
    assert (told.recoverable_ah > 0.05) == (size > 0)


def test_a_flat_curve_and_a_record_without_deep_cycles_are_not_served() -> None:
    flat, _ = simulated("LFP", 0.1)
    short, _ = simulated("NMC", 0.1, hours=1)
    assert isinstance(flat, NotServed)
    assert "flat" in flat.reason
    assert isinstance(short, NotServed)
    assert "rests" in short.reason


def test_a_rest_at_which_a_cell_has_no_reading_does_not_count() -> None:
    time = np.arange(0.0, 4000.0, 10.0)
    volts = np.full((400, 3), 3.7)
    current = np.where(time < 1000, -1.0, 0.0)
    args = (chemistry_named("NMC"), NOMINAL_AH)
    assert len(find_rests(time, current, volts, *args).row) == 1
    volts[-1, 1] = np.nan
    assert len(find_rests(time, current, volts, *args).row) == 0

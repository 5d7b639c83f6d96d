import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cellwarden.control.balance import Balanced, Balancing, step
from cellwarden.control.balance_memory import pack_state, unpack_state
from cellwarden.domain import Condition
from cellwarden.errors import DecodeError
from control.scene import charge_of, pack_of, reading_of

COLUMN = npst.arrays(np.float64, 4, elements=st.floats(-5.0, 5.0))


@given(COLUMN, COLUMN, COLUMN, st.floats(0.0, 100.0))
def test_debts_come_back_from_their_bytes(
    debt: np.ndarray, std: np.ndarray, unseen: np.ndarray, moved: float
) -> None:
    back = unpack_state(pack_state(Balanced(debt, std, unseen, 7.0, moved_ah=moved)), 4)
    assert np.array_equal(back.debt_ah, debt)
    assert np.array_equal(back.std_ah, std)
    assert np.array_equal(back.unseen_ah, unseen)
    assert back.moved_ah == moved
    assert np.isnan(back.clock_second)


@given(st.binary(max_size=80))
def test_bytes_that_are_no_debts_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        unpack_state(data, 4)


@given(COLUMN, st.data())
def test_a_flipped_bit_is_refused_or_leaves_finite_debts(
    debt: np.ndarray, data: st.DataObject
) -> None:
    packed = bytearray(pack_state(Balanced(debt, np.zeros(4), np.zeros(4))))
    at = data.draw(st.integers(0, 8 * len(packed) - 1))
    packed[at // 8] ^= 1 << at % 8
    try:
        back = unpack_state(bytes(packed), 4)
    except DecodeError:
        return
    assert np.isfinite(back.debt_ah).all()


def test_debts_of_another_pack_are_refused() -> None:
    with pytest.raises(DecodeError, match="this pack"):
        unpack_state(pack_state(Balanced.begin(5)), 4)


def test_a_pack_that_is_switched_off_while_it_levels_gives_no_more_than_its_excess() -> None:
    """The estimate never notices; the pack is switched off every hour."""
    how, known = Balancing(pack_of()), Condition(np.full(4, 50.0), np.ones(4), np.full(4, 0.05))
    state, clock = Balanced.begin(4), 0.0
    for index in range(int(12 * 3600 / 2)):
        if index % 1800 == 0:
            state, clock = unpack_state(pack_state(state), 4), 0.0
        told = charge_of([0.9, 0.91, 0.9, 0.9], clock, std=0.001)
        reading = reading_of([4.0] * 4, clock, ampere=5.0)
        state, _ = step(how, state, reading, told, known, allowed=True)
        clock += 2.0
    assert state.moved_ah == pytest.approx(0.5, rel=0.03)

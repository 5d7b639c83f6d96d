from dataclasses import replace

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.control.charge_settings import (
    Charged,
    Phase,
    Stage,
    charging_of,
    pack_state,
    unpack_state,
)
from cellwarden.domain import CHEMISTRIES
from cellwarden.errors import DecodeError, UsageError
from control.scene import pack_of

TIMES = st.floats(0.0, 1e6)
STATES = st.builds(
    Charged, st.sampled_from(Phase), st.integers(0, 9), TIMES, TIMES, TIMES, TIMES,
    st.text(max_size=20), TIMES,
)  # fmt: skip


@given(STATES, st.floats(0.0, 1e9))
def test_a_state_comes_back_from_its_bytes_without_the_clock(state: Charged, clock: float) -> None:
    back = unpack_state(pack_state(replace(state, clock_second=clock)))
    assert repr(replace(back, clock_second=0.0)) == repr(replace(state, clock_second=0.0))
    assert back.clock_second != back.clock_second


@given(st.binary(max_size=60))
def test_bytes_that_are_no_state_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        unpack_state(data)


@given(STATES, st.data())
def test_a_flipped_bit_is_refused_or_still_a_state(state: Charged, data: st.DataObject) -> None:
    packed = bytearray(pack_state(state))
    at = data.draw(st.integers(0, 8 * len(packed) - 1))
    packed[at // 8] ^= 1 << at % 8
    try:
        back = unpack_state(bytes(packed))
    except DecodeError:
        return
    assert back.phase in Phase
    assert back.elapsed_second >= 0.0


@pytest.mark.parametrize(
    "fields",
    [
        [1, "bulk", 0, -1.0, 0.0, 0.0, 0.0, "", 0.0],
        [1, "bulk", 0, float("nan"), 0.0, 0.0, 0.0, "", 0.0],
        [2, "bulk", 0, 0.0, 0.0, 0.0, 0.0, "", 0.0],
        [1, "flying", 0, 0.0, 0.0, 0.0, 0.0, "", 0.0],
        {"phase": "bulk"},
    ],
)
def test_a_state_of_nonsense_is_refused(fields: object) -> None:
    with pytest.raises(DecodeError):
        unpack_state(cbor2.dumps(fields))


@pytest.mark.parametrize("kind", sorted(CHEMISTRIES))
def test_a_charge_goes_up_to_the_window_of_the_chemistry(kind: str) -> None:
    gentle, plain = charging_of(pack_of(kind)), charging_of(pack_of(kind), "stages")
    assert gentle.high_volt == CHEMISTRIES[kind].high_voltage_volt
    assert gentle.plates is (kind != "LTO")
    assert plain.stages[0].rate_per_hour == pytest.approx(0.5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"stages": ()},
        {"stages": (Stage(4.2, 0.5), Stage(4.1, 0.5))},
        {"stages": (Stage(4.1, 0.5),)},
        {"stages": (Stage(4.2, 0.0),)},
        {"refuse_volt": 3.0},
        {"target_fraction": 0.0},
    ],
)
def test_a_charge_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        replace(charging_of(pack_of()), **wrong)  # type: ignore[arg-type]

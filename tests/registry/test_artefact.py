from dataclasses import replace

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import NotServed
from cellwarden.errors import DecodeError, SealError
from cellwarden.health.life import LifeFit
from cellwarden.registry import decode, digest, encode, load, load_card

MODEL, CARD = load(), load_card()
CONTENT = encode(MODEL, CARD)


def test_a_model_and_its_card_come_back_as_they_were() -> None:
    model, card = decode(CONTENT, digest(CONTENT))
    assert card == CARD
    assert model.full.curve.weights.tolist() == MODEL.full.curve.weights.tolist()
    assert model.full.limits == MODEL.full.limits
    assert (model.marks, model.life, model.nominal) == (MODEL.marks, MODEL.life, MODEL.nominal)
    assert sorted(model.folds) == sorted(MODEL.folds)
    assert encode(model, card) == CONTENT


def test_a_calibrated_life_comes_back_too() -> None:
    content = encode(replace(MODEL, life=LifeFit(2.5, 0.8)), CARD)
    assert decode(content, digest(content))[0].life == LifeFit(2.5, 0.8)
    refused = encode(replace(MODEL, life=NotServed("why")), CARD)
    assert decode(refused, digest(refused))[0].life == NotServed("why")


def test_the_file_is_small() -> None:
    assert len(CONTENT) < 1_000_000


@given(st.integers(0, len(CONTENT) - 1), st.integers(0, 7))
def test_any_flipped_bit_is_refused(at: int, bit: int) -> None:
    altered = bytearray(CONTENT)
    altered[at] ^= 1 << bit
    with pytest.raises(SealError):
        decode(bytes(altered), digest(CONTENT))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.integers(0, len(CONTENT)).map(lambda n: CONTENT[:n]))
def test_bytes_that_are_no_model_give_one_kind_of_error(content: bytes) -> None:
    if content == CONTENT:
        return
    with pytest.raises(DecodeError):
        decode(content, digest(content))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_model_with_a_part_missing_or_of_another_kind_gives_one_kind_of_error(
    data: st.DataObject,
) -> None:
    value = cbor2.loads(CONTENT)
    place = value
    for _ in range(data.draw(st.integers(0, 2))):
        inner = [key for key in place if isinstance(place[key], dict)]
        if inner:
            place = place[data.draw(st.sampled_from(sorted(inner)))]
    key = data.draw(st.sampled_from(sorted(place)))
    if data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = None  # nothing in a model is empty
    content = cbor2.dumps(value)
    with pytest.raises(DecodeError):
        decode(content, digest(content))


def test_an_array_that_is_not_finite_is_refused() -> None:
    value = cbor2.loads(CONTENT)
    weights = np.frombuffer(value["full"]["weights"]["data"], dtype="<f8").copy()
    weights[3] = np.nan
    value["full"]["weights"]["data"] = weights.tobytes()
    content = cbor2.dumps(value)
    with pytest.raises(DecodeError, match="not finite"):
        decode(content, digest(content))

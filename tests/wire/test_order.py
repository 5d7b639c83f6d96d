"""Orders have one encoding, and whatever else comes is no order."""

from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import Curb, Plan, Request
from cellwarden.errors import DataError, DecodeError
from cellwarden.trust.envelope import from_cbor, sign, to_cbor
from cellwarden.trust.identity import thumbprint
from cellwarden.wire.order import (
    LONGEST_ORDER_BYTES,
    ORDER_TYPE,
    Delivery,
    Order,
    Post,
    Wish,
    decode_post,
    decode_seen,
    encode_post,
    encode_seen,
    open_order,
    sign_order,
)
from trust.making import NOW
from wire.orders import DEVICE, HOUR, order, signer

PLAN = Plan(DEVICE, NOW + HOUR * np.arange(3), np.array([1.0, 0.0, 2.0]), np.zeros(3))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("limits", Curb()),
        ("limits", Curb(1.0, 2.0, 0.1, 0.9)),
        ("limits", Curb(inf, 2.0)),
        ("request", Wish(None)),
        ("request", Wish(Request.STANDBY)),
    ],
)
def test_an_order_comes_back_as_it_was_signed(kind: str, body: Any) -> None:
    by = signer()
    told = order(body=body)
    signed, back = open_order(sign_order(told, by.key, by.certificate))
    signed.verify(by.certificate.public_key())  # type: ignore[arg-type]
    assert back == told
    assert back.kind == kind


def test_a_plan_comes_back_as_it_was_signed() -> None:
    back = Order.decode(order(body=PLAN).payload())
    assert isinstance(back.body, Plan)
    assert back.kind == "plan"
    for name in ("start_unix_time_second", "charge_watt", "discharge_watt"):
        np.testing.assert_array_equal(getattr(back.body, name), getattr(PLAN, name))
    assert back.body.device == DEVICE


def changed(**more: Any) -> bytes:
    told = from_cbor(order().payload(), "the order") | more
    return to_cbor({name: value for name, value in told.items() if value is not Ellipsis})


@pytest.mark.parametrize(
    "payload",
    [
        changed(device="two words"),
        changed(device=7),
        changed(sequence=0),
        changed(sequence=1 << 53),
        changed(sequence=True),
        changed(expires_unix_time_second=inf),
        changed(expires_unix_time_second=1),
        changed(model_digest="AB" * 32),
        changed(model_digest="ab"),
        changed(actor="x" * 201),
        changed(limits=...),
        changed(request="standby"),
        changed(limits=..., request="dance"),
        changed(limits={"high_charge_current_ampere": -1.0}),
        changed(limits={"high_charge_current_ampere": inf}),
        changed(limits={"high_charge_current_ampere": float("nan")}),
        changed(limits={"high_charge_current_ampere": 1}),
        changed(limits={"low_soc_fraction": 0.0}),
        changed(limits={"low_soc_fraction": 0.9, "high_soc_fraction": 0.1}),
        changed(limits={"charge": 1.0}),
        changed(limits=..., plan=[[NOW], [1.0], []]),
        changed(limits=..., plan=[[NOW, NOW], [1.0, 1.0], [0.0, 0.0]]),
        changed(limits=..., plan=[[NOW], [-1.0], [0.0]]),
        changed(limits=..., plan=[[float(n) for n in range(700)]] * 3),
        changed(extra=1),
        to_cbor([]),
        b"",
    ],
)
def test_what_is_no_order_is_refused(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        Order.decode(payload)


def test_an_order_of_another_type_or_too_long_is_refused() -> None:
    by = signer()
    mark = thumbprint(by.certificate)
    for kind, payload in (
        ("application/other", order().payload()),
        (ORDER_TYPE, bytes(LONGEST_ORDER_BYTES)),
    ):
        encoded = sign(payload, by.key, content_type=kind, thumbprint=mark)
        with pytest.raises(DecodeError):
            open_order(encoded)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_random_bytes_give_a_data_error_and_nothing_else(data: bytes) -> None:
    for hear in (open_order, decode_post, decode_seen, Order.decode):
        with pytest.raises(DataError):
            hear(data if data != b"\xa0" else b"")


def test_a_post_and_what_was_seen_come_back() -> None:
    post = Post(NOW, (Delivery(b"order", b"certificate"),), b"list")
    assert decode_post(encode_post(post)) == post
    seen = {"spiffe://x/hub/a": 7}
    assert decode_seen(encode_seen(seen)) == seen


@pytest.mark.parametrize(
    "told",
    [
        {"hub_unix_time_second": 1, "orders": [], "revoked": b""},
        {"hub_unix_time_second": 1.0, "orders": [[b""]], "revoked": b""},
        {"hub_unix_time_second": 1.0, "orders": [], "revoked": b"", "more": 1},
        {"hub_unix_time_second": inf, "orders": [], "revoked": b""},
    ],
)
def test_what_is_no_post_is_refused(told: object) -> None:
    with pytest.raises(DecodeError):
        decode_post(to_cbor(told))


@pytest.mark.parametrize("told", [[], {1: 1}, {"a": -1}, {"a": True}, {"a": 1.0}])
def test_what_is_no_request_for_orders_is_refused(told: object) -> None:
    with pytest.raises(DecodeError):
        decode_seen(to_cbor(told))

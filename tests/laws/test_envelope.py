"""What every envelope keeps: one accepted encoding, and no change goes unnoticed."""

from functools import cache

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.errors import DataError, SealError, TrustError
from cellwarden.trust.envelope import (
    Opener,
    Sealer,
    SigningKey,
    from_cbor,
    open_signed,
    sign,
    to_cbor,
)
from cellwarden.trust.identity import new_key

REFUSED = (DataError, TrustError)
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
THUMBPRINT = bytes(range(32))


@cache
def device_key() -> ec.EllipticCurvePrivateKey:
    return new_key()


@cache
def hub_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


@cache
def opener() -> Opener:
    return Opener(Opener.new_secret())


def signed_by(key: SigningKey, payload: bytes = b"what was measured") -> bytes:
    return sign(payload, key, content_type="text/plain", thumbprint=THUMBPRINT)


def believe(encoded: bytes, key: SigningKey) -> bytes:
    signed = open_signed(encoded)
    signed.verify(key.public_key())
    return signed.payload


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def taken_apart(encoded: bytes) -> list[object]:
    return list(cbor2.loads(encoded).value)


@pytest.mark.parametrize("key", [device_key(), hub_key()], ids=["es256", "eddsa"])
def test_what_was_signed_is_believed_and_every_flipped_bit_is_refused(key: SigningKey) -> None:
    encoded = signed_by(key)
    assert believe(encoded, key) == b"what was measured"
    for bit in range(8 * len(encoded)):
        with pytest.raises(REFUSED):
            believe(flipped(encoded, bit), key)


@given(st.binary(max_size=300))
def test_random_bytes_are_no_signed_message(data: bytes) -> None:
    with pytest.raises(REFUSED):
        open_signed(data)


def _cbor_values() -> st.SearchStrategy[object]:
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.floats()
        | st.binary(max_size=40)
        | st.text(max_size=20)
    )
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=5)
            | st.dictionaries(st.integers(-40, 40) | st.text(max_size=4), inner, max_size=4)
            | st.builds(cbor2.CBORTag, st.sampled_from([18, 24, 40, 85, 86, 1000]), inner)
        ),
        max_leaves=12,
    )


@given(st.lists(_cbor_values(), min_size=3, max_size=5), st.sampled_from([17, 18, 98]))
def test_well_formed_cbor_that_is_no_signed_message_is_refused(
    parts: list[object], tag: int
) -> None:
    with pytest.raises(REFUSED):
        open_signed(to_cbor(cbor2.CBORTag(tag, parts)))


@given(st.dictionaries(st.sampled_from([1, 2, 3, 4, 33, 34]), _cbor_values(), max_size=5))
def test_only_our_three_headers_are_a_protected_header(headers: dict[int, object]) -> None:
    parts = taken_apart(signed_by(device_key()))
    parts[0] = to_cbor(headers)
    with pytest.raises(REFUSED):
        open_signed(to_cbor(cbor2.CBORTag(18, parts)))


@pytest.mark.parametrize("extra", [{2: [99]}, {4: b"key"}, {5: b"nonce"}, {"reserved": True}])
def test_a_header_that_nobody_here_understands_is_refused(extra: dict[object, object]) -> None:
    # RFC 9052, 3.1: `crit` (2) lists headers without which the message must not be processed.
    parts = taken_apart(signed_by(device_key()))
    headers = {**cbor2.loads(parts[0]), **extra}  # type: ignore[arg-type]
    parts[0] = to_cbor(headers)
    with pytest.raises(DataError):
        open_signed(to_cbor(cbor2.CBORTag(18, parts)))


def other_encodings(encoded: bytes) -> dict[str, bytes]:
    protected, unprotected, payload, signature = taken_apart(encoded)
    parts = (protected, unprotected, payload, signature)
    joined = b"".join(to_cbor(part) for part in parts)
    return {
        "untagged": b"\x84" + joined,
        "tag in two bytes": b"\xd8\x12\x84" + joined,
        "length in two bytes": b"\xd2\x98\x04" + joined,
        "indefinite list": b"\xd2\x9f" + joined + b"\xff",
        "indefinite map": b"\xd2\x84" + to_cbor(protected) + b"\xbf\xff" + joined[-84:],
        "something behind": encoded + b"\x00",
        "itself behind": encoded + encoded,
        "an unprotected header": to_cbor(
            cbor2.CBORTag(18, [protected, {4: b"1"}, payload, signature])
        ),
        "a list for the map": to_cbor(cbor2.CBORTag(18, [protected, [], payload, signature])),
        "wrapped once more": to_cbor(cbor2.CBORTag(61, cbor2.CBORTag(18, list(parts)))),
        "payload in chunks": b"\xd2\x84"
        + to_cbor(protected)
        + b"\xa0\x5f"
        + to_cbor(payload)
        + b"\xff"
        + to_cbor(signature),
        "protected header in other words": to_cbor(
            cbor2.CBORTag(18, [b"\xb8" + b"\x03" + protected[1:], {}, payload, signature])  # type: ignore[index]
        ),
    }


@pytest.mark.parametrize("name", list(other_encodings(signed_by(device_key()))))
def test_one_message_has_one_accepted_encoding(name: str) -> None:
    encoded = signed_by(device_key())
    other = other_encodings(encoded)[name]
    assert other != encoded
    with pytest.raises(REFUSED):
        believe(other, device_key())


def test_the_mirrored_signature_is_not_a_second_encoding() -> None:
    # (r, n - s) satisfies the equation of ECDSA whenever (r, s) does; it takes no key to make it.
    for number in range(20):
        parts = taken_apart(signed_by(device_key(), str(number).encode()))
        signature = bytes(parts[3])  # type: ignore[call-overload]
        mirrored = P256_ORDER - int.from_bytes(signature[32:], "big")
        parts[3] = signature[:32] + mirrored.to_bytes(32, "big")
        with pytest.raises(SealError):
            believe(to_cbor(cbor2.CBORTag(18, parts)), device_key())


def test_a_signature_without_its_leading_zero_is_not_a_second_encoding() -> None:
    for number in range(10_000):
        parts = taken_apart(signed_by(device_key(), str(number).encode()))
        signature = bytes(parts[3])  # type: ignore[call-overload]
        if signature[32] == 0:
            break
    for other in (signature[:32] + signature[33:], signature + b"\x00", signature[:32], b""):
        parts[3] = other
        with pytest.raises(SealError):
            believe(to_cbor(cbor2.CBORTag(18, parts)), device_key())


def test_a_signature_holds_under_its_own_key_only() -> None:
    encoded = signed_by(device_key())
    for other in (new_key(), hub_key()):
        with pytest.raises(SealError):
            believe(encoded, other)


def test_a_key_on_another_curve_is_refused_whatever_it_signed() -> None:
    for curve in (ec.SECP384R1(), ec.SECP256K1(), ec.SECP521R1()):
        key = ec.generate_private_key(curve)
        with pytest.raises(SealError):
            open_signed(signed_by(device_key())).verify(key.public_key())


def test_an_algorithm_is_not_taken_from_the_message() -> None:
    # A signature that claims the other algorithm does not choose how it is checked.
    for key, claimed in ((device_key(), -8), (hub_key(), -7)):
        parts = taken_apart(signed_by(key))
        parts[0] = to_cbor({**cbor2.loads(parts[0]), 1: claimed})  # type: ignore[arg-type]
        with pytest.raises(SealError):
            believe(to_cbor(cbor2.CBORTag(18, parts)), key)


@given(st.binary(max_size=120))
def test_random_bytes_are_cbor_in_its_one_form_or_refused(data: bytes) -> None:
    try:
        value = from_cbor(data, "it")
    except DataError:
        return
    assert to_cbor(value) == data


@pytest.mark.parametrize(
    "data",
    [
        bytes.fromhex("9b7fffffffffffffff"),  # a list of 2^63 items
        bytes.fromhex("5b7fffffffffffffff"),  # as many bytes
        bytes.fromhex("bb0fffffffffffffff"),  # as many pairs
        bytes.fromhex("d81c81d81d00"),  # a list that holds itself
        bytes.fromhex("a201010102"),  # one key twice
        bytes.fromhex("c11b4000000000000000"),  # a date beyond all calendars
        bytes.fromhex("c5821b400000000000000001"),  # 2^(2^62)
        b"\x81" * 100_000 + b"\x01",  # nested deeply
        b"\xc1" * 100_000,
        to_cbor(1) + b"\x00",  # something behind
        b"",
    ],
    ids=lambda data: data[:9].hex() or "nothing",
)
def test_hostile_cbor_is_refused_and_costs_nothing(data: bytes) -> None:
    with pytest.raises(DataError):
        from_cbor(data, "it")


def test_every_flipped_bit_of_a_seal_is_refused() -> None:
    sealed = Sealer.from_bytes(opener().public_bytes()).seal(b"columns", b"manifest")
    assert opener().open(sealed, b"manifest") == b"columns"
    for bit in [
        *range(8),
        *range(0, 8 * len(sealed), 61),
        *range(8 * len(sealed) - 300, 8 * len(sealed)),
    ]:
        with pytest.raises(SealError):
            opener().open(flipped(sealed, bit), b"manifest")


@given(st.binary(max_size=2000))
def test_random_bytes_are_no_seal(data: bytes) -> None:
    with pytest.raises(SealError):
        opener().open(data, b"manifest")


@given(st.binary(max_size=40))
def test_a_seal_belongs_to_one_manifest(other: bytes) -> None:
    sealed = Sealer.from_bytes(opener().public_bytes()).seal(b"columns", b"this manifest")
    if other != b"this manifest":
        with pytest.raises(SealError):
            opener().open(sealed, other)


def test_a_seal_opens_for_its_recipient_only() -> None:
    sealed = Sealer.from_bytes(opener().public_bytes()).seal(b"columns", b"manifest")
    with pytest.raises(SealError):
        Opener(Opener.new_secret()).open(sealed, b"manifest")


@given(st.binary(max_size=1300))
def test_random_bytes_are_no_sealing_key(data: bytes) -> None:
    try:
        sealer = Sealer.from_bytes(data)
    except DataError:
        return
    assert len(data) == 1184 + 32
    assert sealer.seal(b"", b"")

"""Published vectors, run through the very functions that messages and keys go through.

Sources: RFC 9052 (COSE), RFC 8152 appendix C.2.1 with the working group's intermediate values;
Wycheproof, see tests/vectors/trust/README.md.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from cellwarden.edge.outbox import Outbox
from cellwarden.errors import Error, SealError
from cellwarden.trust.envelope import (
    SEAL_OVERHEAD_BYTES,
    Opener,
    Sealer,
    Signed,
    check_signature,
    open_signed,
    sign,
    to_cbor,
)
from cellwarden.trust.keys import FileKeyStore

EXCERPTS = Path(__file__).parents[1] / "vectors" / "trust"
WHOLE = (
    Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
    / "vectors"
)
needs_data = pytest.mark.skipif(not WHOLE.is_dir(), reason="needs vectors under CELLWARDEN_DATA")
everywhere = pytest.mark.parametrize(
    "folder", [EXCERPTS, pytest.param(WHOLE, marks=needs_data)], ids=["excerpt", "whole"]
)
ES256, EDDSA = -7, -8
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

# RFC 8152, C.2.1 "Single ECDSA Signature": the message as published.
COSE_EXAMPLE = bytes.fromhex(
    "d28443a10126a10442313154546869732069732074686520636f6e74656e742e58408eb33e4ca31d1c465ab05aac"
    "34cc6b23d58fef5c083106c4d25a91aef0b0117e2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5"
    "a4c345cacb36"
)
COSE_TO_BE_SIGNED = bytes.fromhex(
    "846a5369676e61747572653143a101264054546869732069732074686520636f6e74656e742e"
)
COSE_KEY = ec.EllipticCurvePublicNumbers(  # RFC 8152, C.7.1, kid "11"
    0xBAC5B11CAD8F99F9C72B05CF4B9E26D244DC189F745228255A219A86D6A09EFF,
    0x20138BF82DC1B6D562BE0FA54AB7804A3A64B6D72CCFED6B6FB6ED28BBFC117E,
    ec.SECP256R1(),
).public_key()


def test_the_example_of_the_cose_rfc_verifies_and_no_changed_bit_of_it() -> None:
    protected, _, payload, signature = cbor2.loads(COSE_EXAMPLE).value
    assert to_cbor(["Signature1", protected, b"", payload]) == COSE_TO_BE_SIGNED
    example = Signed(COSE_EXAMPLE, protected, payload, signature, ES256, "", b"")
    example.verify(COSE_KEY)
    check_signature(COSE_KEY, ES256, signature, COSE_TO_BE_SIGNED)
    for bit in range(8 * len(signature)):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealError):
            check_signature(COSE_KEY, ES256, bytes(changed), COSE_TO_BE_SIGNED)


def test_a_genuine_cose_message_of_other_headers_is_none_of_ours() -> None:
    with pytest.raises(Error):
        open_signed(COSE_EXAMPLE)


def test_what_we_sign_is_laid_out_as_the_rfc_says() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    encoded = sign(b"payload", key, content_type="text/plain", thumbprint=b"t" * 32)
    assert encoded[:2] == b"\xd2\x84"  # tag 18, a list of four
    protected, unprotected, payload, signature = cbor2.loads(encoded).value
    headers = {1: ES256, 3: "text/plain", 34: [-16, b"t" * 32]}  # RFC 9052 3.1, RFC 9360 2
    assert cbor2.loads(protected) == headers
    assert (unprotected, payload, len(signature)) == ({}, b"payload", 64)
    assert int.from_bytes(signature[32:], "big") <= P256_ORDER // 2


def test_a_seal_costs_what_is_said() -> None:
    opener = Opener(Opener.new_secret())
    sealer = Sealer.from_bytes(opener.public_bytes())
    for size in (0, 1, 1000):
        assert len(sealer.seal(bytes(size), b"")) == size + SEAL_OVERHEAD_BYTES
    assert sealer.seal(b"same", b"") != sealer.seal(b"same", b"")


# --- Wycheproof -----------------------------------------------------------------------------------


def vectors(folder: Path, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each group with each of its tests."""
    told = json.loads((folder / f"{name}.json").read_bytes())
    count = 0
    for group in told["testGroups"]:
        for test in group["tests"]:
            count += 1
            yield group, test
    assert count == told["numberOfTests"]


def holds(key: Any, algorithm: int, signature: bytes, message: bytes) -> bool:
    try:
        check_signature(key, algorithm, signature, message)
    except SealError:
        return False
    return True


@everywhere
def test_es256_believes_what_wycheproof_calls_valid_and_nothing_else(folder: Path) -> None:
    # Of the two valid signatures (r, s) and (r, n - s) ours is the one with the smaller s.
    mirrored_count = 0
    for group, test in vectors(folder, "ecdsa_secp256r1_sha256_p1363_test"):
        point = bytes.fromhex(group["publicKey"]["uncompressed"])
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        signature, message = bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"])
        s = int.from_bytes(signature[32:], "big")
        valid = test["result"] == "valid"
        small = s <= P256_ORDER // 2
        assert holds(key, ES256, signature, message) == (valid and small), test["tcId"]
        if valid and not small:
            mirrored = signature[:32] + (P256_ORDER - s).to_bytes(32, "big")
            assert holds(key, ES256, mirrored, message), test["tcId"]
            mirrored_count += 1
    assert mirrored_count > 5


@everywhere
def test_eddsa_believes_what_wycheproof_calls_valid_and_nothing_else(folder: Path) -> None:
    for group, test in vectors(folder, "ed25519_test"):
        key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(group["publicKey"]["pk"]))
        signature, message = bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"])
        assert holds(key, EDDSA, signature, message) == (test["result"] == "valid"), test["tcId"]


@everywhere
def test_keys_on_disk_unwrap_as_wycheproof_says(folder: Path, tmp_path: Path) -> None:
    # A master key of 128 or 192 bits is none of ours, so nothing opens under one.
    opened = 0
    keys = FileKeyStore.create(tmp_path)
    for group, test in vectors(folder, "aes_kwp_test"):
        (tmp_path / "master.key").write_bytes(bytes.fromhex(test["key"]))
        (tmp_path / "vector.wrapped").write_bytes(bytes.fromhex(test["ct"]))
        if test["result"] == "valid" and group["keySize"] == 256:
            assert keys.get("vector") == bytes.fromhex(test["msg"]), test["tcId"]
            opened += 1
            continue
        with pytest.raises(SealError):
            keys.get("vector")
    assert opened > 20


@everywhere
def test_the_outbox_opens_what_wycheproof_calls_valid_and_nothing_else(
    folder: Path, tmp_path: Path
) -> None:
    # The associated data is the name of a record, hence text; nonces have 96 bits.
    opened, refused = 0, 0
    for group, test in vectors(folder, "aes_gcm_test"):
        try:
            name = bytes.fromhex(test["aad"]).decode()
        except UnicodeDecodeError:
            continue
        if group["ivSize"] != 96 or group["keySize"] != 256:
            continue
        outbox = Outbox(tmp_path / f"{test['tcId']}.sqlite", bytes.fromhex(test["key"]))
        body = b"".join(bytes.fromhex(test[part]) for part in ("iv", "ct", "tag"))
        try:
            if test["result"] == "valid":
                assert outbox._unlock(name, body) == bytes.fromhex(test["msg"]), test["tcId"]
                opened += 1
            else:
                with pytest.raises(SealError):
                    outbox._unlock(name, body)
                refused += 1
        finally:
            outbox.close()
    assert opened > 10
    assert refused > 5

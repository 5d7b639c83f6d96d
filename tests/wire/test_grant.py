"""A model is let in by an administrator of our authority, and by nobody else."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.errors import DataError, DecodeError, Error, IdentityError, SealError
from cellwarden.trust.envelope import from_cbor, sign, to_cbor
from cellwarden.trust.identity import Identity, Roots, thumbprint, utc
from cellwarden.wire.grant import GRANT_TYPE, Grant, open_grant, sign_grant
from trust.making import NOW, Certified, authority, certify, fleet

CHIEF = Identity("operator", "chief", "administrator")
GRANT = Grant("soc-x", "ab" * 32, "soc", NOW, "pack-1")


@pytest.fixture(scope="module")
def chief() -> Certified:
    return certify(fleet().authority, CHIEF)


def granted(by: Certified, grant: Grant = GRANT) -> bytes:
    return sign_grant(grant, by.key, by.certificate)


def test_an_administrators_grant_is_believed(chief: Certified) -> None:
    assert open_grant(granted(chief), "pack-1", fleet().roots, NOW) == GRANT


def test_a_grant_is_of_use_to_its_device_alone(chief: Certified) -> None:
    with pytest.raises(IdentityError, match="pack-1's"):
        open_grant(granted(chief), "pack-2", fleet().roots, NOW)


@pytest.mark.parametrize(
    "identity",
    [
        Identity("operator", "ann", "operator"),
        Identity("operator", "eve", "viewer"),
        Identity("hub", "test"),
        Identity("device", "pack-1"),
    ],
)
def test_nobody_else_may_grant(identity: Identity) -> None:
    with pytest.raises(IdentityError, match="may not grant"):
        open_grant(granted(certify(fleet().authority, identity)), "pack-1", fleet().roots, NOW)


def test_a_grant_of_another_authority_or_of_somebody_revoked_is_not_believed(
    chief: Certified,
) -> None:
    with pytest.raises(IdentityError):
        open_grant(granted(certify(authority("Other"), CHIEF)), "pack-1", fleet().roots, NOW)
    listed = fleet().authority.revocations([chief.certificate.serial_number], utc(NOW))
    with pytest.raises(IdentityError, match="revoked"):
        open_grant(granted(chief), "pack-1", Roots(fleet().authority.certificate, listed), NOW)
    with pytest.raises(IdentityError):
        open_grant(granted(chief), "pack-1", fleet().roots, NOW + 400 * 86_400)


def test_with_another_certificate_beside_it_a_grant_is_not_believed(chief: Certified) -> None:
    other = certify(fleet().authority, CHIEF)
    signed = from_cbor(granted(chief), "x")[0]
    certificate = from_cbor(granted(other), "x")[1]
    with pytest.raises(IdentityError, match="another"):
        open_grant(to_cbor([signed, certificate]), "pack-1", fleet().roots, NOW)


def test_with_any_bit_turned_a_grant_is_not_believed(chief: Certified) -> None:
    whole = granted(chief)

    @given(st.integers(0, 8 * len(whole) - 1))
    @settings(max_examples=100, deadline=None)
    def law(bit: int) -> None:
        told = bytearray(whole)
        told[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Error) as refused:
            open_grant(bytes(told), "pack-1", fleet().roots, NOW)
        assert isinstance(refused.value, DataError | IdentityError | SealError)

    law()


def test_what_is_no_grant_is_refused(chief: Certified) -> None:
    mark = thumbprint(chief.certificate)
    other = sign(GRANT.payload(), chief.key, content_type="application/x", thumbprint=mark)
    empty = sign(to_cbor({}), chief.key, content_type=GRANT_TYPE, thumbprint=mark)
    der = from_cbor(granted(chief), "x")[1]
    for told in (other, empty):
        with pytest.raises(DecodeError):
            open_grant(to_cbor([told, der]), "pack-1", fleet().roots, NOW)
    for grant in (
        replace(GRANT, purpose="anything"),
        replace(GRANT, digest="ab"),
        replace(GRANT, name=""),
        replace(GRANT, issued_unix_time_second=float("inf")),
    ):
        with pytest.raises(DecodeError):
            open_grant(granted(chief, grant), "pack-1", fleet().roots, NOW)
    with pytest.raises(DecodeError):
        open_grant(to_cbor(7), "pack-1", fleet().roots, NOW)

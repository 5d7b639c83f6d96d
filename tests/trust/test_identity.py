"""Who is believed: attacks as a table, each with what must come of it."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.errors import DataError, DecodeError, IdentityError, TrustError, UsageError
from cellwarden.trust.identity import (
    Authority,
    Identity,
    Roots,
    load_certificate,
    load_key,
    new_key,
    pack_key,
    request,
    thumbprint,
    utc,
)
from trust.making import NOW, YEAR, Certified, authority, certify, fleet

REFUSED = (DataError, TrustError)
DAY = 86400.0
DEVICE = Identity("device", "pack-1")


@cache
def ours() -> Authority:
    return authority()


@cache
def foreign() -> Authority:
    """Another authority that calls itself by the same name."""
    return authority()


@cache
def device() -> Certified:
    return certify(ours(), DEVICE)


def roots(revocations: bytes = b"") -> Roots:
    return Roots(ours().certificate, revocations)


@dataclass(frozen=True)
class Wish:
    """A certificate as an attacker might like it, signed by whoever is given."""

    names: tuple[str, ...] = ("spiffe://cellwarden.local/device/pack-1",)
    issuer: x509.Name | None = None
    ca: bool = False
    purposes: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.CLIENT_AUTH,)
    start: float = NOW - DAY
    end: float = NOW + DAY

    def signed(self, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        """The certificate under a signing key."""
        issuer = ours().certificate
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pack-1")]))
            .issuer_name(self.issuer or issuer.subject)
            .public_key(new_key().public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(utc(self.start))
            .not_valid_after(utc(self.end))
            .add_extension(x509.BasicConstraints(ca=self.ca, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                    issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
                ),
                critical=False,
            )
        )
        if self.names:
            uris = [x509.UniformResourceIdentifier(name) for name in self.names]
            builder = builder.add_extension(x509.SubjectAlternativeName(uris), critical=False)
        if self.purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(self.purposes), critical=False)
        return builder.sign(key, hashes.SHA256())


def by_us(wish: Wish) -> x509.Certificate:
    """What our authority would sign if somebody could choose every field."""
    return wish.signed(ours()._key)


def check(certificate: x509.Certificate, at: float = NOW) -> Identity:
    return roots().check(certificate, utc(at))


def uri(path: str) -> Wish:
    return Wish(names=(f"spiffe://cellwarden.local/{path}",))


ATTACKS: dict[str, Callable[[], object]] = {
    "expired": lambda: check(device().certificate, NOW + YEAR.total_seconds() + 1),
    "not valid yet": lambda: check(device().certificate, NOW - 3600),
    "of a foreign authority": lambda: check(certify(foreign(), DEVICE).certificate),
    "a hub of a foreign authority": lambda: check(
        certify(foreign(), Identity("hub", "test")).certificate
    ),
    "signed by itself": lambda: check(Wish().signed(new_key())),
    "signed by a device": lambda: check(
        Wish(issuer=device().certificate.subject).signed(device().key)
    ),
    "an authority of a foreign key in our name": lambda: check(foreign().certificate),
    "our authority itself": lambda: check(ours().certificate),
    "revoked": lambda: roots(
        ours().revocations([device().certificate.serial_number], utc(NOW))
    ).check(device().certificate, utc(NOW)),
    "without a name": lambda: check(by_us(Wish(names=()))),
    "of another domain": lambda: check(by_us(Wish(names=("spiffe://elsewhere/device/pack-1",)))),
    "of no scheme": lambda: check(by_us(Wish(names=("https://cellwarden.local/device/pack-1",)))),
    "an empty name": lambda: check(by_us(uri("device/"))),
    "a name with a slash": lambda: check(by_us(uri("device/a/b"))),
    "a name that climbs": lambda: check(by_us(uri("device/.."))),
    "a name with a blank": lambda: check(by_us(uri("device/pack%201"))),
    "a role in a device's name": lambda: check(by_us(uri("device/administrator/pack-1"))),
    "an operator without a role": lambda: check(by_us(uri("operator/ann"))),
    "an operator of an empty role": lambda: check(by_us(uri("operator//ann"))),
    "an operator of an empty name": lambda: check(by_us(uri("operator/viewer/"))),
    "a kind that is none": lambda: check(by_us(uri("root/pack-1"))),
    "two names of ours": lambda: check(
        by_us(
            Wish(
                names=(
                    "spiffe://cellwarden.local/device/pack-1",
                    "spiffe://cellwarden.local/operator/administrator/ann",
                )
            )
        )
    ),
    "a server's purpose on a device": lambda: check(
        by_us(Wish(purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)))
    ),
    "a code signer's purpose": lambda: check(
        by_us(Wish(purposes=(ExtendedKeyUsageOID.CODE_SIGNING,)))
    ),
    "a device that is an authority": lambda: check(by_us(Wish(ca=True))),
    "a hub that is an authority": lambda: check(
        by_us(Wish(names=("spiffe://cellwarden.local/hub/test",), ca=True))
    ),
    "a hub with a device's purpose": lambda: check(
        by_us(Wish(names=("spiffe://cellwarden.local/hub/test",)))
    ),
    "a revocation list of a foreign authority": lambda: roots(foreign().revocations([1], utc(NOW))),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_whom_nobody_may_believe(attack: str) -> None:
    with pytest.raises(IdentityError):
        ATTACKS[attack]()


@pytest.mark.parametrize(
    "identity",
    [DEVICE, Identity("hub", "test"), Identity("operator", "ann", "auditor")],
    ids=lambda identity: identity.kind,
)
def test_whoever_our_authority_certified_is_believed(identity: Identity) -> None:
    assert check(certify(ours(), identity).certificate) == identity


def test_who_was_revoked_or_has_run_out_still_proves_what_it_signed_before() -> None:
    certificate = device().certificate
    revoked = roots(ours().revocations([certificate.serial_number], utc(NOW)))
    later = utc(NOW + 10 * YEAR.total_seconds())
    assert revoked.check(certificate, later, past=True) == DEVICE
    with pytest.raises(IdentityError):
        revoked.check(certify(foreign(), DEVICE).certificate, later, past=True)


def test_a_certificate_holds_from_five_minutes_before_it_was_made_to_its_last_second() -> None:
    start, end = NOW - 300, NOW + YEAR.total_seconds()
    for at, holds in ((start - 1, False), (start, True), (end, True), (end + 1, False)):
        if holds:
            assert check(device().certificate, at) == DEVICE
        else:
            with pytest.raises(IdentityError):
                check(device().certificate, at)


def test_a_revocation_names_some_and_leaves_the_others_alone() -> None:
    other = certify(ours(), Identity("device", "pack-2"))
    listed = roots(ours().revocations([device().certificate.serial_number], utc(NOW)))
    assert listed.check(other.certificate, utc(NOW)).name == "pack-2"
    assert listed.revoked == {device().certificate.serial_number}


# --- what an authority signs ----------------------------------------------------------------------


def test_the_authority_writes_the_name_that_was_allowed_not_the_one_asked_for() -> None:
    asked = request(Identity("operator", "ann", "administrator"), new_key())
    made = ours().issue(asked, DEVICE, utc(NOW), timedelta(days=1))
    assert check(made) == DEVICE


def _request(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM)


def _broken_request() -> bytes:
    asked = x509.load_pem_x509_csr(request(DEVICE, new_key()))
    der = bytearray(asked.public_bytes(Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    "asked",
    [
        _broken_request,
        lambda: _request(ec.generate_private_key(ec.SECP384R1())),
        lambda: _request(ec.generate_private_key(ec.SECP256K1())),
        lambda: _request(rsa.generate_private_key(65537, 2048)),
        lambda: _request(ed25519.Ed25519PrivateKey.generate()),
    ],
    ids=["bad signature", "P-384", "secp256k1", "RSA", "Ed25519"],
)
def test_a_request_that_does_not_prove_a_p256_key_is_refused(asked: Callable[[], bytes]) -> None:
    with pytest.raises(IdentityError):
        ours().issue(asked(), DEVICE, utc(NOW), YEAR)


@given(st.binary(max_size=200))
def test_random_bytes_are_no_request(data: bytes) -> None:
    with pytest.raises(DecodeError):
        ours().issue(data, DEVICE, utc(NOW), YEAR)


@pytest.mark.parametrize(
    "identity",
    [
        Identity("device", "a/b"),
        Identity("device", ""),
        Identity("device", "x" * 64),
        Identity("device", "pack 1"),
        Identity("operator", "ann", ""),
        Identity("operator", "ann", "a/b"),
        Identity("hub", "../device/x"),
    ],
    ids=lambda identity: identity.uri(),
)
def test_a_name_that_would_not_come_back_is_not_certified(identity: Identity) -> None:
    with pytest.raises(UsageError):
        ours().issue(request(DEVICE, new_key()), identity, utc(NOW), YEAR)


# --- bytes ----------------------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_random_bytes_are_no_certificate(data: bytes) -> None:
    with pytest.raises(DecodeError):
        load_certificate(data)
    with pytest.raises(DecodeError):
        load_certificate(b"-----BEGIN CERTIFICATE-----\n" + data)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # the parser will refuse it one day
@given(st.data())
@settings(max_examples=500, deadline=None)
def test_no_changed_certificate_is_believed(data: st.DataObject) -> None:
    der = bytearray(device().certificate.public_bytes(Encoding.DER))
    place = data.draw(st.integers(0, len(der) - 1))
    der[place] ^= data.draw(st.integers(1, 255))
    try:
        certificate = load_certificate(bytes(der))
        check(certificate)
    except REFUSED:
        return
    # The parser overlooks how many bits of the signature's last byte count: nothing of what the
    # authority signed is changed by that.
    assert certificate.tbs_certificate_bytes == device().certificate.tbs_certificate_bytes
    assert certificate.signature == device().certificate.signature


@given(st.binary(min_size=1, max_size=300))
def test_random_bytes_are_no_revocation_list(data: bytes) -> None:
    with pytest.raises(REFUSED):
        roots(data)


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(deadline=None)
def test_no_changed_revocation_list_is_believed(place: int, change: int) -> None:
    listed = x509.load_pem_x509_crl(ours().revocations([5, 6], utc(NOW)))
    der = bytearray(listed.public_bytes(Encoding.DER))
    der[place % len(der)] ^= change

    pem = (
        b"-----BEGIN X509 CRL-----\n" + base64.encodebytes(bytes(der)) + b"-----END X509 CRL-----\n"
    )
    try:
        believed = roots(pem)
    except REFUSED:
        return
    assert believed.revoked == {5, 6}  # the unread bits of the signature, as above


def test_a_certificate_reads_the_same_from_pem_and_der() -> None:
    certificate = device().certificate
    for encoding in (Encoding.PEM, Encoding.DER):
        assert thumbprint(load_certificate(certificate.public_bytes(encoding))) == thumbprint(
            certificate
        )


def test_a_key_comes_back_and_other_keys_and_bytes_do_not_pass_for_one() -> None:
    key = new_key()
    assert load_key(pack_key(key)).private_numbers() == key.private_numbers()
    others = (
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP384R1()),
    )
    for other in others:
        packed = other.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        with pytest.raises(DecodeError):
            load_key(packed)
    with pytest.raises(DecodeError):
        load_key(b"not a key")


def test_the_fleet_of_the_tests_is_believed() -> None:
    assert fleet().roots.check(fleet().hub.certificate, utc(NOW)).kind == "hub"


def test_a_certificate_whose_serial_number_is_not_positive_is_none() -> None:
    encoded = bytearray(device().certificate.public_bytes(Encoding.DER))
    serial = device().certificate.serial_number.to_bytes(20, "big").lstrip(b"\0")
    place = bytes(encoded).index(serial)
    encoded[place] |= 0x80
    with pytest.raises(DecodeError):
        load_certificate(bytes(encoded))

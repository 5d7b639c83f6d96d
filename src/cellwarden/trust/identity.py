"""Who is who: a local certificate authority, certificates, revocation.

Names are SPIFFE IDs in the certificate's subject alternative name:
`spiffe://DOMAIN/device/NAME`, `spiffe://DOMAIN/hub/NAME`, `spiffe://DOMAIN/operator/ROLE/NAME`,
`spiffe://DOMAIN/pack/NAME`.
Keys are P-256, which secure elements and TPMs hold. Every check takes the time as an argument.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from cellwarden.domain.pack import DEVICE_NAME
from cellwarden.errors import DecodeError, IdentityError, UsageError

__all__ = [
    "Authority",
    "Identity",
    "Kind",
    "Roots",
    "load_certificate",
    "load_key",
    "new_key",
    "pack_key",
    "request",
    "thumbprint",
    "utc",
]

Kind = Literal["device", "hub", "operator", "pack"]
_DOMAIN: Final = "cellwarden.local"
_OURS: Final = f"spiffe://{_DOMAIN}/"
# What a certificate that was tampered with makes the parser say, besides ValueError.
_MALFORMED: Final = (
    ValueError,
    TypeError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)
_BACKDATED: Final = timedelta(minutes=5)  # a device's clock may lag a little
_CA_DAYS: Final = 3650
_CRL_DAYS: Final = 30


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def pack_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as PKCS #8 DER, to be put into a `KeyStore` at once."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def load_key(encoded: bytes) -> ec.EllipticCurvePrivateKey:
    """The key that `pack_key` packed.

    Raises:
        DecodeError: it is not a P-256 key.
    """
    bad = DecodeError("not a P-256 key", hint="Enrol again.")
    try:
        key = load_der_private_key(encoded, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise bad from error
    if not (isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)):
        raise bad
    return key


def load_certificate(pem: bytes) -> x509.Certificate:
    """A certificate from PEM or DER.

    Raises:
        DecodeError: it is neither.
    """
    try:
        if pem.lstrip().startswith(b"-----"):
            return x509.load_pem_x509_certificate(pem)
        return x509.load_der_x509_certificate(pem)
    except (ValueError, x509.InvalidVersion) as error:
        raise DecodeError("not a certificate", hint="Give a PEM or DER file.") from error


def thumbprint(certificate: x509.Certificate) -> bytes:
    """SHA-256 over the DER encoding: how messages name their signer."""
    return certificate.fingerprint(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class Identity:
    """What a believed certificate says: kind, name, and for operators the role."""

    kind: Kind
    name: str
    role: str = ""

    def uri(self) -> str:
        """The SPIFFE ID."""
        middle = f"{self.kind}/{self.role}" if self.kind == "operator" else self.kind
        return f"spiffe://{_DOMAIN}/{middle}/{self.name}"

    @staticmethod
    def of(certificate: x509.Certificate) -> "Identity":
        """What the certificate claims; believe it only after `Roots.check`.

        Raises:
            IdentityError: no name of ours in it, or more than one.
        """
        match [name for name in _uris(certificate) if name.startswith(_OURS)]:
            case [name]:
                return _parse(name)
            case _:
                raise _nobody()


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return names.value.get_values_for_type(x509.UniformResourceIdentifier)
    except (*_MALFORMED, x509.ExtensionNotFound):
        return []


def _parse(uri: str) -> Identity:
    parts = uri.removeprefix(_OURS).split("/")
    if all(DEVICE_NAME.fullmatch(part) for part in parts):
        match parts:
            case ["device", who]:
                return Identity("device", who)
            case ["hub", who]:
                return Identity("hub", who)
            case ["pack", who]:
                return Identity("pack", who)
            case ["operator", role, who]:
                return Identity("operator", who, role)
    raise _nobody()


def _nobody() -> IdentityError:
    return IdentityError("the certificate names nobody here", hint="Enrol with this hub's CA.")


def request(identity: Identity, key: ec.EllipticCurvePrivateKey) -> bytes:
    """A certificate signing request (PKCS #10, PEM): the key never leaves its device."""
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(_subject(identity.name))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity.uri())]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Authority:
    """A certificate authority: its certificate and its key."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self._key = key

    @staticmethod
    def create(name: str, now: datetime, key: ec.EllipticCurvePrivateKey) -> "Authority":
        """A new root that may sign end entities only."""
        subject = _subject(name)
        builder = (
            _builder(subject, key.public_key(), now, timedelta(days=_CA_DAYS))
            .issuer_name(subject)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(ca=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        return Authority(builder.sign(key, hashes.SHA256()), key)

    def issue(
        self,
        signing_request: bytes,
        identity: Identity,
        now: datetime,
        lifetime: timedelta,
        hosts: Iterable[str] = (),
    ) -> x509.Certificate:
        """A certificate for who is asked for, whatever the request itself claims.

        Raises:
            IdentityError: the request is not signed by the P-256 key it carries.
            DecodeError: it is not a request.
            UsageError: the identity would not come back from the certificate.
        """
        _check_sayable(identity)
        public = _asking_key(signing_request)
        purpose = (
            ExtendedKeyUsageOID.SERVER_AUTH
            if identity.kind == "hub"
            else ExtendedKeyUsageOID.CLIENT_AUTH
        )
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity.uri())]
        names += [_host(host) for host in hosts]
        issuer_key = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        builder = (
            _builder(_subject(identity.name), public, now, lifetime)
            .issuer_name(self.certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key.value),
                critical=False,
            )
        )
        return builder.sign(self._key, hashes.SHA256())

    def revocations(self, serials: Iterable[int], now: datetime) -> bytes:
        """A certificate revocation list over these serial numbers. PEM."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now)
            .next_update(now + timedelta(days=_CRL_DAYS))
        )
        for serial in sorted(set(serials)):
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _check_sayable(identity: Identity) -> None:
    parts = (identity.name, identity.role) if identity.kind == "operator" else (identity.name,)
    if not all(DEVICE_NAME.fullmatch(part) for part in parts):
        raise UsageError(
            f"{identity.uri()} cannot be a name",
            hint="Use 1 to 63 letters, digits, dots, dashes or underscores in each part.",
        )


def _asking_key(signing_request: bytes) -> ec.EllipticCurvePublicKey:
    """The key of a signing request, once the request has proved it."""
    try:
        asked = x509.load_pem_x509_csr(signing_request)
        public, proved = asked.public_key(), asked.is_signature_valid
    except _MALFORMED as error:
        raise DecodeError("not a signing request", hint="Give a PKCS #10 PEM.") from error
    if (
        not proved
        or not isinstance(public, ec.EllipticCurvePublicKey)
        or not isinstance(public.curve, ec.SECP256R1)
    ):
        raise IdentityError("the request does not prove a P-256 key", hint="Make it again.")
    return public


def _builder(
    subject: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + lifetime)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class Roots:
    """Whom the caller trusts: one authority and what it has revoked."""

    def __init__(self, authority: x509.Certificate, revocation_list: bytes = b"") -> None:
        """Take the authority's certificate and its revocation list in PEM.

        Raises:
            IdentityError: the list is not signed by the authority.
        """
        self.authority = authority
        self._store = Store([authority])
        self.revoked = _revoked(authority, revocation_list)

    def check(
        self, certificate: x509.Certificate, now: datetime, *, past: bool = False
    ) -> Identity:
        """Who the holder is, if the certificate is to be believed now.

        `past` looks at an old record: a certificate that has since run out or been revoked still
        proves what it signed while it was good.

        Raises:
            IdentityError: foreign, not yet or no longer valid, revoked, or no name of ours.
        """
        identity = Identity.of(certificate)
        if past:
            now = certificate.not_valid_before_utc
        elif certificate.serial_number in self.revoked:
            raise IdentityError(
                f"the certificate of {identity.name} is revoked", hint="Enrol the device again."
            )
        if not (certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc):
            raise IdentityError(
                f"the certificate of {identity.name} is valid from"
                f" {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} to"
                f" {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, not now",
                hint="Check this machine's clock, then enrol again.",
            )
        try:
            if identity.kind == "hub":
                # The library's verifier for servers wants an address; a signer has none.
                certificate.verify_directly_issued_by(self.authority)
                _check_server(certificate)
            else:
                # The authority may be younger than a backdated certificate by minutes.
                at = max(now, self.authority.not_valid_before_utc)
                verifier = PolicyBuilder().store(self._store).time(at).build_client_verifier()
                verifier.verify(certificate, [])
        except (*_MALFORMED, VerificationError, InvalidSignature, x509.ExtensionNotFound) as error:
            raise IdentityError(
                f"the certificate of {identity.name} was not issued by our authority",
                hint="Treat the sender as foreign; enrol it if it should be known.",
            ) from error
        return identity


def _check_server(certificate: x509.Certificate) -> None:
    found = certificate.extensions
    if found.get_extension_for_class(x509.BasicConstraints).value.ca:
        raise VerificationError("an authority is no hub")
    if (
        ExtendedKeyUsageOID.SERVER_AUTH
        not in found.get_extension_for_class(x509.ExtendedKeyUsage).value
    ):
        raise VerificationError("not a server's certificate")


def _revoked(authority: x509.Certificate, pem: bytes) -> frozenset[int]:
    if not pem:
        return frozenset()
    try:
        listed = x509.load_pem_x509_crl(pem)
        public = authority.public_key()
        ours = isinstance(public, ec.EllipticCurvePublicKey) and listed.is_signature_valid(public)
        serials = frozenset(entry.serial_number for entry in listed)
    except _MALFORMED as error:
        raise DecodeError("not a revocation list", hint="Run `cellwarden revoke` again.") from error
    if not ours:
        raise IdentityError(
            "the revocation list is not our authority's", hint="Take it from the authority again."
        )
    return serials


def utc(unix_time_second: float) -> datetime:
    """Unix seconds as a date."""
    return datetime.fromtimestamp(unix_time_second, UTC)

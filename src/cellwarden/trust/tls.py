"""TLS as every connection here has it: version 1.3, AES-256-GCM, our authority alone.

Python cannot choose TLS 1.3 suites by itself; OpenSSL reads them from the file that
`OPENSSL_CONF` names when the process starts. The command line sets it for `hub` and `edge`;
`require_aes256` refuses to serve without.
"""

import os
import secrets
import ssl
import tempfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from cellwarden.errors import UsageError

__all__ = ["client_context", "openssl_settings", "require_aes256", "server_context"]

_SUITE: Final = "TLS_AES_256_GCM_SHA384"


def openssl_settings() -> Path:
    """The file for `OPENSSL_CONF` that leaves AES-256 alone."""
    return Path(str(resources.files("cellwarden.trust").joinpath("openssl.cnf")))


def server_context(
    certificate: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    *,
    clients_must_prove: bool,
    on_failure: Callable[[str], None] | None = None,
) -> ssl.SSLContext:
    """The hub's side; `on_failure` hears why a handshake came to nothing."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, certificate, key)
    if clients_must_prove:
        context.load_verify_locations(cadata=_pem(authority))
        context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0  # a resumed session would skip the look at the certificate
    if on_failure is not None:
        context.sslobject_class = _watched(on_failure)
    return context


def client_context(
    certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, authority: x509.Certificate
) -> ssl.SSLContext:
    """The device's or operator's side: proves itself, believes only our authority."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, certificate, key)
    context.load_verify_locations(cadata=_pem(authority))
    return context


def require_aes256(context: ssl.SSLContext) -> None:
    """Make sure that no other suite can be agreed on.

    Raises:
        UsageError: the process was started without our `OPENSSL_CONF`.
    """
    offered = {str(suite["name"]) for suite in context.get_ciphers()}
    if {name for name in offered if name.startswith("TLS_")} != {_SUITE}:
        raise UsageError(
            "this process would also agree on AES-128",
            hint=f"Start it with OPENSSL_CONF={openssl_settings()}.",
        )


def _context(
    protocol: int, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Python takes keys from files only: the file is encrypted under a password that nobody keeps.
    password = secrets.token_hex(16)
    encrypted = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode())
    )
    descriptor, name = tempfile.mkstemp(prefix="cellwarden-", suffix=".pem")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(certificate.public_bytes(Encoding.PEM) + encrypted)
        context.load_cert_chain(name, password=password)
    finally:
        Path(name).unlink()
    return context


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _watched(on_failure: Callable[[str], None]) -> type[ssl.SSLObject]:
    class Watched(ssl.SSLObject):
        """Tells both sides why a handshake failed, where there would only be a closed connection.

        An event loop drops a connection as soon as its handshake fails, and with it the alert that
        says why. Asking for more to read makes it send that alert first; the connection ends when
        the other side closes it or does anything else.
        """

        _failure: ssl.SSLError | None = None

        def do_handshake(self) -> Any:
            if self._failure is not None:
                raise self._failure
            try:
                return super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                self._failure = error
                on_failure(_reason(error))
                raise ssl.SSLWantReadError from error

    return Watched


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    return f"handshake refused: {(error.reason or 'unknown').lower().replace('_', ' ')}"

"""A server of files over real TLS, with a certificate of its own authority."""

import gzip
import hashlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cellwarden.datasets import Part

CONTENT = bytes(range(256)) * 1200  # 300 KB, several pieces


class _Handler(BaseHTTPRequestHandler):
    """Each path misbehaves in its own way."""

    def do_GET(self) -> None:
        behave = getattr(self, f"_{self.path.strip('/')}", None)
        if behave is None:
            self.send_error(404)
        else:
            behave()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  the base class names it
        """Say nothing."""

    def _answer(self, content: bytes, stated: int | None = None, **headers: str) -> None:
        self.send_response(200)
        if stated is not None:
            self.send_header("Content-Length", str(stated))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def _onward(self, address: str) -> None:
        self.send_response(302)
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _good(self) -> None:
        self._answer(CONTENT, len(CONTENT))

    def _unstated(self) -> None:
        self._answer(CONTENT)

    def _altered(self) -> None:
        self._answer(b"\x01" + CONTENT[1:], len(CONTENT))

    def _cut(self) -> None:
        self._answer(CONTENT[:-1000], len(CONTENT))

    def _cut_unstated(self) -> None:
        self._answer(CONTENT[:-1000])

    def _long(self) -> None:
        self._answer(CONTENT + b"x", len(CONTENT) + 1)

    def _long_unstated(self) -> None:
        self._answer(CONTENT)
        self._endless()

    def _endless(self) -> None:
        while True:  # ends when the client goes
            self.wfile.write(CONTENT)

    def _packed(self) -> None:
        self._answer(CONTENT, len(CONTENT), Content_Encoding="gzip")

    def _willing(self) -> None:
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            self._answer(gzip.compress(CONTENT), Content_Encoding="gzip")
        else:
            self._good()

    def _moved(self) -> None:
        self._onward("/good")

    def _plain(self) -> None:
        self._onward(f"http://localhost:{self.server.server_port}/good")  # type: ignore[attr-defined]

    def _loop(self) -> None:
        self._onward("/loop")

    def _nowhere(self) -> None:
        self._onward("https://")

    def _busy(self) -> None:
        self.send_error(503)

    def _slow(self) -> None:
        """The first half of the file, and nothing more until the test lets it go on."""
        behind: threading.Event = self.server.behind  # type: ignore[attr-defined]
        if behind.is_set():
            self._good()
            return
        self._answer(CONTENT[: len(CONTENT) // 2], len(CONTENT))
        self.wfile.flush()
        behind.wait(60)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what is tested."""


@dataclass
class Files:
    """Where the server is and whom it is certified by."""

    server: _Server
    authority: Path

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority)

    def address(self, name: str) -> str:
        return f"https://localhost:{self.server.server_port}/{name}"

    def part(self, name: str, path: str = "file.bin") -> Part:
        """A part that is what the server's good file is, at any of its addresses."""
        digest = hashlib.sha256(CONTENT).hexdigest()
        return Part(path, "a file", len(CONTENT), digest, "native", address=self.address(name))


def _certificate(folder: Path) -> tuple[Path, Path]:
    """An authority and a certificate of `localhost` with its key, each in a file."""
    now = datetime.now(UTC)

    def made(
        name: str, key: ec.EllipticCurvePrivateKey, by: str, signer: ec.EllipticCurvePrivateKey
    ) -> x509.Certificate:
        names = [
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, one)]) for one in (name, by)
        ]
        return (
            x509.CertificateBuilder()
            .subject_name(names[0])
            .issuer_name(names[1])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=name == by, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
                critical=False,
            )
            .sign(signer, hashes.SHA256())
        )

    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority, own = folder / "authority.pem", folder / "server.pem"
    pem = serialization.Encoding.PEM
    authority.write_bytes(made("authority", root, "authority", root).public_bytes(pem))
    own.write_bytes(
        leaf.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made("localhost", leaf, "authority", root).public_bytes(pem)
    )
    return authority, own


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    authority, own = _certificate(tmp_path_factory.mktemp("tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    server = _Server()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Files(server, authority)
    server.behind.set()
    server.shutdown()
    server.server_close()
    thread.join(10)

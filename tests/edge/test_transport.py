"""Over real TLS connections on loopback: who is let in, and what each answer of a hub means."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from cellwarden.edge.transport import HttpsTransport
from cellwarden.errors import DataError, Error, IdentityError, TrustError, UnavailableError
from cellwarden.trust.envelope import from_cbor
from cellwarden.trust.identity import Authority, Identity
from cellwarden.trust.tls import client_context, server_context
from cellwarden.wire import Ack, Refusal, encode_reply
from trust.making import Certified, authority, certify

REAL = time.time()
ACK = Ack(1, 1, "a head", (bytes(32),))


def now_certified(by: Authority, identity: Identity, **more: Any) -> Certified:
    """A certificate that is valid on this machine's clock, which TLS looks at."""
    return certify(by, identity, at=REAL, **more)


@pytest.fixture(scope="module")
def root() -> Authority:
    return authority(at=REAL)


Answer = Callable[[list[bytes]], tuple[int, bytes]]


@contextmanager
def serving(
    hub: Certified,
    root: Authority,
    answer: Answer,
    change: Callable[[ssl.SSLContext], object] = id,
    *,
    host: str = "127.0.0.1",
) -> Iterator[str]:
    """An HTTPS server with a hub's TLS settings; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, content = answer(from_cbor(body, "the request"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_args: object) -> None:
            """Silent."""

    class Server(HTTPServer):
        def handle_error(self, *_args: object) -> None:
            """A refused client is no fault of the server's."""

    context = server_context(hub.certificate, hub.key, root.certificate, clients_must_prove=True)
    change(context)
    server = Server((host, 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"https://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def connected(url: str, me: Certified, root: Authority) -> Iterator[HttpsTransport]:
    transport = HttpsTransport(url, client_context(me.certificate, me.key, root.certificate))
    try:
        yield transport
    finally:
        transport.close()


def test_messages_arrive_in_order_and_the_answer_comes_back(root: Authority) -> None:
    heard: list[list[bytes]] = []

    def answer(bodies: list[bytes]) -> tuple[int, bytes]:
        heard.append(bodies)
        return 200, encode_reply(ACK, None)

    hub, me = (
        now_certified(root, Identity("hub", "h")),
        now_certified(root, Identity("device", "a")),
    )
    with serving(hub, root, answer) as url, connected(url, me, root) as transport:
        for _ in range(3):
            assert transport.send([b"1", b"2", b"3"]) == (ACK, None)
    assert heard == [[b"1", b"2", b"3"]] * 3


REFUSAL = Refusal("SealError", "no", "look", 5)
ANSWERS: dict[str, tuple[int, bytes, type[Error] | None]] = {
    "taken in": (200, encode_reply(ACK, None), None),
    "taken in in part": (200, encode_reply(ACK, REFUSAL), None),
    "refused": (403, encode_reply(None, REFUSAL), None),
    "malformed": (422, encode_reply(None, REFUSAL), None),
    "too much": (429, b"", UnavailableError),
    "a fault": (500, b"Traceback", UnavailableError),
    "a gateway that finds no hub": (502, b"<html>", UnavailableError),
    "busy": (503, encode_reply(None, REFUSAL), UnavailableError),
    "no such page": (404, b"<html>", DataError),
    "moved": (302, b"", DataError),
    "a page": (200, b"<html>", DataError),
    "nothing": (200, b"", DataError),
    "half an answer": (200, encode_reply(ACK, None)[:-5], DataError),
    "more than an answer": (200, encode_reply(ACK, None) + b"\x00", DataError),
    "a list": (200, b"\x82\xf6\xf6", DataError),
    "a proof of numbers": (
        200,
        bytes.fromhex("a26361636b8401016081016772656675736c616cf6"),
        DataError,
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_each_answer_means_one_thing(root: Authority, name: str) -> None:
    status, content, kind = ANSWERS[name]
    hub, me = (
        now_certified(root, Identity("hub", "h")),
        now_certified(root, Identity("device", "a")),
    )
    with (
        serving(hub, root, lambda _bodies: (status, content)) as url,
        connected(url, me, root) as transport,
    ):
        if kind is None:
            ack, refusal = transport.send([b"m"])
            assert ack in (ACK, None)
            assert refusal in (REFUSAL, None)
            return
        with pytest.raises(kind) as told:
            transport.send([b"m"])
        assert told.value.hint


def _refuse(_bodies: list[bytes]) -> tuple[int, bytes]:
    pytest.fail("it was let in")


def test_a_hub_of_a_foreign_authority_hears_nothing(root: Authority) -> None:
    foreign = authority(at=REAL)
    hub, me = (
        now_certified(foreign, Identity("hub", "h")),
        now_certified(root, Identity("device", "a")),
    )
    with (
        serving(hub, foreign, _refuse) as url,
        connected(url, me, root) as transport,
        pytest.raises(IdentityError, match="hub's certificate is refused"),
    ):
        transport.send([b"m"])


def test_a_device_is_no_hub(root: Authority) -> None:
    false = certify(root, Identity("device", "b"), at=REAL)
    me = now_certified(root, Identity("device", "a"))
    with (
        serving(false, root, _refuse) as url,
        connected(url, me, root) as transport,
        pytest.raises(IdentityError),
    ):
        transport.send([b"m"])


def test_a_hub_at_an_address_that_its_certificate_does_not_name_is_refused(root: Authority) -> None:
    hub, me = (
        now_certified(root, Identity("hub", "h")),
        now_certified(root, Identity("device", "a")),
    )
    with (
        serving(hub, root, _refuse, host="127.0.0.2") as url,
        connected(url, me, root) as transport,
        pytest.raises(IdentityError, match="hub's certificate is refused"),
    ):
        transport.send([b"m"])


@pytest.mark.parametrize("who", ["foreign", "expired", "a hub"])
def test_whom_the_hub_does_not_know_is_told_so(root: Authority, who: str) -> None:
    hub = now_certified(root, Identity("hub", "h"))
    stranger = {
        "foreign": lambda: now_certified(authority(at=REAL), Identity("device", "a")),
        "expired": lambda: certify(
            root, Identity("device", "a"), at=REAL - 86400, lifetime=timedelta(hours=1)
        ),
        "a hub": lambda: now_certified(root, Identity("hub", "x")),
    }[who]()
    with (
        serving(hub, root, _refuse) as url,
        connected(url, stranger, root) as transport,
        pytest.raises(IdentityError, match="refuses this device's certificate"),
    ):
        transport.send([b"m"])


def test_a_hub_that_offers_less_than_tls_1_3_hears_nothing(root: Authority) -> None:
    hub, me = (
        now_certified(root, Identity("hub", "h")),
        now_certified(root, Identity("device", "a")),
    )

    def weaken(context: ssl.SSLContext) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2

    with (
        serving(hub, root, _refuse, weaken) as url,
        connected(url, me, root) as transport,
        pytest.raises((UnavailableError, TrustError)),
    ):
        transport.send([b"m"])


def test_no_hub_is_something_to_wait_out(root: Authority) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    me = now_certified(root, Identity("device", "a"))
    with (
        connected(f"https://127.0.0.1:{port}", me, root) as transport,
        pytest.raises(UnavailableError),
    ):
        transport.send([b"m"])


@pytest.mark.parametrize(
    "last_words", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]
)
def test_something_else_on_the_port_is_never_taken_for_a_hub(
    root: Authority, last_words: bytes
) -> None:
    me = now_certified(root, Identity("device", "a"))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.sendall(last_words)
            connection.close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with (
            connected(url, me, root) as transport,
            pytest.raises((UnavailableError, TrustError)),
        ):
            transport.send([b"m"])
        thread.join()

"""The hub as a process: opens its folder, serves devices on one address and people on another."""

import asyncio
import base64
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from threadpoolctl import threadpool_limits

from cellwarden.errors import (
    HTTP_STATUS,
    DecodeError,
    Error,
    IdentityError,
    UnavailableError,
    UsageError,
    look_up,
)
from cellwarden.hub.api import build_api
from cellwarden.hub.assess import Assessor
from cellwarden.hub.audit import StoreView, audit_routes
from cellwarden.hub.backup import snapshot_route
from cellwarden.hub.config import load_config
from cellwarden.hub.http import Listener, serve
from cellwarden.hub.ingest import Ingest, Peer
from cellwarden.hub.ledger import Ledger
from cellwarden.hub.order_desk import answer_device
from cellwarden.hub.orders import OrderBook, Signer
from cellwarden.hub.place import open_store
from cellwarden.hub.revocations import Revocations, read_roots, revoke
from cellwarden.hub.service import Hub
from cellwarden.hub.store import Store
from cellwarden.hub.strangers import Strangers
from cellwarden.trust.envelope import Opener, SigningKey, from_cbor
from cellwarden.trust.identity import Identity, load_certificate, load_key, utc
from cellwarden.trust.keys import FileKeyStore
from cellwarden.trust.tls import require_aes256, server_context
from cellwarden.wire import Refusal, encode_reply
from cellwarden.wire.audit import audit

__all__ = ["Gate", "device_routes", "open_hub", "read_roots", "revoke", "run"]

_LONGEST_BODY_BYTES: Final = 32 << 20
_PEER_SECOND: Final = 60.0
_ROOTS_SECOND: Final = 2.0
_log = structlog.get_logger()


Term = Callable[[Store, Ledger, Ingest], Callable[[], None]]


def open_hub(folder: Path, term: Term = lambda _store, _ledger, _ingest: lambda: None) -> Hub:
    """The hub of a folder, ready to take in; the caller closes it.

    `term` begins what whoever writes the ledger does beside it, and gives what ends it. On a file
    that is this hub; on a lake it is one of the hubs that share it.

    Raises:
        UsageError: the hub is on a lake, and what that takes is not installed.
        UnavailableError: the store does not serve, or another process has the file.
    """
    config = load_config(folder)
    if config.store == "lake":
        return _lake_opener()(folder, term)
    keys = FileKeyStore(folder / "keys")
    store = open_store(folder)
    key = ed25519.Ed25519PrivateKey.from_private_bytes(keys.get("ledger"))
    ledger = Ledger(store, key, config.origin)
    ingest = Ingest(store, ledger, Opener(keys.get("seal")), read_roots(folder, store))
    return Hub(store, ledger, ingest, on_close=term(store, ledger, ingest))


def _lake_opener() -> Callable[[Path, Term], Hub]:
    try:
        # The catalog's client comes with the `lake` extra, which most hubs do without.
        from cellwarden.hub.lake import open_on_lake  # noqa: PLC0415  see above
    except ImportError as error:
        raise UsageError(
            f"a hub on a lake needs more than is installed: {error}",
            hint="pip install 'cellwarden[lake]'",
        ) from error
    return open_on_lake


def _verify(hub: Hub) -> dict[str, Any]:
    """The hub holds its own rows against its own ledger; an outsider uses `cellwarden verify`."""
    started = time.monotonic()
    report = audit(StoreView(hub.store), hub.ingest.roots, hub.ledger.note_key)
    bad = report.first_bad
    return {
        "ok": report.ok,
        "device_count": report.device_count,
        "batch_count": report.batch_count,
        "frame_count": report.frame_count,
        "value_count": report.value_count,
        "tree_size": report.tree_size,
        "root": base64.b64encode(report.root).decode(),
        "first_bad": None
        if bad is None
        else {
            "device": bad.device,
            "sequence": bad.sequence,
            "leaf_index": bad.leaf_index,
            "reason": bad.reason,
        },
        "second": time.monotonic() - started,
    }


class Gate:
    """Who is on the other end of a connection; looks at a certificate once a minute."""

    def __init__(self, hub: Hub, folder_list: Revocations | None) -> None:
        """`folder_list` is looked at for news, unless somebody else does (a worker on a lake)."""
        self._hub = hub
        self._known: dict[str, tuple[float, Peer]] = {}
        self._roots = hub.ingest.roots
        self._folder_list = folder_list
        self._looked = 0.0

    def peer(self, request: Request) -> Peer:
        """The checked peer of a request.

        Raises:
            IdentityError: no certificate, or not one to believe.
        """
        now = self._hub.clock()
        self._refresh(now)
        chain = _shown(request)
        if not chain:
            raise IdentityError("no client certificate", hint="Connect with the device's own.")
        seen = self._known.get(chain[0])
        if seen is not None and now - seen[0] < _PEER_SECOND:
            return seen[1]
        certificate: x509.Certificate = load_certificate(chain[0].encode())
        identity: Identity = self._hub.ingest.roots.check(certificate, utc(now))
        if len(self._known) > 10_000:  # noqa: PLR2004  bounds memory
            self._known.clear()
        peer = Peer(identity, certificate)
        self._known[chain[0]] = (now, peer)
        return peer

    def _refresh(self, now: float) -> None:
        """Take up a new revocation list within seconds."""
        if self._folder_list is not None and now - self._looked >= _ROOTS_SECOND:
            self._looked = now
            if self._folder_list.changed():
                self._hub.ingest.roots = self._folder_list.roots()
        # Whoever has revoked a certificate, here or in another hub: nobody is known any more.
        if self._hub.ingest.roots is not self._roots:
            self._roots = self._hub.ingest.roots
            self._known.clear()


def _shown(request: Request) -> list[str]:
    chain: list[str] = (
        request.scope.get("extensions", {}).get("tls", {}).get("client_cert_chain", [])
    )
    return chain


def _shown_name(request: Request) -> str:
    """The name in the certificate of a connection, be it believed or not; empty without one."""
    chain = _shown(request)
    try:
        return Identity.of(load_certificate(chain[0].encode())).name if chain else ""
    except Error:
        return ""


def device_routes(hub: Hub, gate: Gate, book: OrderBook) -> list[Route]:
    """What devices may ask."""

    async def batches(request: Request) -> Response:
        try:
            peer = gate.peer(request)
            bodies = _bodies(await _read_body(request))
            reply = await asyncio.wrap_future(hub.ingest.submit(bodies, peer))
            return Response(encode_reply(*reply), media_type="application/cbor")
        except UnavailableError as error:
            _log.warning("busy", reason=str(error))
            return _refuse(error, 429 if "behind" in str(error) else 503, {"Retry-After": "1"})
        except Error as error:
            return await _refuse_sender(hub, request, error)

    async def expected(request: Request) -> Response:
        try:
            peer = gate.peer(request)
        except Error as error:
            return await _refuse_sender(hub, request, error)
        try:
            # A worker on a lake asks the lake, which may take its time.
            sequence = await asyncio.to_thread(hub.ingest.expected, peer.identity.name)
        except UnavailableError as error:
            return _refuse(error, 503, {"Retry-After": "1"})
        return JSONResponse({"sequence": sequence})

    async def orders(request: Request) -> Response:
        try:
            body = await answer_device(book, gate.peer(request), await _read_body(request))
            return Response(body, media_type="application/cbor")
        except UnavailableError as error:
            return _refuse(error, 503, {"Retry-After": "1"})
        except Error as error:
            return await _refuse_sender(hub, request, error)

    return [
        Route("/v1/orders", orders, methods=["POST"]),
        Route("/v1/batches", batches, methods=["POST"]),
        Route("/v1/expected", expected, methods=["GET"]),
    ]


def _listed(folder: Path) -> bytes:
    """The authority's revocation list as it lies in the folder."""
    path = folder / "crl.pem"
    return path.read_bytes() if path.exists() else b""


def _address(request: Request) -> str:
    return request.client.host if request.client else "?"


def _bodies(body: bytes) -> list[bytes]:
    match from_cbor(body, "the request"):
        case [*bodies] if bodies and all(isinstance(item, bytes) for item in bodies):
            return bodies
        case _:
            raise DecodeError("not a list of messages", hint="Update the sender's software.")


async def _read_body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > _LONGEST_BODY_BYTES:
            raise DecodeError(
                f"a request is longer than {_LONGEST_BODY_BYTES} bytes",
                hint="Send fewer messages at once.",
            )
        parts.append(part)
    return b"".join(parts)


async def _refuse_sender(hub: Hub, request: Request, error: Error) -> Response:
    claimed = _shown_name(request) or "?"
    who = claimed if claimed != "?" else _address(request)
    return await asyncio.to_thread(_refuse_on_record, hub, error, claimed, who)


def _refuse_on_record(hub: Hub, error: Error, claimed: str, who: str) -> Response:
    try:
        hub.ingest.note_refusal(error, claimed=claimed, peer=who)
    except UnavailableError as unserved:
        _log.warning("a refusal is not on record", refused=str(error), reason=str(unserved))
        return _refuse(unserved, 503, {"Retry-After": "1"})
    return _refuse(error, look_up(HTTP_STATUS, error), {})


def _refuse(error: Error, status: int, headers: dict[str, str]) -> Response:
    body = encode_reply(None, Refusal(type(error).__name__, str(error), error.hint))
    return Response(body, status, headers, media_type="application/cbor")


def _write_plain_logs() -> None:
    """One JSON object a line; a traceback without the values of variables, which may be secret."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _assessing(key: SigningKey, certificate: x509.Certificate) -> Term:
    """Verdicts, for as long as this hub writes the ledger."""

    def begin(store: Store, ledger: Ledger, ingest: Ingest) -> Callable[[], None]:
        ingest.enrol(certificate)
        assessor = Assessor(store, ledger, key, certificate)
        ingest.on_stored = assessor.hear
        assessor.start()
        return assessor.stop

    return begin


def run(folder: Path) -> None:
    """Serve the hub of a folder until told to stop."""
    _write_plain_logs()
    config = load_config(folder)
    keys = FileKeyStore(folder / "keys")
    certificate = load_certificate((folder / "hub.crt").read_bytes())
    key = load_key(keys.get("identity"))
    # Models here are small: more threads than one only get in each other's way.
    threadpool_limits(1)
    hub = open_hub(folder, _assessing(key, certificate))
    strangers = Strangers(lambda why: _refuse_on_record(hub, IdentityError(why), "?", "?"))
    try:
        roots = hub.ingest.roots
        device_tls = server_context(
            certificate, key, roots.authority, clients_must_prove=True, on_failure=strangers.hear
        )
        page_tls = server_context(certificate, key, roots.authority, clients_must_prove=False)
        require_aes256(device_tls)
        require_aes256(page_tls)
        on_file = config.store == "file"
        gate = Gate(hub, Revocations(folder, hub.store) if on_file else None)
        book = OrderBook(hub.store, hub.clock, Signer(key, certificate), lambda: _listed(folder))
        hub.watch(book.refresh)
        pages = build_api(
            hub,
            verify=lambda: _verify(hub),
            revoke=lambda device: revoke(hub, folder, device),
            peer_of=gate.peer,
            book=book,
        )
        devices: Any = Starlette(
            routes=[
                *device_routes(hub, gate, book),
                *audit_routes(hub.store, gate.peer),
                snapshot_route(hub.store, folder, gate.peer),
                Mount("/", pages),
            ]
        )
        listeners = [
            Listener(devices, config.host, config.device_port, device_tls),
            Listener(pages, config.host, config.page_port, page_tls),
        ]
        (folder / "hub.pid").write_text(str(os.getpid()))
        _log.info("starting", host=config.host, device_port=config.device_port, at=time.time())
        asyncio.run(serve(listeners))
    finally:
        strangers.close()
        hub.close()
        (folder / "hub.pid").unlink(missing_ok=True)

"""A small real hub for the pages: HTTPS on loopback, the built files, the contract's JSON.

It can be stopped and started again on its port, and told of changes, as a real hub would be.
"""

import asyncio
import datetime as dt
import ipaddress
import json
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from pages import invented

__all__ = ["POLICY", "STATIC", "StandIn"]

STATIC: Final = Path(__file__).parents[2] / "src/cellwarden/hub/static"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
_COOKIE: Final = "__Host-cellwarden"
_HEARTBEAT_SECOND: Final = 2.0
_VERIFIERS: Final = ("auditor", "operator", "administrator")

Json = dict[str, Any]


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


class StandIn:
    """The hub's contract over invented batteries; every role is an account with one password."""

    def __init__(self, folder: Path) -> None:
        self.password = secrets.token_urlsafe(9)
        self.fleet = invented.fleet(time.time())
        self.trust = invented.trust(time.time())
        self.first_bad: Json | None = None
        self.hushed = False  # the line stays open and nothing comes over it
        self._sessions: dict[str, Json] = {}
        self._listeners: set[asyncio.Queue[str | None]] = set()
        self._files = _certificate(folder)
        self._port = 0
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def base_url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        opened: set[asyncio.Transport] = set()

        class Protocol(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                opened.add(transport)
                super().connection_made(transport)

        config = uvicorn.Config(
            _Guarded(self._app()),
            http=Protocol,
            ssl_certfile=self._files[0],
            ssl_keyfile=self._files[1],
            log_level="critical",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        server = self._server = uvicorn.Server(config)

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            await server.serve(sockets=[listener])
            # A browser may owe its half of the TLS farewell for long; this end is gone.
            for transport in opened:
                transport.abort()
            await asyncio.sleep(0.01)

        self._thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
        self._thread.start()
        limit = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < limit, "the stand-in did not start"
            time.sleep(0.01)

    def stop(self) -> None:
        if self._server is None or self._thread is None:
            return
        self._say(None)
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive(), "the stand-in did not stop"
        self._server = self._thread = self._loop = None

    def tell_fleet(self) -> None:
        """Sends the fleet as it is now to every page that listens."""
        self.fleet["now_unix_time_second"] = time.time()
        self._say(f"event: fleet\ndata: {json.dumps(self.fleet)}\n\n")

    def tell_trust(self) -> None:
        counts = {name: self.trust[name] for name in ("accepted_count", "refused_count")}
        counts["tree_size"] = self.trust["ledger"]["tree_size"]
        self._say(f"event: trust\ndata: {json.dumps(counts)}\n\n")

    def end_sessions(self) -> None:
        self._sessions.clear()

    def battery(self, device: str) -> Json:
        for battery in self.fleet["batteries"]:
            if battery["device"] == device:
                return dict(battery)
        raise HTTPException(404, f"no battery is called {device}")

    def _say(self, text: str | None) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._deliver, text)

    def _deliver(self, text: str | None) -> None:
        for listener in self._listeners:
            listener.put_nowait(text)

    async def _events(self) -> AsyncIterator[str]:
        mine: asyncio.Queue[str | None] = asyncio.Queue()
        self._listeners.add(mine)
        try:
            yield ": here\n\n"
            while True:
                try:
                    text = await asyncio.wait_for(mine.get(), _HEARTBEAT_SECOND)
                except TimeoutError:
                    if self.hushed:
                        continue
                    text = ": still here\n\n"
                if text is None:
                    return
                yield text
        finally:
            self._listeners.discard(mine)

    def _account(self, request: Request, *roles: str) -> Json:
        account = self._sessions.get(request.cookies.get(_COOKIE, ""))
        if account is None:
            raise HTTPException(401, "nobody is signed in")
        if request.method != "GET" and request.headers.get("X-CSRF-Token") != account["csrf"]:
            raise HTTPException(403, "the request does not carry the session's token")
        if roles and account["role"] not in roles:
            raise HTTPException(403, f"the role {account['role']} does not allow this")
        return account

    def _sign_in(self, response: Response, wanted: Json) -> Json:
        roles = ("viewer", "operator", "analyst", "auditor", "administrator")
        if wanted.get("user") not in roles or wanted.get("password") != self.password:
            raise HTTPException(401, "user and password do not belong together")
        token = secrets.token_urlsafe()
        account = {"user": wanted["user"], "role": wanted["user"], "csrf": secrets.token_urlsafe()}
        self._sessions[token] = account
        response.set_cookie(_COOKIE, token, secure=True, httponly=True, samesite="strict")
        return account

    def verification(self) -> Json:
        ledger = self.trust["ledger"]
        return {
            "ok": self.first_bad is None, "device_count": len(self.trust["devices"]),
            "batch_count": ledger["tree_size"], "frame_count": ledger["tree_size"] * 60,
            "value_count": ledger["tree_size"] * 60 * 203, "tree_size": ledger["tree_size"],
            "root": ledger["root"], "first_bad": self.first_bad, "second": 3.417,
        }  # fmt: skip

    def _app(self) -> FastAPI:
        app = FastAPI(openapi_url=None)
        app.exception_handler(HTTPException)(_in_contract)
        self._session_routes(app)
        self._data_routes(app)

        @app.get("/{path:path}")
        def page(path: str) -> FileResponse:
            if path.startswith("api/"):
                raise HTTPException(404, "no such route")
            file = STATIC / path
            inside = path.startswith("assets/") and file.resolve().is_relative_to(STATIC)
            return FileResponse(file if inside and file.is_file() else STATIC / "index.html")

        return app

    def _session_routes(self, app: FastAPI) -> None:
        @app.post("/api/session")
        def sign_in(response: Response, wanted: Json) -> Json:
            return self._sign_in(response, wanted)

        @app.get("/api/session")
        def who(request: Request) -> Json:
            return self._account(request)

        @app.delete("/api/session", status_code=204)
        def sign_out(request: Request) -> None:
            self._account(request)
            self._sessions.pop(request.cookies[_COOKIE])

    def _data_routes(self, app: FastAPI) -> None:
        @app.get("/api/fleet")
        def fleet(request: Request) -> Json:
            self._account(request)
            return {**self.fleet, "now_unix_time_second": time.time()}

        @app.get("/api/batteries/{device}")
        def battery(request: Request, device: str) -> Json:
            self._account(request)
            return invented.battery_record(self.battery(device), time.time())

        @app.get("/api/batteries/{device}/signals")
        def signals(request: Request, device: str, start: float, stop: float, points: int) -> Json:
            self._account(request)
            return invented.signals(self.battery(device), start, stop, points)

        @app.get("/api/batteries/{device}/curves")
        def curves(request: Request, device: str, direction: str) -> Json:
            self._account(request)
            return invented.curves(self.battery(device), direction)

        @app.get("/api/receipts/{receipt_id}")
        def receipt(request: Request, receipt_id: str) -> JSONResponse:
            self._account(request)
            disposition = f'attachment; filename="{receipt_id}.json"'
            return JSONResponse(
                {"receipt_id": receipt_id}, headers={"Content-Disposition": disposition}
            )

        @app.get("/api/trust")
        def trust(request: Request) -> Json:
            self._account(request)
            return self.trust

        @app.post("/api/verify")
        def verify(request: Request) -> Json:
            self._account(request, *_VERIFIERS)
            time.sleep(0.2)  # long enough to be seen under way
            return self.verification()

        @app.get("/api/events")
        async def events(request: Request) -> StreamingResponse:
            self._account(request)
            if self.hushed:
                raise HTTPException(503, "no events for now")
            return StreamingResponse(self._events(), media_type="text/event-stream")


class _Guarded:
    """The app with the policy on each answer; streams pass through untouched."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [(b"content-security-policy", POLICY.encode())]
                message["headers"] = [*message.get("headers", []), *headers]
            await send(message)

        await self._app(scope, receive, with_policy)


async def _in_contract(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    body = {"error": "Error", "message": str(error.detail), "hint": ""}
    return JSONResponse(body, status_code=error.status_code)

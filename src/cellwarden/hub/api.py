"""The hub as people and their browsers see it: every route, and what stands before them.

Rules
- A request passes, from the outside in: headers, faults, access, body, route.
- Who may use a route stands in `roles.RIGHTS`; a route that is not there keeps this from starting.
- Routes that only read the store are plain functions, which run in worker threads.
"""

import itertools
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Annotated, Any, Final

import anyio.to_thread
from fastapi import FastAPI, Query
from fastapi import Path as PathPart
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from cellwarden.errors import IdentityError, UnavailableError
from cellwarden.features.curves import Direction
from cellwarden.hub.access import Access, Principal
from cellwarden.hub.body import ShortBody
from cellwarden.hub.contract import (
    BatteryDetail,
    Curves,
    ErrorBody,
    Fleet,
    Ok,
    Signals,
    Trust,
    Verification,
)
from cellwarden.hub.desk import Desk, add_desk
from cellwarden.hub.export import Form, stream_table
from cellwarden.hub.headers import SecureHeaders
from cellwarden.hub.ingest import Peer
from cellwarden.hub.live import Live
from cellwarden.hub.metrics import Metrics
from cellwarden.hub.order_desk import OrderDesk, add_orders
from cellwarden.hub.orders import OrderBook
from cellwarden.hub.pages import STATIC, Pages
from cellwarden.hub.problems import Faults, http_problem, invalid_request
from cellwarden.hub.roles import check_declared
from cellwarden.hub.service import Hub
from cellwarden.hub.sessions import Sessions
from cellwarden.hub.trail import Trail
from cellwarden.hub.views import Views
from cellwarden.trust.identity import load_certificate, utc

__all__ = ["build_api"]

_REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ErrorBody} for status in (400, 401, 403, 404, 422, 429, 500, 503)
}
_MEDIA: Final[dict[Form, str]] = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "bdf": "text/csv",
}
_CERTIFIED_STREAM_SECOND: Final = 300.0
_ENDING: Final[dict[Form, str]] = {"parquet": "parquet", "csv": "csv", "bdf": "bdf.csv"}
DeviceName = Annotated[str, PathPart(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
ReceiptId = Annotated[str, PathPart(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
TableName = Annotated[str, PathPart(pattern=r"^[a-z_]{1,40}$")]
Moment = Annotated[float | None, Query(allow_inf_nan=False)]
Points = Annotated[int, Query(ge=2, le=20_000)]


def build_api(
    hub: Hub,
    *,
    verify: Callable[[], dict[str, Any]],
    revoke: Callable[[str], None],
    peer_of: Callable[[Request], Peer] | None = None,
    book: OrderBook | None = None,
    static: Path = STATIC,
    stale_second: float = 120.0,
) -> FastAPI:
    """The application that answers people; it needs no start or stop of its own.

    `verify` holds the whole store against its ledger, `revoke` takes a device's certificate back,
    `peer_of` knows whose certificate a connection showed, `book` has the orders to devices.

    Raises:
        UsageError: a route has no row in the table of rights.
    """
    sessions, trail = Sessions(hub.clock), Trail(hub.store, hub.clock)
    views = Views(hub, stale_second=stale_second)
    live = Live(views.glance)
    metrics = Metrics(hub, lambda: live.client_count)
    shown = peer_of or _certified(hub)
    access = Middleware(
        Access,
        sessions=sessions,
        trail=trail,
        peer_of=shown,
        pages=Pages(static),
        clock=hub.clock,
    )
    headers = Middleware(SecureHeaders, counted=metrics.count)
    app = FastAPI(
        title="Cellwarden hub",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        responses=_REFUSALS,
        middleware=[headers, Middleware(Faults), access, Middleware(ShortBody)],
        exception_handlers={
            RequestValidationError: invalid_request,
            HTTPException: http_problem,
        },
    )
    app.state.live = live
    _add_views(app, views)
    _add_files(app, hub, views, trail)
    _add_verify(app, verify, trail)
    _add_machines(app, metrics)
    _add_events(app, live, sessions)
    add_desk(app, Desk(hub, sessions, trail, revoke))
    orders = OrderBook(hub.store, hub.clock) if book is None else book
    add_orders(app, OrderDesk(hub, orders, trail), shown)
    check_declared(app.routes)
    return app


def _certified(hub: Hub) -> Callable[[Request], Peer]:
    """Reads the certificate that the connection showed."""

    def peer_of(request: Request) -> Peer:
        chain = request.scope.get("extensions", {}).get("tls", {}).get("client_cert_chain", [])
        if not chain:
            raise IdentityError("no client certificate", hint="Connect with your own.")
        certificate = load_certificate(chain[0].encode())
        return Peer(hub.ingest.roots.check(certificate, utc(hub.clock())), certificate)

    return peer_of


def _who(request: Request) -> Principal:
    principal: Principal = request.scope["cellwarden.principal"]
    return principal


def _add_views(app: FastAPI, views: Views) -> None:
    @app.get("/api/fleet")
    def fleet() -> Fleet:
        """Every battery as it was last heard of."""
        return views.fleet()

    @app.get("/api/batteries/{device}")
    def battery(device: DeviceName) -> BatteryDetail:
        """One battery with what its verdict rests on."""
        return views.battery(device)

    @app.get("/api/batteries/{device}/signals")
    def signals(
        device: DeviceName, start: Moment = None, stop: Moment = None, points: Points = 1000
    ) -> Signals:
        """Readings between two times, thinned to about so many points, peaks kept."""
        return views.signals(device, start, stop, points)

    @app.get("/api/batteries/{device}/curves")
    def curves(device: DeviceName, direction: Direction = "discharge") -> Curves:
        """Some whole charges or discharges of the mean cell: voltage over charge, and dQ/dV."""
        return views.curves(device, direction)

    @app.get("/api/trust")
    def trust() -> Trust:
        """Ledger, devices, what was refused and accepted last."""
        return views.trust()


def _add_files(app: FastAPI, hub: Hub, views: Views, trail: Trail) -> None:
    @app.get("/api/receipts/{receipt_id}", response_class=Response)
    def receipt(receipt_id: ReceiptId) -> Response:
        """The proof behind a verdict, byte for byte as it was made."""
        named = _attachment(f"{receipt_id}.json")
        return Response(views.receipt(receipt_id), headers=named, media_type="application/json")

    def exported(request: Request, table: str, form: Form, device: str | None) -> Response:
        chunks = stream_table(hub.store, table, form, device)
        first = next(chunks, b"")  # what cannot be read is refused before the answer begins
        trail.note(_who(request).actor, "export", table if device is None else f"{table} {device}")
        name = f"{table}.{_ENDING[form]}" if device is None else f"{device}.{_ENDING[form]}"
        return _FileStream(first, chunks, headers=_attachment(name), media_type=_MEDIA[form])

    @app.get("/api/export/audit", response_class=StreamingResponse)
    def export_audit(
        request: Request, form: Annotated[Form, Query(alias="format")] = "csv"
    ) -> Response:
        """Who did what."""
        return exported(request, "audit", form, None)

    @app.get("/api/export/{table}", response_class=StreamingResponse)
    def export(
        request: Request,
        table: TableName,
        form: Annotated[Form, Query(alias="format")] = "parquet",
        device: Annotated[str | None, Query(max_length=63)] = None,
    ) -> Response:
        """A table, or one device's part of it; `bdf` is the Battery Data Format as CSV."""
        return exported(request, table, form, device)


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


class _FileStream(StreamingResponse):
    """Chunks of an export; whoever hangs up ends it, and does not leave it to chance when."""

    def __init__(self, first: bytes, chunks: Generator[bytes, None, None], **more: Any) -> None:
        super().__init__(itertools.chain([first], chunks), **more)
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._chunks.close)


def _add_verify(app: FastAPI, verify: Callable[[], dict[str, Any]], trail: Trail) -> None:
    one_at_a_time = anyio.Semaphore(1)

    @app.post("/api/verify")
    async def verify_all(request: Request) -> Verification:
        """Hold every row against the ledger."""
        try:
            one_at_a_time.acquire_nowait()
        except anyio.WouldBlock as error:
            raise UnavailableError("somebody verifies already", hint="Wait for it.") from error
        try:
            told = Verification.model_validate(await anyio.to_thread.run_sync(verify))
        finally:
            one_at_a_time.release()
        outcome = "holds" if told.ok else "does not hold"
        await anyio.to_thread.run_sync(trail.note, _who(request).actor, "verify", "", outcome)
        return told


def _add_machines(app: FastAPI, metrics: Metrics) -> None:
    @app.get("/healthz")
    async def healthz() -> Ok:
        """The hub answers; nothing else is told to strangers."""
        return Ok()

    @app.get("/metrics", response_class=Response)
    def counted() -> Response:
        """Counters for Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/openapi.json", include_in_schema=False)
    def described() -> dict[str, Any]:
        """This interface, described."""
        return app.openapi()


def _add_events(app: FastAPI, live: Live, sessions: Sessions) -> None:
    @app.get("/api/events", response_class=Response)
    async def events(request: Request) -> Response:
        """Server-sent events: `fleet` and `trust`, whenever they change."""
        session = _who(request).session
        # A certificate may be taken back: its holder has to come again, and is looked at again.
        end = time.monotonic() + _CERTIFIED_STREAM_SECOND
        return live.stream(lambda: sessions.alive(session) if session else time.monotonic() < end)

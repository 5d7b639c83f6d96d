"""Who asks, and whether they may: stands before every route.

Rules
- Somebody is known by a session cookie, or by an operator's certificate on the connection.
- What has no row in the table of rights never reaches a route; only the static pages answer it.
- Whoever changes something proves that the request was made by our own page: the browser says
  same origin, and a request with a cookie carries the session's CSRF token. A program with a
  certificate sends neither, and a browser that has one must still be on our own page.
- Denied decisions of known people are put on record, at a bounded rate.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from cellwarden.errors import Error, IdentityError
from cellwarden.hub.ingest import Peer
from cellwarden.hub.problems import Declined
from cellwarden.hub.roles import OPEN, Role, Row, row_for
from cellwarden.hub.sessions import Session, Sessions
from cellwarden.hub.throttle import Throttle
from cellwarden.hub.trail import Trail

__all__ = ["COOKIE", "Access", "Principal", "address_of"]

COOKIE: Final = "__Host-cellwarden"
_CSRF_HEADER: Final = "x-csrf-token"
_READING: Final = ("GET", "HEAD")
_DENIALS: Final = 30
_DENIAL_SECOND: Final = 10.0


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks; `session` is None for the holder of a certificate."""

    name: str
    role: Role
    session: Session | None

    @property
    def actor(self) -> str:
        """How the audit trail calls them; a certificate is not the account of the same name."""
        return self.name if self.session else f"certificate:{self.name}"


class Access:
    """Lets a request through, or not; `pages` answers what is no route."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        sessions: Sessions,
        trail: Trail,
        peer_of: Callable[[Request], Peer],
        pages: ASGIApp,
        clock: Callable[[], float],
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._trail = trail
        self._peer_of = peer_of
        self._pages = pages
        self._clock = clock
        self._denials = Throttle(_DENIALS, _DENIAL_SECOND)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or raise what is wrong with it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        row = row_for(scope["method"], scope["path"])
        if row is None:
            scope["cellwarden.route"] = "pages"
            await self._pages(scope, receive, send)
            return
        scope["cellwarden.route"] = row.path
        request = Request(scope)
        if scope["method"] not in _READING:
            _check_origin(request)
        if row.roles is not OPEN:
            scope["cellwarden.principal"] = await self._admit(request, row)
        await self._app(scope, receive, send)

    async def _admit(self, request: Request, row: Row) -> Principal:
        roles = row.roles or frozenset()
        principal = self._principal(request)
        if principal is None:
            raise Declined(401, IdentityError("not signed in", hint="Sign in first."))
        if principal.session is not None and request.method not in _READING:
            told = request.headers.get(_CSRF_HEADER, "")
            if not secrets.compare_digest(told.encode(), principal.session.csrf.encode()):
                await self._deny(principal, row, "cross-site")
                raise IdentityError(
                    "the request does not carry its session's token", hint="Load the page again."
                )
        if principal.role not in roles:
            await self._deny(principal, row, "denied")
            raise IdentityError(
                f"the role {principal.role} may not do this",
                hint=f"Ask somebody who may: {', '.join(sorted(roles))}.",
            )
        return principal

    def _principal(self, request: Request) -> Principal | None:
        token = _cookie(request.headers)
        session = self._sessions.find(token) if token else None
        if session is not None:
            return Principal(session.user, session.role, session)
        try:
            identity = self._peer_of(request).identity
        except Error:
            return None
        if identity.kind != "operator" or identity.role not in list(Role):
            return None
        return Principal(identity.name, Role(identity.role), None)

    async def _deny(self, principal: Principal, row: Row, outcome: str) -> None:
        if self._denials.take(principal.actor, self._clock()):
            return
        action = f"{row.method} {row.path}"
        await anyio.to_thread.run_sync(self._trail.note, principal.actor, action, "", outcome)


def address_of(request: Request) -> str:
    """The other end's address, as far as it is one person's: IPv6 up to /64."""
    host = request.client.host if request.client else "?"
    return ":".join(host.split(":")[:4]) if ":" in host else host


def _cookie(headers: Headers) -> str:
    for told in headers.getlist("cookie"):
        found = cookie_parser(told).get(COOKIE)
        if found:
            return found
    return ""


def _check_origin(request: Request) -> None:
    """The browser says that our own page asks; programs say nothing.

    Raises:
        IdentityError: another page asks.
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    ours = f"{request.url.scheme}://{request.headers.get('host', '')}".lower()
    if site != "same-origin" or (origin is not None and _site(origin) != ours):
        raise IdentityError("another page made this request", hint="Use the hub's own pages.")


def _site(origin: str) -> str:
    parts = urlsplit(origin)
    return f"{parts.scheme}://{parts.netloc}".lower()

"""What a refused request is told: the error, what to do about it, and nothing that is secret."""

import secrets
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cellwarden.errors import HTTP_STATUS, Error, UsageError, look_up

__all__ = ["Declined", "Faults", "answer", "http_problem", "invalid_request"]

_log = structlog.get_logger()


class Declined(Exception):  # noqa: N818  it is an answer, not a fault
    """An error with an HTTP status that its class alone does not tell: 401, 404, 413, 429."""

    def __init__(self, status: int, error: Error, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(error))
        self.status = status
        self.error = error
        self.headers = dict(headers or {})


def answer(error: Error, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """An error as JSON."""
    body = {"error": type(error).__name__, "message": str(error), "hint": error.hint}
    return JSONResponse(body, status, dict(headers or {}))


async def invalid_request(_request: Request, problem: Exception) -> Response:
    """What is wrong with a request's fields, without repeating what they held."""
    found: Sequence[Any] = problem.errors() if isinstance(problem, RequestValidationError) else ()
    told = "; ".join(f"{'.'.join(str(part) for part in f['loc'])}: {f['msg']}" for f in found)
    error = UsageError(told or "the request cannot be read", hint="See /openapi.json.")
    return answer(error, 422)


async def http_problem(_request: Request, problem: Exception) -> Response:
    """A problem that the framework found, in our shape."""
    status = problem.status_code if isinstance(problem, HTTPException) else 500
    detail = str(problem.detail) if isinstance(problem, HTTPException) else "failed"
    headers = problem.headers if isinstance(problem, HTTPException) else None
    return answer(UsageError(detail, hint="See /openapi.json."), status, headers)


class Faults:
    """Turns whatever was raised into an answer; detail of the unexpected goes to the log only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as problem:
            if begun or scope["type"] != "http":
                # Too late for an answer: a broken connection tells that the body is not whole.
                _note(problem, scope)
                raise
            await _explain(problem, scope)(scope, receive, send)


def _explain(problem: Exception, scope: Scope) -> Response:
    if isinstance(problem, Declined):
        return answer(problem.error, problem.status, problem.headers)
    if isinstance(problem, Error):
        status = look_up(HTTP_STATUS, problem)
        return answer(problem, status, {"Retry-After": "1"} if status == 503 else None)  # noqa: PLR2004  HTTP
    mark = _note(problem, scope)
    hint = f"Look for {mark} in the hub's log."
    return answer(Error(f"the hub failed ({mark})", hint=hint), 500)


def _note(problem: Exception, scope: Scope) -> str:
    """Log the unexpected: where and what, never the values of variables."""
    mark = secrets.token_hex(4)
    _log.error(
        "request failed",
        id=mark,
        method=scope.get("method"),
        route=scope.get("cellwarden.route", "?"),
        kind=type(problem).__name__,
        reason=str(problem),
        where="".join(traceback.format_tb(problem.__traceback__)),
    )
    return mark

"""Bodies are short, come in one piece and in time; only then does a route see them."""

from typing import Final

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cellwarden.errors import DecodeError
from cellwarden.hub.problems import Declined

__all__ = ["ShortBody"]

_LONGEST_BYTES: Final = 64 << 10
_PATIENCE_SECOND: Final = 10.0
_CLOSE: Final = {"Connection": "close"}


class ShortBody:
    """Reads a request's body before it is passed on; stands behind access."""

    def __init__(self, app: ASGIApp, longest_bytes: int = _LONGEST_BYTES) -> None:
        self._app = app
        self._longest_bytes = longest_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body read.

        Raises:
            Declined: it is too long (413) or too slow (408).
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = Headers(scope=scope).get("content-length", "0")
        if not told.isdecimal() or int(told) > self._longest_bytes:
            raise self._too_long()
        try:
            with anyio.fail_after(_PATIENCE_SECOND):
                body = await self._read(receive)
        except TimeoutError as error:
            slow = DecodeError("the request's body does not come", hint="Send it again.")
            raise Declined(408, slow, _CLOSE) from error
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, again, send)

    async def _read(self, receive: Receive) -> bytes:
        body: bytes = b""
        while True:
            message = await receive()
            body += bytes(message.get("body", b""))
            if len(body) > self._longest_bytes:
                raise self._too_long()
            if not message.get("more_body", False):
                return body

    def _too_long(self) -> Declined:
        error = DecodeError(
            f"a request is longer than {self._longest_bytes} bytes", hint="Send less at once."
        )
        return Declined(413, error, _CLOSE)

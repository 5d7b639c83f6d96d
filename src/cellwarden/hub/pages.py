"""The built pages, held in memory: a path is a key of a table, so none leads out of the folder."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from cellwarden.errors import UsageError
from cellwarden.hub.problems import Declined

__all__ = ["STATIC", "Pages"]

STATIC: Final = Path(__file__).parent / "static"
_NO_PAGES: Final = ("/api/", "/v1/", "/assets/")
_TEXTS: Final = ("text/", "application/javascript", "application/json", "image/svg+xml")
_FOREVER: Final = "public, max-age=31536000, immutable"
_MISSING: Final = """<!doctype html><html lang="en"><meta charset="utf-8">
<title>Cellwarden</title><h1>The pages are not built</h1>
<p>The hub runs. In its source folder run <code>make pages</code>, then start it again.</p></html>
"""


@dataclass(frozen=True, slots=True)
class _Page:
    content: bytes
    packed: bytes | None
    media_type: str
    etag: str
    cache: str


class Pages:
    """Answers whatever is no route: files, and the index for the addresses that pages make up."""

    def __init__(self, folder: Path = STATIC) -> None:
        """Read the folder once; it may be absent."""
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        self._pages = {f"/{path.relative_to(folder).as_posix()}": _read(path) for path in files}
        for path, page in list(self._pages.items()):
            if path.startswith("/assets/"):
                self._pages[path] = _Page(
                    page.content, page.packed, page.media_type, page.etag, _FOREVER
                )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._answer(scope)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        path, method = scope["path"], scope["method"]
        if any(path.startswith(start) for start in ("/api/", "/v1/")):
            raise Declined(404, UsageError("there is no such route", hint="See /openapi.json."))
        if method not in ("GET", "HEAD"):
            refused = UsageError("a page can only be read", hint="Use GET.")
            raise Declined(405, refused, {"Allow": "GET, HEAD"})
        page = self._pages.get(path)
        if page is None and path.startswith(_NO_PAGES):
            raise Declined(404, UsageError("there is no such file", hint="Load the page again."))
        page = page or self._pages.get("/index.html")
        if page is None:
            return HTMLResponse(_MISSING, 503)
        return _send(page, Headers(scope=scope))


def _send(page: _Page, asked: Headers) -> Response:
    headers = {"ETag": page.etag, "Cache-Control": page.cache, "Vary": "Accept-Encoding"}
    known = {tag.strip().removeprefix("W/") for tag in asked.get("if-none-match", "").split(",")}
    if page.etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    if page.packed is not None and "gzip" in asked.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(page.packed, headers=headers, media_type=page.media_type)
    return Response(page.content, headers=headers, media_type=page.media_type)


def _read(path: Path) -> _Page:
    content = path.read_bytes()
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or _UNKNOWN
    packed = gzip.compress(content, mtime=0) if media_type.startswith(_TEXTS) else None
    if packed is not None and len(packed) >= len(content):
        packed = None
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _Page(content, packed, media_type, etag, "no-cache")


# Not left to the machine's own table, which may say anything.
_TYPES: Final = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".woff2": "font/woff2",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webmanifest": "application/manifest+json",
}
_UNKNOWN: Final = "application/octet-stream"

"""The ledger as an auditor reads it: from the hub's files, or from a running hub."""

import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

import httpx
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cellwarden.errors import (
    HTTP_STATUS,
    DecodeError,
    Error,
    IdentityError,
    UnavailableError,
    look_up,
)
from cellwarden.hub.ingest import Peer
from cellwarden.hub.rows import read_batches
from cellwarden.hub.store import Store
from cellwarden.trust.envelope import from_cbor, to_cbor
from cellwarden.wire import encode_columns
from cellwarden.wire.audit import CHUNK, Rows

__all__ = ["HubView", "StoreView", "audit_routes"]

_AUDITORS: Final = ("auditor", "administrator")
_CBOR: Final = "application/cbor"


class StoreView:
    """Reads the rows of an open store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def head(self) -> str:
        """The newest signed head."""
        found = self._store.rows("SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1")
        if not found:
            raise DecodeError("the ledger is empty", hint="Send something first.")
        return str(found[0][0])

    def entries(self, start: int, stop: int) -> list[bytes]:
        """Entries in their order."""
        found = self._store.rows(
            "SELECT entry FROM leaf WHERE leaf_index >= ? AND leaf_index < ? ORDER BY leaf_index",
            [start, stop],
        )
        return [bytes(row[0]) for row in found]

    def rows(self, start: int, stop: int) -> dict[int, Rows]:
        """What is kept of the batches among these leaves, encoded again."""
        told = self._store.rows(
            "SELECT leaf_index, device, sequence, salt, notes FROM batch"
            " WHERE leaf_index >= ? AND leaf_index < ?",
            [start, stop],
        )
        columns = self._columns(start, stop) if told else {}
        names = self._names(start, stop)
        return {
            index: Rows(
                " and ".join(sorted({device, *names[index]})),
                sequence,
                bytes(salt),
                columns[index],
                bytes(notes),
            )
            for index, device, sequence, salt, notes in told
            if index in columns
        }

    def _columns(self, start: int, stop: int) -> dict[int, bytes]:
        """Columns of each leaf that has rows; empty where the rows cannot be frames."""
        try:
            found = read_batches(self._store, start, stop - 1)
        except Error:
            if stop - start == 1:
                return {start: b""}
            middle = (start + stop) // 2
            return self._columns(start, middle) | self._columns(middle, stop)
        return {index: encode_columns(frames) for index, frames in found.items()}

    def _names(self, start: int, stop: int) -> dict[int, list[str]]:
        """In whose name the rows of each leaf stand."""
        found = self._store.rows(
            "SELECT leaf_index, list(DISTINCT device) FROM sample"
            " WHERE leaf_index >= ? AND leaf_index < ? GROUP BY leaf_index",
            [start, stop],
        )
        return dict(found)

    def frame_count(self, size: int) -> int:
        """All rows that the hub keeps, without those of entries after the first `size`."""
        return int(
            self._store.rows(
                "SELECT coalesce(sum(frame_count), 0) FROM (SELECT leaf_index, count(*) AS"
                " frame_count FROM sample GROUP BY leaf_index) WHERE leaf_index IS NULL"
                " OR leaf_index < ?"
                " OR leaf_index NOT IN (SELECT leaf_index FROM leaf WHERE leaf_index >= ?)",
                [size, size],
            )[0][0]
        )


class HubView:
    """Reads a running hub, as an operator whose role may."""

    def __init__(self, url: str, context: ssl.SSLContext) -> None:
        self._client = httpx.Client(base_url=url, verify=context, timeout=120.0, trust_env=False)

    def head(self) -> str:
        """The newest signed head."""
        match self._ask("/v1/ledger/head"):
            case str(note):
                return note
            case _:
                raise _no_answer()

    def entries(self, start: int, stop: int) -> list[bytes]:
        """Entries in their order."""
        match self._ask(f"/v1/ledger/entries/{start}/{stop}"):
            case [*entries] if all(isinstance(entry, bytes) for entry in entries):
                return entries
            case _:
                raise _no_answer()

    def rows(self, start: int, stop: int) -> dict[int, Rows]:
        """What the hub keeps of the batches among these leaves."""
        match self._ask(f"/v1/ledger/rows/{start}/{stop}"):
            case dict() as told if all(isinstance(index, int) for index in told):
                return {index: _hear_rows(parts) for index, parts in told.items()}
            case _:
                raise _no_answer()

    def frame_count(self, size: int) -> int:
        """All rows that the hub says it keeps, without those of entries after the first `size`."""
        match self._ask(f"/v1/ledger/frames/{size}"):
            case int(count):
                return count
            case _:
                raise _no_answer()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _ask(self, path: str) -> Any:
        try:
            answer = self._client.get(path)
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"the hub does not answer: {error}", hint="Check that it runs, and its address."
            ) from error
        told = from_cbor(answer.content, "the hub's answer")
        if answer.status_code != httpx.codes.OK:
            raise IdentityError(f"the hub refuses: {told}", hint="Use an auditor's certificate.")
        return told


def _no_answer() -> DecodeError:
    return DecodeError("the hub answers something else", hint="Check the hub's version.")


def _hear_rows(parts: Any) -> Rows:
    match parts:
        case [str(device), int(sequence), bytes(salt), bytes(columns), bytes(notes)]:
            return Rows(device, sequence, salt, columns, notes)
        case _:
            raise _no_answer()


def audit_routes(store: Store, peer_of: Callable[[Request], Peer]) -> list[Route]:
    """What auditors may ask of a running hub."""
    view = StoreView(store)

    def span(request: Request) -> tuple[int, int]:
        start, stop = int(request.path_params["start"]), int(request.path_params["stop"])
        return start, min(stop, start + CHUNK)

    def rows(request: Request) -> dict[int, list[Any]]:
        found = view.rows(*span(request))
        return {
            index: [kept.device, kept.sequence, kept.salt, kept.columns, kept.notes]
            for index, kept in found.items()
        }

    answers: Sequence[tuple[str, Callable[[Request], Any]]] = (
        ("/v1/ledger/head", lambda _request: view.head()),
        ("/v1/ledger/entries/{start:int}/{stop:int}", lambda r: view.entries(*span(r))),
        ("/v1/ledger/rows/{start:int}/{stop:int}", rows),
        ("/v1/ledger/frames/{size:int}", lambda r: view.frame_count(r.path_params["size"])),
    )
    return [Route(path, _route(answer, peer_of)) for path, answer in answers]


def _route(
    answer: Callable[[Request], Any], peer_of: Callable[[Request], Peer]
) -> Callable[[Request], Any]:
    async def serve(request: Request) -> Response:
        try:
            identity = peer_of(request).identity
            if identity.kind != "operator" or identity.role not in _AUDITORS:
                raise IdentityError(
                    f"{identity.name} may not audit", hint="Use an auditor's certificate."
                )
            told = await run_in_threadpool(answer, request)
            return Response(to_cbor(told), media_type=_CBOR)
        except Error as error:
            return Response(to_cbor(str(error)), look_up(HTTP_STATUS, error), media_type=_CBOR)

    return serve

"""A copy of a hub's store that is whole at one moment, made while the hub goes on."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cellwarden.errors import (
    HTTP_STATUS,
    Error,
    IdentityError,
    UnavailableError,
    look_up,
)
from cellwarden.hub.ingest import Peer
from cellwarden.hub.store import Store
from cellwarden.trust.envelope import to_cbor

__all__ = ["SNAPSHOT", "snapshot", "snapshot_route"]

SNAPSHOT: Final = "snapshot.duckdb"


def snapshot(store: Store, folder: Path) -> Path:
    """Copy the store's file, encrypted as it is, while nobody writes.

    Raises:
        UsageError: the store is a lake, whose catalog and objects have backups of their own.
        UnavailableError: the disk did not take the copy.
    """
    target, partial = folder / SNAPSHOT, folder / f".{SNAPSHOT}"
    try:
        with store.standing_still() as file, partial.open("wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UnavailableError(
            f"the copy cannot be written: {error.strerror}", hint="Free the disk."
        ) from error
    return target


def snapshot_route(store: Store, folder: Path, peer_of: Callable[[Request], Peer]) -> Route:
    """Lets an administrator of this machine ask the running hub for a copy."""

    async def serve(request: Request) -> Response:
        try:
            identity = peer_of(request).identity
            if identity.kind != "operator" or identity.role != "administrator":
                raise IdentityError(
                    f"{identity.name} may not copy the store", hint="Ask an administrator."
                )
            await run_in_threadpool(snapshot, store, folder)
            return Response(to_cbor(SNAPSHOT), media_type="application/cbor")
        except Error as error:
            return Response(
                to_cbor(str(error)), look_up(HTTP_STATUS, error), media_type="application/cbor"
            )

    return Route("/v1/snapshot", serve, methods=["POST"])

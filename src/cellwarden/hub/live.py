"""Changes as they happen: one producer looks, all clients hear.

Rules
- Nobody is asked for a change that nobody waits for: the producer runs while there are clients.
- It looks four times a second at counters in memory, queries only when they moved, and rests at
  least four times as long as the queries took.
- Events are whole states, so a client that reads slowly gets the newest and misses the others;
  one that does not read at all is let go.
- A stream ends with the session that opened it.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Final

import anyio
import anyio.to_thread
import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cellwarden.errors import UnavailableError
from cellwarden.hub.fleet import FleetView

__all__ = ["EventStream", "Live"]

_MOST: Final = 64
_LOOK_SECOND: Final = 0.25
_REST: Final = 4.0
_BEAT_SECOND: Final = 10.0
_PATIENCE_SECOND: Final = 15.0
_AFTER_FAULT_SECOND: Final = 2.0
_log = structlog.get_logger()


class Live:
    """What is new, told to everybody who listens."""

    def __init__(
        self,
        glance: FleetView,
        *,
        most: int = _MOST,
        beat_second: float = _BEAT_SECOND,
        patience_second: float = _PATIENCE_SECOND,
    ) -> None:
        self._glance = glance
        self._most = most
        self.beat_second = beat_second
        self.patience_second = patience_second
        self.newest: dict[str, tuple[int, bytes]] = {}
        self._waiting: set[asyncio.Event] = set()
        self._key: Hashable = None
        self._producer: asyncio.Task[None] | None = None
        self.look_count = 0

    @property
    def client_count(self) -> int:
        """Streams that are open."""
        return len(self._waiting)

    def stream(self, alive: Callable[[], bool]) -> "EventStream":
        """A stream for one client, for as long as `alive`.

        Raises:
            UnavailableError: too many listen already.
        """
        if len(self._waiting) >= self._most:
            raise UnavailableError("too many pages are open", hint="Close some, then try again.")
        return EventStream(self, alive)

    def join(self) -> asyncio.Event:
        """One more client; the event is set when there is something new."""
        changed = asyncio.Event()
        self._waiting.add(changed)
        if self._producer is None or self._producer.done():
            self._key = None
            self.newest.clear()
            self._producer = asyncio.create_task(self._produce(), name="live")
        return changed

    def leave(self, changed: asyncio.Event) -> None:
        """One client less."""
        self._waiting.discard(changed)
        if not self._waiting and self._producer is not None:
            self._producer.cancel()
            self._producer = None

    async def _produce(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001  one fault must not end the view for all
                _log.error("no live view", kind=type(error).__name__, reason=str(error))
                await asyncio.sleep(_AFTER_FAULT_SECOND)
            spent = loop.time() - began
            await asyncio.sleep(max(_LOOK_SECOND, _REST * spent))

    async def _look(self) -> None:
        key = self._glance.key()
        if key == self._key:
            return
        self.look_count += 1
        fleet = await anyio.to_thread.run_sync(lambda: self._glance.fleet().model_dump_json())
        counts = self._glance.counts().model_dump_json()
        self._key = key
        self._tell("fleet", fleet)
        self._tell("trust", counts)

    def _tell(self, event: str, data: str) -> None:
        number, before = self.newest.get(event, (0, b""))
        told = f"event: {event}\ndata: {data}\n\n".encode()
        if told == before:
            return
        self.newest[event] = (number + 1, told)
        for changed in self._waiting:
            changed.set()


class EventStream(Response):
    """Server-sent events for one client."""

    media_type = "text/event-stream"

    def __init__(self, live: Live, alive: Callable[[], bool]) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._live = live
        self._alive = alive

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client goes, is too slow, or its session ends."""
        changed = self._live.join()
        try:
            await self._begin(send)
            async with anyio.create_task_group() as tasks:

                async def watch() -> None:
                    while (await receive())["type"] != "http.disconnect":
                        pass
                    tasks.cancel_scope.cancel()

                tasks.start_soon(watch)
                await self._send_all(changed, send)
                tasks.cancel_scope.cancel()
        finally:
            self._live.leave(changed)

    async def _begin(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})

    async def _send_all(self, changed: asyncio.Event, send: Send) -> None:
        heard: dict[str, int] = {}
        loop = asyncio.get_running_loop()
        beat = loop.time() + self._live.beat_second
        while self._alive():
            changed.clear()
            for event, (number, data) in list(self._live.newest.items()):
                if heard.get(event) != number:
                    heard[event] = number
                    if not await self._sent(send, data):
                        return
            if loop.time() >= beat:
                beat = loop.time() + self._live.beat_second
                if not await self._sent(send, b": still here\n\n"):
                    return
            with anyio.move_on_after(max(0.0, beat - loop.time())):
                await changed.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _sent(self, send: Send, data: bytes) -> bool:
        """Whether the client took it in time."""
        with anyio.move_on_after(self._live.patience_second) as scope:
            await send({"type": "http.response.body", "body": data, "more_body": True})
        if scope.cancelled_caught:
            _log.warning("a page does not read its events")
        return not scope.cancelled_caught

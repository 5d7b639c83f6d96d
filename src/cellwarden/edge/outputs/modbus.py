"""A pack shown to inverters and energy managers: a SunSpec server over Modbus TCP.

With certificates it speaks Modbus Security (TLS 1.3, both sides prove who they are). Without, it
is plain Modbus, which knows no identity and no encryption: it binds to loopback unless told
otherwise in so many words.

Rules
- Registers are only read; every write is refused, so that nobody can loosen anything here.
- When the pack has not been shown for `stale_second`, requests fail with "device busy": an old
  value is never served as a new one.
"""

import asyncio
import ipaddress
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer, ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice

from cellwarden.domain import Pack
from cellwarden.edge.drivers import sunspec
from cellwarden.edge.outputs.registers import Powers, encode_map, powers_of
from cellwarden.edge.outputs.view import PackView
from cellwarden.errors import UnavailableError, UsageError

__all__ = ["SunSpecServer", "serves_loopback"]

_READS: Final = frozenset({3, 4})
_LARGEST_BYTES: Final = 2 * 4096
_STALE_SECOND: Final = 5.0
_START_SECOND: Final = 10.0


class SunSpecServer:
    """Serves the last view of one pack until it is closed."""

    def __init__(
        self,
        pack: Pack,
        *,
        host: str = "127.0.0.1",
        port: int = 1502,
        context: ssl.SSLContext | None = None,
        allow_plain: bool = False,
        stale_second: float = _STALE_SECOND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to serve.

        Raises:
            UsageError: plain Modbus would be reachable from elsewhere, and nobody said so.
            UnavailableError: the port is taken.
        """
        if context is None and not (serves_loopback(host) or allow_plain):
            raise UsageError(
                f"plain Modbus on {host} would show the pack to anybody",
                hint="Use TLS, or say plain = true for a wire that nobody else is on.",
            )
        self._powers: Powers = powers_of(pack)
        self._stale_second = stale_second
        self._clock = clock
        self._registers: list[int] = []
        self._shown_second = float("-inf")
        self._count = 0
        started: Future[ModbusTcpServer] = Future()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._run, args=(host, port, context, started), daemon=True
        )
        self._thread.start()
        self._server = started.result(_START_SECOND)

    @property
    def port(self) -> int:
        """The port that it listens on, also where 0 was asked for."""
        listening = getattr(self._server.transport, "sockets", None)
        if not listening:
            raise UnavailableError("the server does not listen", hint="Start it again.")
        return int(listening[0].getsockname()[1])

    def show(self, view: PackView) -> None:
        """Serve this view from now on."""
        data = encode_map(view, self._powers, self._count)
        self._count += 1
        pairs = zip(data[::2], data[1::2], strict=True)
        self._registers = [high << 8 | low for high, low in pairs]
        self._shown_second = self._clock()

    def close(self) -> None:
        """Stop serving."""
        stopped = self._server.shutdown()  # type: ignore[no-untyped-call]
        asyncio.run_coroutine_threadsafe(stopped, self._loop).result(_START_SECOND)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_SECOND)

    def _run(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        started: "Future[ModbusTcpServer]",
    ) -> None:
        asyncio.set_event_loop(self._loop)

        async def start() -> None:
            device = SimDevice(
                0,
                simdata=SimData(
                    sunspec.BASE_ADDRESSES[0],
                    count=_LARGEST_BYTES // 2,
                    values=0,
                    datatype=DataType.REGISTERS,
                ),
                action=self._serve,
            )
            server = (
                ModbusTcpServer(device, address=(host, port))
                if context is None
                else ModbusTlsServer(device, address=(host, port), sslctx=context)
            )
            try:
                await server.serve_forever(background=True)
            except RuntimeError as error:
                started.set_exception(
                    UnavailableError(
                        f"cannot serve on {host}:{port}", hint="Choose a port that is free."
                    )
                )
                del error
            else:
                started.set_result(server)

        self._loop.run_until_complete(start())
        if not started.exception():
            self._loop.run_forever()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _serve(  # noqa: PLR0917  the library calls it so
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Put what is asked for into place, or say why not."""
        if values is not None or function not in _READS:
            return ExcCodes.ILLEGAL_FUNCTION
        if self._clock() - self._shown_second > self._stale_second:
            return ExcCodes.DEVICE_BUSY
        first = address - start
        if first + count > len(self._registers):
            return ExcCodes.ILLEGAL_ADDRESS
        registers[first : first + count] = self._registers[first : first + count]
        return None


def serves_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

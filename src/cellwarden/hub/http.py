"""The listeners: one that only certified devices and operators reach, one for browsers."""

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cellwarden.errors import UnavailableError

__all__ = ["Listener", "serve"]


class _CertifiedProtocol(HttpToolsProtocol):
    """Hands the peer's certificate to the application, as the ASGI TLS extension spells it."""

    def connection_made(self, transport: Any) -> None:
        """Read the certificate once a connection."""
        super().connection_made(transport)
        session = transport.get_extra_info("ssl_object")
        der = session.getpeercert(binary_form=True) if session is not None else None
        self._chain = [ssl.DER_cert_to_PEM_cert(der)] if der else []

    def on_message_begin(self) -> None:
        """Put it into each request's scope."""
        super().on_message_begin()
        self.scope["extensions"] = {"tls": {"client_cert_chain": self._chain}}


class Listener(uvicorn.Server):
    """One address with one application behind TLS."""

    def __init__(self, app: Any, host: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                http=_CertifiedProtocol,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=5,
                ssl_context_factory=lambda _config, _default: context,
            )
        )

    def bind(self) -> socket.socket:
        """Take the address.

        Raises:
            UnavailableError: somebody else has it.
        """
        taken = socket.socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((self.config.host, self.config.port))
        except OSError as error:
            taken.close()
            raise UnavailableError(
                f"{self.config.host}:{self.config.port} cannot be listened on: {error.strerror}",
                hint="Stop the program that has the port, or change it in the hub's config.toml"
                " and in the devices' hub.toml.",
            ) from error
        return taken

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`, which stops all listeners together."""
        yield


async def serve(listeners: list[Listener]) -> None:
    """Serve until the process is told to stop.

    Raises:
        UnavailableError: an address is taken.
    """
    taken = [listener.bind() for listener in listeners]
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for listener in listeners:
            listener.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    await asyncio.gather(
        *(listener.serve(sockets=[place]) for listener, place in zip(listeners, taken, strict=True))
    )

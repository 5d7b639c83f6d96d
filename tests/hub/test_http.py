"""The hub's listeners."""

import asyncio
import socket

import pytest

from cellwarden.errors import UnavailableError
from cellwarden.hub.http import Listener, serve
from cellwarden.trust.tls import server_context
from hub.fleet import installation


def test_a_port_that_is_taken_is_said_to_be() -> None:
    place = installation()
    context = server_context(
        place.hub.certificate, place.hub.key, place.authority.certificate, clients_must_prove=True
    )
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        listener = Listener(lambda *_: None, "127.0.0.1", port, context)
        with pytest.raises(UnavailableError, match=f"127.0.0.1:{port} cannot be listened on") as e:
            asyncio.run(serve([listener]))
        assert "config.toml" in e.value.hint

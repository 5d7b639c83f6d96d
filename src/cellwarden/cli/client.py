"""The command line's way to the running hub: as the local operator, over mutual TLS."""

import types
from collections.abc import Mapping
from typing import Any, Final, Self

import httpx

from cellwarden.cli.home import Home
from cellwarden.errors import TrustError, UnavailableError, UsageError
from cellwarden.hub.config import load_config
from cellwarden.trust.identity import load_certificate, load_key
from cellwarden.trust.keys import FileKeyStore
from cellwarden.trust.tls import client_context

__all__ = ["HubClient"]

_LATER: Final = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)


class HubClient:
    """Asks a running hub."""

    def __init__(self, home: Home) -> None:
        config = load_config(home.hub)
        certificate = load_certificate((home.operator / "operator.crt").read_bytes())
        key = load_key(FileKeyStore(home.operator / "keys").get("identity"))
        authority = load_certificate((home.hub / "ca.crt").read_bytes())
        self.page_url = f"https://{config.host}:{config.page_port}/"
        self._client = httpx.Client(
            base_url=f"https://{config.host}:{config.device_port}",
            verify=client_context(certificate, key, authority),
            timeout=120.0,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._client.close()

    def is_up(self) -> bool:
        """Whether the hub answers."""
        try:
            return bool(
                self._client.get("/healthz").status_code < httpx.codes.INTERNAL_SERVER_ERROR
            )
        except httpx.HTTPError:
            return False

    def fleet(self) -> list[dict[str, Any]]:
        """A row a battery."""
        rows: list[dict[str, Any]] = self.get("/api/fleet").json()["batteries"]
        return rows

    def receipt(self, identifier: str) -> bytes:
        """A receipt as the hub gives it out."""
        return self.get(f"/api/receipts/{identifier}").content

    def get(self, path: str) -> httpx.Response:
        """Ask for something.

        Raises:
            UnavailableError: the hub does not answer.
            TrustError: it refuses.
        """
        return self._asked("GET", path)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """Ask for something to be done."""
        return self._asked("POST", path, body)

    def _asked(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"the hub does not answer: {error}", hint="Start it with `cellwarden hub`."
            ) from error
        if answer.status_code in _LATER:
            raise UnavailableError(
                f"the hub cannot do {path} now: {answer.text[:200]}",
                hint="Look at the hub's log and its disk, then try again.",
            )
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            _explain(answer)
            raise TrustError(
                f"the hub refuses {path}: {answer.text[:200]}", hint="Check the operator's role."
            )
        return answer


def _explain(answer: httpx.Response) -> None:
    """What the hub says is wrong with the request itself.

    Raises:
        UsageError: that.
    """
    try:
        told = answer.json()
    except ValueError:
        return
    match told:
        case {"error": "UsageError" | "DataError" | "DecodeError" | "RangeError", **rest}:
            raise UsageError(str(rest.get("message", "")), hint=str(rest.get("hint", "")))

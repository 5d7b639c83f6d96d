"""Ways from the edge to the hub: the seam, HTTPS with mutual TLS, and its twin in memory."""

import ssl
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import httpx

from cellwarden.errors import HTTP_STATUS, DecodeError, IdentityError, UnavailableError
from cellwarden.trust.envelope import to_cbor
from cellwarden.wire import Ack, Refusal, decode_reply

__all__ = ["CallTransport", "HttpsTransport", "Transport"]

Reply = tuple[Ack | None, Refusal | None]
_TOO_MANY: Final = 429
_SERVER_FAULT: Final = 500
_TIMEOUT_SECOND: Final = 60.0


class Transport(Protocol):
    """Brings messages to the hub."""

    def send(self, messages: Sequence[bytes]) -> Reply:
        """What the hub answers.

        Raises:
            UnavailableError: no answer now.
            IdentityError: the other end is not our hub, or does not know us.
        """
        ...


class CallTransport:
    """The transport's twin in memory: calls whatever stands for the hub."""

    def __init__(self, submit: Callable[[list[bytes]], Reply]) -> None:
        self._submit = submit

    def send(self, messages: Sequence[bytes]) -> Reply:
        """Hand the messages over."""
        return self._submit(list(messages))


class HttpsTransport:
    """One kept-alive connection over mutual TLS 1.3."""

    def __init__(self, url: str, context: ssl.SSLContext) -> None:
        self._client = httpx.Client(
            base_url=url, verify=context, timeout=_TIMEOUT_SECOND, trust_env=False
        )

    def send(self, messages: Sequence[bytes]) -> Reply:
        """Post the messages, oldest first."""
        try:
            answer = self._client.post(
                "/v1/batches",
                content=to_cbor(list(messages)),
                headers={"Content-Type": "application/cbor"},
            )
        except httpx.HTTPError as error:
            raise _explain(error) from error
        if answer.status_code == _TOO_MANY or answer.status_code >= _SERVER_FAULT:
            raise UnavailableError(
                f"the hub cannot take anything in now ({answer.status_code})",
                hint="It is tried again by itself; look at the hub's log if it lasts.",
            )
        if answer.status_code not in (200, *HTTP_STATUS.values()):
            raise DecodeError(
                f"the hub answers {answer.status_code}", hint="Check the hub's address and version."
            )
        return decode_reply(answer.content)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _explain(error: httpx.HTTPError) -> Exception:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return IdentityError(
                f"the hub's certificate is refused: {cause.verify_message}",
                hint="Check the hub's address, and this machine's clock.",
            )
        if isinstance(cause, ssl.SSLError) and "alert" in str(cause).lower():
            reason = (cause.reason or "").lower().rpartition("alert_")[2].replace("_", " ")
            return IdentityError(
                f"the hub refuses this device's certificate: {reason}",
                hint="Check this machine's clock; enrol the device again.",
            )
        cause = cause.__cause__ or cause.__context__
    return UnavailableError(
        f"no way to the hub: {error}" if str(error) else "no way to the hub",
        hint="It is tried again by itself; check the network and that the hub runs.",
    )

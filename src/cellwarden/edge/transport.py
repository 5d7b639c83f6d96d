"""Ways from the edge to the hub: the seam, HTTPS with mutual TLS, and its twin in memory."""

import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import httpx
import msgspec

from cellwarden import errors
from cellwarden.errors import (
    HTTP_STATUS,
    DecodeError,
    Error,
    IdentityError,
    TrustError,
    UnavailableError,
)
from cellwarden.trust.envelope import to_cbor
from cellwarden.wire import Ack, Refusal, decode_reply
from cellwarden.wire.order import Post, decode_post, encode_seen

__all__ = [
    "CallCourier",
    "CallTransport",
    "Courier",
    "HttpsTransport",
    "Transport",
    "refusal_error",
]

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


class Courier(Protocol):
    """Brings orders from the hub."""

    def orders(self, seen: Mapping[str, int]) -> Post:
        """What the hub has for this device beyond what it has seen.

        Raises:
            UnavailableError: no answer now.
            TrustError: the other end is not our hub, or does not believe us.
            DecodeError: it answers something else.
        """
        ...


class CallCourier:
    """The courier's twin in memory: calls whatever stands for the hub."""

    def __init__(self, ask: Callable[[Mapping[str, int]], Post]) -> None:
        self._ask = ask

    def orders(self, seen: Mapping[str, int]) -> Post:
        """Ask."""
        return self._ask(seen)


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
        answer = self._asked("POST", "/v1/batches", to_cbor(list(messages)))
        return decode_reply(answer.content)

    def expected(self) -> int:
        """The sequence that the hub waits for.

        Raises:
            UnavailableError: no answer now.
            TrustError: the other end is not our hub, or does not believe us.
            DecodeError: it answers something else.
        """
        answer = self._asked("GET", "/v1/expected")
        if answer.status_code != httpx.codes.OK:
            refusal = decode_reply(answer.content)[1]
            raise refusal_error(refusal) if refusal else _strange(answer)
        try:
            return msgspec.json.decode(answer.content, type=_Expected).sequence
        except msgspec.MsgspecError as error:
            raise _strange(answer) from error

    def orders(self, seen: Mapping[str, int]) -> Post:
        """What the hub has for this device beyond what it has seen.

        Raises:
            UnavailableError: no answer now.
            TrustError: the other end is not our hub, or does not believe us.
            DecodeError: it answers something else, or more than is read.
        """
        answer = self._asked("POST", "/v1/orders", encode_seen(seen))
        if answer.status_code != httpx.codes.OK:
            refusal = decode_reply(answer.content)[1]
            raise refusal_error(refusal) if refusal else _strange(answer)
        return decode_post(answer.content)

    def _asked(self, method: str, path: str, content: bytes | None = None) -> httpx.Response:
        headers = {} if content is None else {"Content-Type": "application/cbor"}
        try:
            answer = self._client.request(method, path, content=content, headers=headers)
        except httpx.HTTPError as error:
            raise _explain(error) from error
        if answer.status_code == _TOO_MANY or answer.status_code >= _SERVER_FAULT:
            raise UnavailableError(
                f"the hub cannot take anything in now ({answer.status_code})",
                hint="It is tried again by itself; look at the hub's log if it lasts.",
            )
        if answer.status_code not in (200, *HTTP_STATUS.values()):
            raise _strange(answer)
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class _Expected(msgspec.Struct, frozen=True):
    sequence: int


def refusal_error(refusal: Refusal) -> Error:
    """The refusal as the error that it stands for."""
    kind = getattr(errors, refusal.kind, TrustError)
    if not (isinstance(kind, type) and issubclass(kind, Error)):
        kind = TrustError
    return kind(refusal.message, hint=refusal.hint)


def _strange(answer: httpx.Response) -> DecodeError:
    return DecodeError(
        f"the hub answers {answer.status_code}", hint="Check the hub's address and version."
    )


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

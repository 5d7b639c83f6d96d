"""The error tree, named by what the receiver does.

    Error
    ├─ DataError         malformed or impossible      -> drop it, count it
    │   ├─ DecodeError     the bytes are not what they claim to be
    │   ├─ UnitError       a unit or a sign is wrong or cannot be told
    │   └─ RangeError      a number lies outside what can be
    ├─ TrustError        the sender cannot be believed -> drop, record, alert; never retry
    │   ├─ IdentityError   certificate foreign, expired, revoked or not the sender's
    │   ├─ SealError       signature or seal does not hold
    │   ├─ ReplayError     seen before, out of sequence, or a second history
    │   └─ LedgerError     the ledger contradicts itself or what was acknowledged
    ├─ SafetyError       would leave the safe window  -> go to the safe state
    ├─ UnavailableError  disk, network, device silent -> retry with backoff
    └─ UsageError        the call or config is wrong  -> fix the call

`HTTP_STATUS`, `EXIT_CODE` and `EDGE_REACTION` are the whole policy.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeVar

__all__ = [
    "EDGE_REACTION",
    "EXIT_CODE",
    "HTTP_STATUS",
    "DataError",
    "DecodeError",
    "Error",
    "IdentityError",
    "LedgerError",
    "RangeError",
    "ReplayError",
    "SafetyError",
    "SealError",
    "TrustError",
    "UnavailableError",
    "UnitError",
    "UsageError",
    "look_up",
]


T = TypeVar("T")


class Error(Exception):
    """A failure with one sentence on what to do about it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the hint when an error crosses a process boundary."""
        return (_rebuild, (type(self), str(self), self.hint))


def _rebuild(kind: type[Error], message: str, hint: str) -> Error:
    return kind(message, hint=hint)


class DataError(Error):
    """The data is malformed or impossible: drop it, count it."""


class DecodeError(DataError):
    """The bytes are not what they claim to be."""


class UnitError(DataError):
    """A unit or a sign is wrong or cannot be told."""


class RangeError(DataError):
    """A number lies outside what can be."""


class TrustError(Error):
    """The sender cannot be believed: drop, record, alert, never retry."""


class IdentityError(TrustError):
    """A certificate is foreign, expired, revoked or not the sender's."""


class SealError(TrustError):
    """A signature or a seal does not hold."""


class ReplayError(TrustError):
    """A message was seen before, is out of sequence, or tells a second history."""


class LedgerError(TrustError):
    """The ledger contradicts itself or what was acknowledged."""


class SafetyError(Error):
    """The action would leave the safe window: go to the safe state."""


class UnavailableError(Error):
    """Disk, network or device is silent: retry with backoff."""


class UsageError(Error):
    """The call or the configuration is wrong: fix it, nothing else changes."""


# The most specific class wins; each table has an entry for every branch of the tree.
HTTP_STATUS: Final[Mapping[type["Error"], int]] = MappingProxyType(
    {
        DataError: 422,
        TrustError: 403,
        ReplayError: 409,
        SafetyError: 409,
        UnavailableError: 503,
        UsageError: 400,
        Error: 500,
    }
)
EXIT_CODE: Final[Mapping[type[Error], int]] = MappingProxyType(
    {DataError: 3, TrustError: 4, SafetyError: 5, UnavailableError: 6, UsageError: 2, Error: 1}
)
EDGE_REACTION: Final[Mapping[type[Error], str]] = MappingProxyType(
    {
        DataError: "drop",
        TrustError: "quarantine",
        SafetyError: "safe_state",
        UnavailableError: "retry",
        UsageError: "stop",
        Error: "stop",
    }
)


def look_up(policy: Mapping[type[Error], T], error: Error) -> T:
    """What a policy table says of an error: the row of its closest ancestor."""
    for kind in type(error).__mro__:
        if kind in policy:
            return policy[kind]
    raise KeyError(type(error))

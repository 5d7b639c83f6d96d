"""Who is signed in. Kept in memory only: a restart of the hub signs everybody out.

Rules
- The token is 256 random bits and known to the browser alone; the hub keeps its SHA-256.
- A session ends when it was not used for a while, when it is old, at sign-out, and when its
  account goes or changes its password.
- Where several hubs share a store, a session ends within seconds of what another hub did to its
  account: each session bears the mark of the password that it was opened with.
- The number of sessions is bounded, per account too; the one not used longest makes room.
"""

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cellwarden.hub.roles import Role

__all__ = ["Session", "Sessions"]

_TOKEN_BYTES: Final = 32


@dataclass(slots=True, eq=False)
class Session:
    """One signed-in browser; `csrf` is bound to it."""

    user: str
    role: Role
    opened: float
    used: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(_TOKEN_BYTES), repr=False)
    ended: bool = False
    mark: bytes = field(default=b"", repr=False)


class Sessions:
    """All of them, by the hash of their token."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        idle_second: float = 3600.0,
        longest_second: float = 12 * 3600.0,
        most: int = 10_000,
        most_per_user: int = 16,
    ) -> None:
        self._clock = clock
        self._idle_second = idle_second
        self._longest_second = longest_second
        self._most = most
        self._most_per_user = most_per_user
        self._open: OrderedDict[bytes, Session] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    def open(self, user: str, role: Role, mark: bytes = b"") -> tuple[str, Session]:
        """A new session and its token, which is told once."""
        token, now = secrets.token_urlsafe(_TOKEN_BYTES), self._clock()
        session = Session(user, role, now, now, mark=mark)
        with self._lock:
            self._make_room(user)
            self._open[_hash(token)] = session
        return token, session

    def find(self, token: str) -> Session | None:
        """The living session of a token, used now."""
        key = _hash(token)
        with self._lock:
            session = self._open.get(key)
            if session is None or not self.alive(session):
                self._end([key])
                return None
            session.used = self._clock()
            self._open.move_to_end(key)
            return session

    def alive(self, session: Session) -> bool:
        """Whether a session still stands; asking does not count as use."""
        now = self._clock()
        # A clock that was set back must not make a session live longer.
        idle, age = abs(now - session.used), abs(now - session.opened)
        fresh = idle <= self._idle_second and age <= self._longest_second
        return fresh and not session.ended

    def close(self, session: Session) -> None:
        """Sign out."""
        with self._lock:
            self._end([key for key, other in self._open.items() if other is session])

    def close_user(self, user: str, *, but: Session | None = None) -> None:
        """End all sessions of an account, save perhaps the one that asks for it."""
        with self._lock:
            self._end([k for k, s in self._open.items() if s.user == user and s is not but])

    def keep(self, marks: Mapping[str, bytes]) -> None:
        """End the sessions whose account is not among these, or has another password by now."""
        with self._lock:
            self._end([k for k, s in self._open.items() if marks.get(s.user) != s.mark])

    def _make_room(self, user: str) -> None:
        self._end([key for key, session in self._open.items() if not self.alive(session)])
        mine = [key for key, session in self._open.items() if session.user == user]
        self._end(mine[: max(0, len(mine) - self._most_per_user + 1)])
        self._end(list(self._open)[: max(0, len(self._open) - self._most + 1)])

    def _end(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            session = self._open.pop(key, None)
            if session is not None:
                session.ended = True


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()

"""People who may sign in with a password; only argon2id hashes of passwords are kept.

Rules
- Parameters are the second recommendation of RFC 9106, section 4: 64 MiB, 3 passes, 4 lanes.
- A name that nobody has takes as long as a wrong password: both check one hash.
- At most two hashes are computed at once, so that a flood of tries cannot take the memory.
- A new password is random; the hub shows it once and never again.
"""

import hashlib
import secrets
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from cellwarden.domain import check_name
from cellwarden.errors import UnavailableError, UsageError
from cellwarden.hub.contention import insist, touch
from cellwarden.hub.roles import Role
from cellwarden.hub.service import Hub
from cellwarden.hub.store import Store
from cellwarden.hub.trail import Trail

__all__ = [
    "Account",
    "Accounts",
    "Passwords",
    "check_new_password",
    "create_first_administrator",
    "mark_of",
    "new_password",
    "renew_password",
]

_PASSWORD_BYTES: Final = 18  # 144 bits
_SHORTEST: Final = 12
_LONGEST: Final = 1024
_AT_ONCE: Final = 2
_WAITING: Final = 32


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody with a password."""

    name: str
    role: Role
    created_unix_time_second: float


def new_password() -> str:
    """A random password of 144 bits."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


class Passwords:
    """Hashes and checks passwords in worker threads, two at once."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._nobody = self._hasher.hash(new_password())
        self._limiter = anyio.CapacityLimiter(_AT_ONCE)
        self.check_count = 0

    def hash_now(self, password: str) -> str:
        """The hash of a password, in this thread."""
        return self._hasher.hash(_normal(password))

    async def hash(self, password: str) -> str:
        """The hash of a password."""
        self._refuse_a_crowd()
        return await anyio.to_thread.run_sync(self.hash_now, password, limiter=self._limiter)

    async def check(self, known: str | None, password: str) -> bool:
        """Whether the password fits the hash; without a hash it takes as long and does not."""
        self._refuse_a_crowd()
        self.check_count += 1
        fits = await anyio.to_thread.run_sync(
            self._fits, known or self._nobody, password, limiter=self._limiter
        )
        return fits and known is not None

    def _fits(self, known: str, password: str) -> bool:
        try:
            return self._hasher.verify(known, _normal(password))
        except (VerificationError, InvalidHashError):
            return False

    def _refuse_a_crowd(self) -> None:
        if self._limiter.statistics().tasks_waiting >= _WAITING:
            raise UnavailableError("too many sign in at once", hint="Try again in a moment.")


def _normal(password: str) -> str:
    """One spelling of what looks the same on every keyboard."""
    return unicodedata.normalize("NFKC", password)


class Accounts:
    """The table of accounts."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    def all(self) -> list[Account]:
        """Every account, by name."""
        rows = self._store.rows(
            "SELECT name, role, created_unix_time_second FROM account ORDER BY name"
        )
        return [Account(name, Role(role), created) for name, role, created in rows]

    def find(self, name: str) -> tuple[Account, str] | None:
        """An account and the hash of its password."""
        rows = self._store.rows(
            "SELECT name, role, created_unix_time_second, password_hash FROM account"
            " WHERE name = ?",
            [name],
        )
        if not rows:
            return None
        found, role, created, known = rows[0]
        return Account(found, Role(role), created), known

    def add(self, name: str, role: Role, password_hash: str) -> None:
        """A new account.

        Raises:
            UsageError: the name is taken, or cannot be one.
        """
        check_name(name)

        def write() -> None:
            if any(account.name.lower() == name.lower() for account in self.all()):
                raise UsageError(f"there is an account {name}", hint="Choose another name.")
            self._store.add(
                "account",
                name=name,
                role=str(role),
                password_hash=password_hash,
                created_unix_time_second=self._clock(),
            )

        self._alone(write)

    def remove(self, name: str) -> None:
        """An account goes.

        Raises:
            UsageError: there is none, or it is the last administrator.
        """

        def write() -> None:
            accounts = {account.name: account for account in self.all()}
            if name not in accounts:
                raise UsageError("there is no such account", hint="Look at the list of accounts.")
            rest = [account for account in accounts.values() if account.name != name]
            if not any(account.role is Role.ADMINISTRATOR for account in rest):
                raise UsageError(
                    f"{name} is the last administrator", hint="Make another administrator first."
                )
            self._store.execute("DELETE FROM account WHERE name = ?", [name])

        self._alone(write)

    def change(self, name: str, password_hash: str) -> None:
        """Another password.

        Raises:
            UsageError: there is no such account.
        """

        def write() -> None:
            if self.find(name) is None:
                raise UsageError("there is no such account", hint="Look at the list of accounts.")
            self._store.execute(
                "UPDATE account SET password_hash = ? WHERE name = ?", [password_hash, name]
            )

        self._alone(write)

    def marks(self) -> dict[str, bytes]:
        """What a session of each account rests on: another password gives another mark."""
        rows = self._store.rows("SELECT name, password_hash FROM account")
        return {name: mark_of(known) for name, known in rows}

    def _alone(self, write: Callable[[], None]) -> None:
        """What is looked at first stays true until it is written, in every hub on this store."""

        def look_and_write() -> None:
            touch(self._store, "account")
            write()

        insist(self._store, look_and_write)


def mark_of(password_hash: str) -> bytes:
    """Tells two passwords of an account apart, and nothing else of them."""
    return hashlib.sha256(password_hash.encode()).digest()


def check_new_password(user: str, old: str, new: str) -> None:
    """A password that somebody chose is worth taking.

    Raises:
        UsageError: too short, too long, the old one, or made of the name.
    """
    if not _SHORTEST <= len(new) <= _LONGEST:
        raise UsageError(
            f"a password has {_SHORTEST} to {_LONGEST} characters",
            hint="Take four or more random words, or a password manager's suggestion.",
        )
    if new == old or user.lower() in new.lower():
        raise UsageError(
            "the new password is the old one or contains the name", hint="Choose another."
        )


def create_first_administrator(hub: Hub) -> str | None:
    """The password of a new account `admin`, to be shown once; None where accounts exist."""
    accounts = Accounts(hub.store, hub.clock)
    if accounts.all():
        return None
    password = new_password()
    accounts.add("admin", Role.ADMINISTRATOR, Passwords().hash_now(password))
    return password


def renew_password(store: Store, name: str, actor: str) -> str:
    """Give an account of a hub that is down a new password, to be shown once; put on record.

    Raises:
        UsageError: there is no such account.
    """
    password = new_password()
    Accounts(store, time.time).change(name, Passwords().hash_now(password))
    Trail(store, time.time).note(actor, "reset password", name)
    return password

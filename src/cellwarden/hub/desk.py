"""Signing in and out, accounts, and taking back a device's certificate."""

from collections.abc import Callable
from typing import Annotated, Final

import anyio.to_thread
from fastapi import FastAPI
from fastapi import Path as PathPart
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cellwarden.errors import Error, IdentityError, UnavailableError, UsageError
from cellwarden.hub.access import COOKIE, Principal, address_of
from cellwarden.hub.accounts import (
    Account,
    Accounts,
    Passwords,
    check_new_password,
    mark_of,
    new_password,
)
from cellwarden.hub.contract import (
    AccountBody,
    Credentials,
    NewAccount,
    NewPassword,
    SessionBody,
    ShownAccount,
)
from cellwarden.hub.problems import Declined
from cellwarden.hub.service import Hub
from cellwarden.hub.sessions import Sessions
from cellwarden.hub.throttle import Throttle
from cellwarden.hub.trail import Trail

__all__ = ["Desk", "add_desk"]

_TRIES: Final = 10
_TRY_SECOND: Final = 30.0
_ADDRESS_TRIES: Final = 30
_ADDRESS_SECOND: Final = 5.0
_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
Name = Annotated[str, PathPart(pattern=_NAME)]


class Desk:
    """What it takes to let somebody in."""

    def __init__(
        self, hub: Hub, sessions: Sessions, trail: Trail, revoke: Callable[[str], None]
    ) -> None:
        self._clock = hub.clock
        self._sessions = sessions
        self._trail = trail
        self._revoke = revoke
        self._accounts = Accounts(hub.store, hub.clock)
        self._passwords = Passwords()
        self._by_account = Throttle(_TRIES, _TRY_SECOND)
        self._by_address = Throttle(_ADDRESS_TRIES, _ADDRESS_SECOND)
        self._recorded = Throttle(_ADDRESS_TRIES, _TRY_SECOND)
        hub.watch(self._keep_sessions)

    def _keep_sessions(self) -> None:
        """Another hub may have removed an account, or changed its password."""
        if len(self._sessions):
            self._sessions.keep(self._accounts.marks())

    async def sign_in(self, request: Request, told: Credentials) -> tuple[str, SessionBody]:
        """A new session and its token.

        Raises:
            Declined: wrong (401), or too many tries (429).
        """
        address = address_of(request)
        await self._throttle(told.user, address)
        found = await anyio.to_thread.run_sync(self._accounts.find, told.user)
        known = found[1] if found else None
        if not await self._passwords.check(known, told.password.get_secret_value()) or not found:
            # Somebody may have typed a password into the field of the name.
            who = found[0].name if found else "unknown account"
            await self._note(who, "sign in", address, "refused")
            raise _wrong()
        account = found[0]
        self._by_account.forgive(told.user.lower())
        await self._note(account.name, "sign in", address)
        before = self._sessions.find(request.cookies.get(COOKIE, ""))
        if before is not None:
            self._sessions.close(before)
        token, session = self._sessions.open(account.name, account.role, mark_of(found[1]))
        if await anyio.to_thread.run_sync(self._accounts.find, account.name) != found:
            # The password was changed, or the account went, while the old one was being checked.
            self._sessions.close(session)
            raise _wrong()
        return token, SessionBody(user=account.name, role=account.role, csrf=session.csrf)

    async def _throttle(self, user: str, address: str) -> None:
        now = self._clock()
        # By address first: whoever is stopped there cannot use up the tries of an account.
        wait = self._by_address.take(address, now)
        wait = wait or self._by_account.take(user.lower(), now)
        if wait:
            if not self._recorded.take(address, now):
                await self._note("?", "sign in", address, "throttled")
            raise Declined(
                429,
                UnavailableError("too many tries", hint="Wait, then try again."),
                {"Retry-After": str(int(wait) + 1)},
            )

    async def sign_out(self, principal: Principal) -> None:
        """The session ends."""
        if principal.session is not None:
            self._sessions.close(principal.session)
        await self._note(principal.actor, "sign out")

    async def change_password(self, request: Request, who: Principal, told: NewPassword) -> None:
        """Another password for whoever is signed in; their other sessions end.

        Raises:
            Declined: the old one is wrong (403), or too many tries (429).
            UsageError: the new one is not worth taking.
        """
        if who.session is None:
            raise UsageError(
                "whoever comes with a certificate has no password", hint="Sign in with a name."
            )
        old, new = told.old.get_secret_value(), told.new.get_secret_value()
        check_new_password(who.name, old, new)
        await self._throttle(who.name, address_of(request))
        found = await anyio.to_thread.run_sync(self._accounts.find, who.name)
        if not await self._passwords.check(found[1] if found else None, old):
            await self._note(who.actor, "change password", "", "refused")
            raise IdentityError("the old password is wrong", hint="Type it again.")
        hashed = await self._passwords.hash(new)
        await anyio.to_thread.run_sync(self._accounts.change, who.name, hashed)
        who.session.mark = mark_of(hashed)
        self._sessions.close_user(who.name, but=who.session)
        self._by_account.forgive(who.name.lower())
        await self._note(who.actor, "change password")

    def accounts(self) -> list[Account]:
        """Everybody who may sign in with a password."""
        return self._accounts.all()

    async def add_account(self, principal: Principal, told: NewAccount) -> ShownAccount:
        """A new account with a random password."""
        password = SecretStr(new_password())
        hashed = await self._passwords.hash(password.get_secret_value())
        await anyio.to_thread.run_sync(self._accounts.add, told.user, told.role, hashed)
        await self._note(principal.actor, "add account", f"{told.user} as {told.role}")
        return ShownAccount(user=told.user, role=told.role, password=password.get_secret_value())

    async def reset_password(self, principal: Principal, name: str) -> ShownAccount:
        """A new random password for somebody else; whoever is signed in with the old one is out.

        Raises:
            Declined: there is no such account (404).
            UsageError: it is one's own: a stolen session must not be worth a password.
        """
        if principal.session is not None and principal.name == name:
            raise UsageError(
                "one's own password is changed with the old one",
                hint="Use the page of your account; another administrator can give a new one.",
            )
        found = await anyio.to_thread.run_sync(self._accounts.find, name)
        if found is None:
            raise Declined(404, UsageError("there is no such account", hint="Look at the list."))
        password = new_password()
        hashed = await self._passwords.hash(password)
        await anyio.to_thread.run_sync(self._accounts.change, name, hashed)
        self._sessions.close_user(name)
        self._by_account.forgive(name.lower())
        await self._note(principal.actor, "reset password", name)
        return ShownAccount(user=name, role=found[0].role, password=password)

    def remove_account(self, principal: Principal, name: str) -> None:
        """An account and its sessions go."""
        if name not in {account.name for account in self._accounts.all()}:
            raise Declined(404, UsageError("there is no such account", hint="Look at the list."))
        self._accounts.remove(name)
        self._sessions.close_user(name)
        self._trail.note(principal.actor, "remove account", name)

    def revoke(self, principal: Principal, device: str) -> None:
        """A device's certificate is taken back."""
        try:
            self._revoke(device)
        except Error:
            self._trail.note(principal.actor, "revoke", device, "failed")
            raise
        self._trail.note(principal.actor, "revoke", device)

    async def _note(
        self, actor: str, action: str, subject: str = "", outcome: str = "done"
    ) -> None:
        await anyio.to_thread.run_sync(self._trail.note, actor, action, subject, outcome)


def _wrong() -> Declined:
    return Declined(
        401, IdentityError("name or password is wrong", hint="Check both, then try again.")
    )


def add_desk(app: FastAPI, desk: Desk) -> None:
    """Its routes."""
    _add_session(app, desk)
    _add_accounts(app, desk)


def _who(request: Request) -> Principal:
    principal: Principal = request.scope["cellwarden.principal"]
    return principal


def _add_session(app: FastAPI, desk: Desk) -> None:
    @app.post("/api/session", response_model=SessionBody)
    async def sign_in(request: Request, told: Credentials) -> Response:
        """Sign in; the cookie is for the browser, the token `csrf` for each change."""
        token, body = await desk.sign_in(request, told)
        answer = JSONResponse(body.model_dump(mode="json"))
        answer.set_cookie(COOKIE, token, path="/", secure=True, httponly=True, samesite="strict")
        return answer

    @app.get("/api/session")
    async def session(request: Request) -> SessionBody:
        """Who is signed in."""
        who = _who(request)
        return SessionBody(
            user=who.name, role=who.role, csrf=who.session.csrf if who.session else ""
        )

    @app.delete("/api/session", status_code=204)
    async def sign_out(request: Request) -> Response:
        """Sign out."""
        await desk.sign_out(_who(request))
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")
        return answer

    @app.post("/api/session/password", status_code=204)
    async def change_password(request: Request, told: NewPassword) -> None:
        """Change one's own password."""
        await desk.change_password(request, _who(request), told)


def _add_accounts(app: FastAPI, desk: Desk) -> None:
    @app.get("/api/accounts")
    def accounts() -> list[AccountBody]:
        """Everybody who may sign in with a password."""
        return [
            AccountBody(
                user=account.name,
                role=account.role,
                created_unix_time_second=account.created_unix_time_second,
            )
            for account in desk.accounts()
        ]

    @app.post("/api/accounts")
    async def add_account(request: Request, told: NewAccount) -> ShownAccount:
        """A new account; its password is shown this once."""
        return await desk.add_account(_who(request), told)

    @app.post("/api/accounts/{user}/password")
    async def reset_password(request: Request, user: Name) -> ShownAccount:
        """A new password for an account, shown this once; its sessions end."""
        return await desk.reset_password(_who(request), user)

    @app.delete("/api/accounts/{user}", status_code=204)
    def remove_account(request: Request, user: Name) -> None:
        """An account goes, and whoever is signed in with it."""
        desk.remove_account(_who(request), user)

    @app.post("/api/devices/{device}/revoke", status_code=204)
    def revoke(request: Request, device: Name) -> None:
        """Take a device's certificate back."""
        desk.revoke(_who(request), device)

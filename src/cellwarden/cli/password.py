"""`password`: a new one for an account, for whoever has the hub's own machine."""

from typing import Final

import typer

from cellwarden.cli.client import HubClient
from cellwarden.cli.home import Home
from cellwarden.domain import check_name
from cellwarden.hub.accounts import renew_password
from cellwarden.hub.place import open_store

__all__ = ["password_command"]

_ACTOR: Final = "command line"


def password_command(home: Home, user: str) -> None:
    """Ask the running hub, or write into its files when it is down.

    Raises:
        UsageError: there is no such account.
    """
    check_name(user)
    with HubClient(home) as client:
        up = client.is_up()
        if up:
            new = str(client.post(f"/api/accounts/{user}/password").json()["password"])
    if not up:
        store = open_store(home.hub)
        try:
            new = renew_password(store, user, _ACTOR)
        finally:
            store.close()
    typer.echo(f"Sign in as {user} with {new} - shown this once.")

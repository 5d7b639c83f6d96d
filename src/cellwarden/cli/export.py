"""`export`: a table of the store as a file, or the ledger as tiles."""

from pathlib import Path

import typer

from cellwarden.cli.check import ledger_view
from cellwarden.cli.client import HubClient
from cellwarden.cli.home import Home
from cellwarden.errors import UsageError
from cellwarden.hub.export import export_table, form_of
from cellwarden.hub.place import open_store
from cellwarden.hub.tiles import write_tiles
from cellwarden.trust.keys import write_durably
from cellwarden.trust.ledger import NoteKey

__all__ = ["export_command", "export_tiles"]


def export_command(home: Home, table: str, target: Path, device: str | None) -> None:
    """Write the table, through the running hub or from its files.

    Raises:
        UsageError: no such table or form, or the file exists.
    """
    if target.exists():
        raise UsageError(f"{target} exists", hint="Name a new file.")
    form = form_of(target)
    with HubClient(home) as client:
        if client.is_up():
            only = f"&device={device}" if device else ""
            content = client.get(f"/api/export/{table}?format={form}{only}").content
            write_durably(target, content, mode=0o600)
            typer.echo(f"{target}: {len(content):,} bytes, through the running hub")
            return
    store = open_store(home.hub)
    try:
        count = export_table(store, table, target, device)
    finally:
        store.close()
    typer.echo(f"{target}: {count:,} bytes, from the hub's files")


def export_tiles(home: Home, folder: Path, trust: Path | None) -> None:
    """Bring a folder of tiles up to the ledger's newest head.

    Raises:
        LedgerError: the entries do not give the signed head, or the folder proves another history.
    """
    key = NoteKey.parse(home.trust_roots(trust).ledger_key)
    with ledger_view(home) as (view, where):
        count = write_tiles(view, key, folder)
    typer.echo(f"{folder}: {count:,} files written, from {where}")

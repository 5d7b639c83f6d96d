"""`verify`: a ledger through the running hub or on its files, or a receipt alone."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cellwarden.cli.home import Home, TrustRoots
from cellwarden.edge.config import open_outbox
from cellwarden.errors import Error, LedgerError, UnavailableError
from cellwarden.hub.audit import HubView, StoreView
from cellwarden.hub.config import load_config
from cellwarden.hub.place import open_store
from cellwarden.trust.identity import Roots, load_certificate, load_key
from cellwarden.trust.keys import FileKeyStore
from cellwarden.trust.ledger import NoteKey
from cellwarden.trust.tls import client_context
from cellwarden.wire import Manifest, open_manifest
from cellwarden.wire.audit import Acknowledged, Report, View, audit
from cellwarden.wire.verdict import Checked, check_receipt

__all__ = ["audit_home", "ledger_view", "print_report", "verify_command", "verify_receipt"]


def verify_command(home: Home, receipt: Path | None, trust: Path | None) -> None:
    """Check a receipt, or everything.

    Raises:
        TrustError: something does not hold.
    """
    roots = home.trust_roots(trust)
    console = Console()
    if receipt is not None:
        _print_receipt(console, receipt, verify_receipt(receipt, roots))
        return
    report, where = audit_home(home, roots, show_progress=sys.stderr.isatty())
    print_report(console, report, where)
    if report.first_bad is not None:
        bad = report.first_bad
        raise LedgerError(
            f"first bad record: leaf {bad.leaf_index}"
            + (f", batch {bad.sequence} of {bad.device}" if bad.device else "")
            + f": {bad.reason}",
            hint="Keep the hub's folder as evidence; restore a backup and compare.",
        )


def verify_receipt(path: Path, trust: TrustRoots) -> Checked:
    """What a receipt proves."""
    roots = Roots(load_certificate(trust.authority.encode()))
    return check_receipt(path.read_bytes(), roots, NoteKey.parse(trust.ledger_key))


def audit_home(home: Home, trust: TrustRoots, *, show_progress: bool) -> tuple[Report, str]:
    """Check the ledger of an installation, with what its devices hold of it."""
    roots = Roots(load_certificate(trust.authority.encode()))
    key = NoteKey.parse(trust.ledger_key)
    acknowledged = list(_acknowledged(home))
    with ledger_view(home) as (view, where), _bar(show_progress) as bar:
        task = bar.add_task("checking", total=None)
        report = audit(
            view,
            roots,
            key,
            acknowledged,
            lambda done, size: bar.update(task, completed=done, total=size),
        )
    return report, where


@contextmanager
def _bar(show: bool) -> Iterator[Progress]:  # noqa: FBT001  one private caller
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not show) as bar:
        yield bar


@contextmanager
def ledger_view(home: Home) -> Iterator[tuple[View, str]]:
    """The running hub, or its files when it is down."""
    live = _live(home)
    if live is not None:
        try:
            yield live, "the running hub"
        finally:
            live.close()
        return
    store = open_store(home.hub)
    try:
        yield StoreView(store), "the hub's files"
    finally:
        store.close()


def _live(home: Home) -> HubView | None:
    """The running hub as the local operator sees it, or None when it is down."""
    config = load_config(home.hub)
    certificate = load_certificate((home.operator / "operator.crt").read_bytes())
    key = load_key(FileKeyStore(home.operator / "keys").get("identity"))
    authority = load_certificate((home.hub / "ca.crt").read_bytes())
    url = f"https://{config.host}:{config.device_port}"
    view = HubView(url, client_context(certificate, key, authority))
    try:
        view.head()
    except UnavailableError:
        view.close()
        return None
    except Error:
        view.close()
        raise
    return view


def _acknowledged(home: Home) -> Iterator[Acknowledged]:
    """What the devices of this machine can show; others bring theirs with `--ack`."""
    folder = home.path / "edge"
    for device in sorted(folder.iterdir()) if folder.exists() else ():
        if not (device / "outbox.sqlite").exists():
            continue
        outbox = open_outbox(device)
        try:
            held = outbox.acknowledgements()
        finally:
            outbox.close()
        for ack in held:
            manifest: Manifest = open_manifest(ack.manifest)[1]
            yield Acknowledged(
                manifest.device, ack.sequence, ack.leaf_index, ack.manifest, ack.checkpoint
            )


def print_report(console: Console, report: Report, where: str) -> None:
    """The report as a small table."""
    table = Table(title=f"Ledger, checked on {where}", title_justify="left", show_header=False)
    table.add_row("devices enrolled", f"{report.device_count:,}")
    table.add_row("batches, signature, chain, rows", f"{report.batch_count:,}")
    table.add_row("frames", f"{report.frame_count:,}")
    table.add_row("values", f"{report.value_count:,}")
    table.add_row("verdicts", f"{report.verdict_count:,}")
    table.add_row("devices' acknowledgements kept", f"{report.acknowledgement_count:,}")
    table.add_row("entries under the signed head", f"{report.tree_size:,}")
    table.add_row("root", report.root.hex())
    table.add_row("result", "everything holds" if report.ok else "DOES NOT HOLD")
    console.print(table)


def _print_receipt(console: Console, path: Path, checked: Checked) -> None:
    told = checked.verdict
    health = told["health"]
    said = (
        f"SOH {health['soh_fraction']:.3f}"
        f" ({health['low']:.3f} to {health['high']:.3f} at {health['coverage']:.0%})"
        if health
        else f"cannot be told, because {told['health_reason']}"
    )
    console.print(f"{path} holds: the hub said of [bold]{checked.device}[/bold]: {said}")
    console.print(
        f"  from {checked.batch_count} batches signed by the device"
        f" ({checked.first_sequence} to {checked.last_sequence}),"
        f" by model {told['model']['name']} {told['model']['digest'][:16]}…,"
        f" all in the ledger of {checked.tree_size} entries"
    )

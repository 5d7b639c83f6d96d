"""The main job: records or a small fleet of the twin, through the whole chain, to a verdict."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from cellwarden.cli.check import audit_home, print_report, verify_receipt
from cellwarden.cli.client import HubClient
from cellwarden.cli.home import Home
from cellwarden.drills import Attempt, forge
from cellwarden.edge.config import open_device, open_transport
from cellwarden.edge.source import Source, read_source, write_source
from cellwarden.errors import EXIT_CODE, Error, UnavailableError, UsageError

__all__ = ["run_command"]

_FORGER: Final = "forger"
_START_SECOND: Final = 60.0
_ASSESS_SECOND: Final = 600.0
_HISTORY_SECOND: Final = 2 * 86_400.0
_PERIOD_SECOND: Final = 5.0
_FOREVER_SECOND: Final = 10 * 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class _Job:
    """What this run sends, and who forges."""

    devices: list[str]
    victim: str | None


def run_command(home: Home, files: Sequence[Path], *, once: bool) -> None:
    """Set up what is missing, send everything, assess it, prove it; serve on unless `once`.

    Raises:
        Error: a genuine record did not come through, or a forged one did.
    """
    console = Console()
    for file in files:
        if not file.is_file():
            raise UsageError(f"{file} is not a file", hint="Give battery files, or none.")
    # Told to stop by a service manager, the processes started here are stopped too.
    signal.signal(signal.SIGTERM, _stop)
    password = _set_up(home, console)
    job = _prepare_files(home, files) if files else _prepare_fleet(home, live=not once)
    with _process(home, "hub", home.path / "hub.log") as hub, HubClient(home) as client:
        _wait_until_up(client, hub, home)
        attempts = _forge(home, job)
        with _process(home, "edge", home.path / "edge.log", job.devices) as edge:
            sent, troubles = _follow(edge, job, console, live=not files and not once)
            verdicts = _verdicts(client, sent, console)
            _print_verdicts(console, verdicts)
            _print_forgeries(console, attempts)
            proved = _prove(home, client, verdicts, console)
            _say_where(console, client, password, home)
            if troubles and (once or files):
                raise _trouble(edge, troubles)
            if once or files:
                _conclude(job, sent, verdicts, attempts, proved=proved)
            if not once:
                console.print("Serving until you press Ctrl-C.")
                _serve_on(hub, edge)


def _stop(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def _set_up(home: Home, console: Console) -> str | None:
    if not home.exists():
        console.print(f"Setting up an installation in {home.path}")
        return home.init(device_port=_free_port(8443), page_port=_free_port(8440))
    return None


def _free_port(wanted: int) -> int:
    """The wanted port if nobody has it, or another one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise UnavailableError("no free port", hint="Close something that listens.")


def _prepare_files(home: Home, files: Sequence[Path]) -> _Job:
    """A device for each file, named after it."""
    devices = []
    for file in files:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-.") or "record"
        source = Source(record=str(file.absolute()))
        _ensure(home, name, source)
        devices.append(name)
    if len(set(devices)) != len(devices):
        raise UsageError("two files have the same name", hint="Rename one of them.")
    return _Job(devices, None)


def _prepare_fleet(home: Home, *, live: bool) -> _Job:
    """Five packs of the twin, the last one faulty, and somebody who forges."""
    start = (time.time() // _PERIOD_SECOND) * _PERIOD_SECOND - _HISTORY_SECOND
    for name, described in _fleet(start, live=live).items():
        _ensure(home, name, Source(twin=described, live=live))
    if not (home.device(_FORGER) / "device.crt").exists():
        home.enrol(_FORGER)
    return _Job(list(_fleet(start, live=live)), "pack-1")


def _fleet(start: float, *, live: bool) -> dict[str, dict[str, Any]]:
    base = {
        "start_unix_time_second": start,
        "duration_second": _FOREVER_SECOND if live else _HISTORY_SECOND,
        "period_second": _PERIOD_SECOND,
    }
    short = {
        "kind": "internal_short",
        "start_second": 0.8 * _HISTORY_SECOND,
        "size": 4.0,
        "item": 3,
    }
    hot = {"kind": "cooling_loss", "start_second": 0.8 * _HISTORY_SECOND, "size": 0.9}
    return {
        "pack-1": {**base, "name": "pack-1", "seed": 1, "chemistry": "NMC", "series_count": 12,
                   "nominal_capacity_ah": 50.0, "soh_fraction": 0.97},
        "pack-2": {**base, "name": "pack-2", "seed": 2, "chemistry": "LFP", "series_count": 16,
                   "nominal_capacity_ah": 100.0, "soh_fraction": 0.94},
        "pack-3": {**base, "name": "pack-3", "seed": 3, "chemistry": "NCA", "series_count": 12,
                   "nominal_capacity_ah": 60.0, "soh_fraction": 0.88, "profile": "drive"},
        "pack-4": {**base, "name": "pack-4", "seed": 4, "chemistry": "LFP", "series_count": 16,
                   "nominal_capacity_ah": 100.0, "profile": "storage", "soc_fraction": 0.6},
        "pack-5": {**base, "name": "pack-5", "seed": 5, "chemistry": "NMC", "series_count": 12,
                   "nominal_capacity_ah": 50.0, "soh_fraction": 0.9, "faults": [short, hot]},
    }  # fmt: skip


def _ensure(home: Home, name: str, source: Source) -> None:
    """Enrol a device unless it is, and tell it what to read unless it has begun."""
    folder = home.device(name)
    if not (folder / "device.crt").exists():
        home.enrol(name)
        write_source(folder, source)
    elif source.record and read_source(folder).record != source.record:
        raise UsageError(
            f"device {name} sends {read_source(folder).record}",
            hint="Rename the file, or use another --home.",
        )


@contextmanager
def _process(
    home: Home, command: str, log: Path, arguments: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """One of our own processes, stopped when this ends."""
    line = [sys.executable, "-m", "cellwarden", command, *arguments, "--home", str(home.path)]
    if command == "edge":
        line.append("--json")
    with log.open("a") as errors:
        process = subprocess.Popen(  # noqa: S603  our own program
            line, stdout=subprocess.PIPE, stderr=errors, text=True, env=dict(os.environ)
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _wait_until_up(client: HubClient, hub: "subprocess.Popen[str]", home: Home) -> None:
    end = time.monotonic() + _START_SECOND
    while time.monotonic() < end:
        if hub.poll() is not None:
            tail = (home.path / "hub.log").read_text().strip().splitlines()[-3:]
            raise UnavailableError(
                "the hub did not start: " + " ".join(tail),
                hint=f"Read {home.path / 'hub.log'}; `cellwarden doctor` looks for causes.",
            )
        if client.is_up():
            return
        time.sleep(0.1)
    raise UnavailableError("the hub does not answer", hint=f"Read {home.path / 'hub.log'}.")


def _forge(home: Home, job: _Job) -> list[Attempt]:
    if job.victim is None:
        return []
    folder = home.device(_FORGER)
    transport = open_transport(folder)
    try:
        return forge(open_device(folder), job.victim, transport, time.time())
    finally:
        transport.close()


def _follow(
    edge: "subprocess.Popen[str]", job: _Job, console: Console, *, live: bool
) -> tuple[dict[str, int], dict[str, str]]:
    """Show how far each device is, until all is sent (or, live, until all have caught up).

    Gives what each has sent, and what made a device end before its time.
    """
    sent = dict.fromkeys(job.devices, 0)
    troubles: dict[str, str] = {}
    done: set[str] = set()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console) as bar:
        tasks: dict[str, TaskID] = {
            name: bar.add_task(name, total=None, note="waiting") for name in job.devices
        }
        for line in edge.stdout or ():
            state = json.loads(line)
            name, made = state["device"], state["made_count"]
            sent[name] = state["sent_count"]
            note = state["trouble"] or f"{sent[name]} of {made} batches stored and proved"
            bar.update(tasks[name], total=max(made, 1), completed=sent[name], note=note)
            if state["done"] and state["trouble"]:
                troubles[name] = state["trouble"]
            if state["done"] or (live and 0 < made == sent[name]):
                done.add(name)
            if len(done) == len(job.devices):
                break
    return sent, troubles


def _trouble(edge: "subprocess.Popen[str]", troubles: dict[str, str]) -> Error:
    """What the edge process ended for, of the kind that its exit code tells."""
    code = edge.wait()
    kind = next((kind for kind, number in EXIT_CODE.items() if number == code), Error)
    told = "; ".join(f"{name}: {trouble}" for name, trouble in troubles.items())
    return kind(f"not all was sent: {told}", hint="Read edge.log in the installation's folder.")


def _verdicts(client: HubClient, sent: dict[str, int], console: Console) -> list[dict[str, Any]]:
    """Each device's row, once the hub has judged all that was sent."""
    end = time.monotonic() + _ASSESS_SECOND
    wanted = {name for name, count in sent.items() if count}
    with console.status("assessing"):
        while True:
            rows = {row["device"]: row for row in client.fleet()}
            judged = [row for name, row in rows.items() if _judged(row) >= sent.get(name, 0)]
            if {row["device"] for row in judged} >= wanted or time.monotonic() > end:
                return [rows[name] for name in sent if name in wanted and name in rows]
            time.sleep(0.3)


def _judged(row: dict[str, Any]) -> int:
    """The last batch that the device's verdict rests on; receipts are DEVICE-BATCH-LEAF."""
    return int(row["receipt_id"].rsplit("-", 2)[1]) if row["receipt_id"] else 0


def _print_verdicts(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    table = Table(title="Verdicts", title_justify="left")
    for title in ("battery", "frames", "charge", "health", "life", "worst finding"):
        table.add_column(title, overflow="fold")
    reasons: list[str] = []
    for row in rows:
        table.add_row(
            row["device"],
            f"{row['frame_count']:,}",
            _charge(row),
            _health(row, reasons),
            _life(row, reasons),
            _worst(row),
        )
    console.print(table)
    for number, reason in enumerate(reasons, 1):
        console.print(f"({number}) cannot be told, because {reason}", markup=False, highlight=False)


def _untold(reason: str | None, reasons: list[str]) -> str:
    """A mark for a reason, which is printed once below the table."""
    reason = reason or "it is not assessed yet"
    if reason not in reasons:
        reasons.append(reason)
    return f"cannot be told ({reasons.index(reason) + 1})"


def _charge(row: dict[str, Any]) -> str:
    if row["soc_fraction"] is None:
        return "not estimated"
    return f"{row['soc_fraction']:.0%} ± {2 * (row['soc_std_fraction'] or 0):.0%}"


def _health(row: dict[str, Any], reasons: list[str]) -> str:
    health = row["health"]
    if health is None:
        return _untold(row["health_reason"], reasons)
    return (
        f"{health['soh_fraction']:.1%} ({health['low']:.1%} to {health['high']:.1%}"
        f" at {health['coverage']:.0%})"
    )


def _life(row: dict[str, Any], reasons: list[str]) -> str:
    life = row["life"]
    if life is None:
        return _untold(row["life_reason"], reasons)
    return (
        f"{life['life_cycle_count']:.0f} cycles ({life['low']:.0f} to {life['high']:.0f})"
        f" to {life['end_of_life_fraction']:.0%}"
    )


def _worst(row: dict[str, Any]) -> str:
    worst = row["worst_finding"]
    if worst is None:
        return "none"
    more = f" (and {row['finding_count'] - 1} more)" if row["finding_count"] > 1 else ""
    over = "" if worst["open"] else "over, "
    return f"{over}{worst['severity'].lower()}: {worst['message']}{more}"


def _print_forgeries(console: Console, attempts: Sequence[Attempt]) -> None:
    if not attempts:
        return
    table = Table(title=f"Forgeries tried by {_FORGER}", title_justify="left")
    for title in ("attempt", "must be", "was", "hub's reason"):
        table.add_column(title, overflow="fold")
    for attempt in attempts:
        table.add_row(attempt.name, attempt.expected, attempt.observed, attempt.message)
    console.print(table)


def _prove(home: Home, client: HubClient, rows: Sequence[dict[str, Any]], console: Console) -> bool:
    """Check the ledger and each receipt as an outsider would."""
    trust = home.trust_roots()
    report, where = audit_home(home, trust, show_progress=console.is_terminal)
    print_report(console, report, where)
    folder = home.path / "receipts"
    folder.mkdir(exist_ok=True)
    for row in rows:
        if row["receipt_id"] is None:
            continue
        path = folder / f"{row['device']}.json"
        path.write_bytes(client.receipt(row["receipt_id"]))
        checked = verify_receipt(path, trust)
        fold = checked.verdict["model"]["fold"]
        fit = "" if fold == "full" else f", from the fit that never saw {fold}"
        console.print(
            f"receipt {path} holds: {checked.batch_count} signed batches behind its verdict{fit}"
        )
    if report.first_bad is not None:
        console.print(f"[bold red]does not hold:[/] {report.first_bad}")
    return report.ok


def _say_where(console: Console, client: HubClient, password: str | None, home: Home) -> None:
    console.print(f"Pages: [bold]{client.page_url}[/bold] (signed by your own authority:")
    console.print(f"  import {home.hub / 'ca.crt'} into the browser to see it trusted)")
    if password:
        console.print(f"Sign in as admin with [bold]{password}[/bold] - shown this once.")


def _conclude(
    job: _Job,
    sent: dict[str, int],
    rows: Sequence[dict[str, Any]],
    attempts: Sequence[Attempt],
    *,
    proved: bool,
) -> None:
    """Raise unless all is as it must be."""
    missing = [name for name in job.devices if not sent[name]]
    missing += [row["device"] for row in rows if _judged(row) < sent[row["device"]]]
    accepted = [attempt.name for attempt in attempts if not attempt.refused]
    if missing or len(rows) < len(job.devices):
        raise UnavailableError(
            f"not stored, proved and assessed: {', '.join(missing) or 'some'}",
            hint="Read edge.log and hub.log in the installation's folder.",
        )
    if accepted or not proved:
        raise Error(
            f"the chain of proof is broken: {accepted}", hint="Keep the folder as evidence."
        )


def _serve_on(hub: "subprocess.Popen[str]", edge: "subprocess.Popen[str]") -> None:
    """Stay until told to stop, or until the hub ends."""
    try:
        while hub.poll() is None:
            if edge.stdout is None or not edge.stdout.readline():
                time.sleep(1.0)
    except KeyboardInterrupt:
        return

"""A hub for tests: real store, real ingest, real TLS on loopback, and people with accounts.

`site(folder)` runs it; `Site.fill` sends signed and sealed batches, `Site.client` is a browser,
`Site.operator` a program with a certificate.
"""

import asyncio
import base64
import json
import os
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import FastAPI

from cellwarden.domain import Finding, Frames, Severity
from cellwarden.hub.accounts import Accounts, Passwords
from cellwarden.hub.api import build_api
from cellwarden.hub.app import revoke
from cellwarden.hub.audit import StoreView
from cellwarden.hub.http import Listener
from cellwarden.hub.ingest import Ingest
from cellwarden.hub.ledger import Ledger
from cellwarden.hub.orders import OrderBook, Signer
from cellwarden.hub.roles import Role
from cellwarden.hub.service import Hub
from cellwarden.hub.store import Store
from cellwarden.trust.envelope import Opener, Sealer
from cellwarden.trust.identity import Identity
from cellwarden.trust.tls import client_context, server_context
from cellwarden.wire.audit import audit
from cellwarden.wire.notes import Notes, PackNote
from trust.making import ORIGIN, Certified, Fleet, Maker, authority, certify

# TLS looks at the machine's clock, so certificates are made for today.
NOW = float(int(time.time()))
PASSWORD = "correct horse battery staple"  # noqa: S105  of the people in these tests


class Installation(Fleet):
    """Authority, secrets and devices, with certificates that are good today."""

    def maker(self, name: str) -> Maker:
        """A newly enrolled device."""
        made = certify(self.authority, Identity("device", name), at=NOW)
        sealer = Sealer.from_bytes(Opener(self.seal_secret).public_bytes())
        return Maker(name, made.key, made.certificate, sealer)


@cache
def installation() -> Installation:
    """One for all tests of a process: keys take time to make."""
    root = authority(at=NOW)
    return Installation(
        root,
        certify(root, Identity("hub", "test"), at=NOW),
        ed25519.Ed25519PrivateKey.generate(),
        Opener.new_secret(),
        now=NOW,
    )


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def sound_frames(count: int = 60, *, begin: float = NOW - 60.0, cells: int = 4) -> Frames:
    """One reading a second, a slow wave with one sharp peak."""
    at = np.arange(count, dtype=np.float64)
    cell = (3.6 + 0.1 * np.sin(at / 20))[:, None] + np.linspace(0, 0.01, cells)
    cell = cell.astype(np.float32)
    cell[count // 2] += 0.5
    return Frames(
        unix_time_second=begin + at,
        voltage_volt=cell.sum(axis=1, dtype=np.float32),
        current_ampere=np.cos(at / 20).astype(np.float32),
        cell_voltage_volt=cell,
        cell_temperature_celsius=np.tile(np.array([25, 26], dtype=np.float32), (count, 1)),
        ambient_temperature_celsius=np.full(count, 21, dtype=np.float32),
        soc_fraction=np.linspace(0.5, 0.6, count, dtype=np.float32),
        soc_std_fraction=np.full(count, 0.02, dtype=np.float32),
    )


def silent_frames(count: int = 10, *, begin: float = NOW - 60.0) -> Frames:
    """Sensors that give no reading at all."""
    none = np.full(count, np.nan, dtype=np.float32)
    return Frames(
        unix_time_second=begin + np.arange(count, dtype=np.float64),
        voltage_volt=none,
        current_ampere=none,
        cell_voltage_volt=np.full((count, 2), np.nan, dtype=np.float32),
        cell_temperature_celsius=np.full((count, 1), np.nan, dtype=np.float32),
        soc_fraction=none,
    )


def pack_notes(*findings: Finding) -> Notes:
    """What a device says of itself."""
    return Notes(PackNote("NMC", 5.0, 4, "twin"), findings)


def finding(
    kind: str = "bounds", severity: Severity = Severity.WARNING, at: float = NOW
) -> Finding:
    """Something to look at."""
    return Finding(kind, severity, "voltage_volt", at, f"{kind}!", 2, {"value": 4.3, "limit": 4.2})


@dataclass
class Site:
    """A running hub with its pages."""

    hub: Hub
    app: FastAPI
    clock: Clock
    installation: Fleet
    book: OrderBook
    page_port: int = 0
    device_port: int = 0
    makers: dict[str, Maker] = field(default_factory=dict)
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """Where browsers find it."""
        return f"https://127.0.0.1:{self.page_port}"

    def fill(self, device: str, frames: Frames, notes: Notes | None = None) -> None:
        """A device sends one batch, and it is believed."""
        if device not in self.makers:
            self.makers[device] = self.installation.maker(device)
        maker = self.makers[device]
        body = maker.next(frames, notes).encode()
        ack, refusal = self.hub.ingest.submit([body], maker.peer).result(30)
        assert ack is not None, refusal

    def client(self, **more: Any) -> httpx.Client:
        """A browser that nobody is signed in with."""
        context = ssl.create_default_context(cadata=_pem(self.installation))
        return self._connected(self.origin, context, **more)

    def sign_in(self, user: str, password: str = PASSWORD) -> httpx.Client:
        """A browser with somebody signed in."""
        client = self.client()
        told = client.post("/api/session", json={"user": user, "password": password})
        assert told.status_code == 200, told.text
        client.headers["X-CSRF-Token"] = told.json()["csrf"]
        return client

    def operator(self, identity: Identity) -> httpx.Client:
        """A program that shows a certificate on the listener that asks for one."""
        mine = certify(self.installation.authority, identity, at=NOW)
        return self.certified(mine)

    def certified(self, mine: Certified) -> httpx.Client:
        """Likewise, with a certificate that a test has made."""
        context = client_context(
            mine.certificate, mine.key, self.installation.authority.certificate
        )
        url = f"https://127.0.0.1:{self.device_port}"
        return self._connected(url, context)

    def _connected(self, url: str, context: ssl.SSLContext, **more: Any) -> httpx.Client:
        client = httpx.Client(base_url=url, verify=context, trust_env=False, timeout=30.0, **more)
        self.clients.append(client)
        return client

    def add_people(self) -> None:
        """One account a role, named after it."""
        hashed = Passwords().hash_now(PASSWORD)
        accounts = Accounts(self.hub.store, self.clock)
        for role in Role:
            accounts.add(str(role), role, hashed)

    def audit(self) -> list[tuple[str, str, str, str]]:
        """The trail so far."""
        return [
            (row[0], row[1], row[2], row[3])
            for row in self.hub.store.rows("SELECT actor, action, subject, outcome FROM audit")
        ]


def verified(hub: Hub) -> dict[str, Any]:
    """Every row held against the ledger, as the pages are told."""
    found = audit(StoreView(hub.store), hub.ingest.roots, hub.ledger.note_key)
    told = asdict(found) | {"ok": found.ok, "root": base64.b64encode(found.root).decode()}
    return told | {"second": 0.0}


def open_hub(folder: Path, clock: Clock, installed: Fleet | None = None) -> Hub:
    """A hub on a folder, without any listener; the caller closes it."""
    installed = installed or installation()
    store = Store(installed.place(folder))
    ledger = Ledger(store, installed.ledger_secret, ORIGIN)
    ingest = Ingest(store, ledger, Opener(installed.seal_secret), installed.roots, clock)
    return Hub(store, ledger, ingest, clock)


@contextmanager
def site(folder: Path, **options: Any) -> Iterator[Site]:
    """Run a hub with both of its listeners until the block ends."""
    clock, installed = Clock(), installation()
    hub = open_hub(folder, clock, installed)
    (folder / "ca.crt").write_bytes(_pem(installed).encode())
    options.setdefault("verify", lambda: verified(hub))
    options.setdefault("revoke", lambda device: revoke(hub, folder, device))
    signer = Signer(installed.hub.key, installed.hub.certificate)
    book = options.setdefault("book", OrderBook(hub.store, clock, signer))
    try:
        app = build_api(hub, **options)
        running = Site(hub, app, clock, installed, book)
        with _listening(app, installed) as (running.page_port, running.device_port):
            try:
                yield running
            finally:
                for client in running.clients:
                    client.close()
    finally:
        hub.close()


@contextmanager
def _listening(app: FastAPI, installed: Fleet) -> Iterator[tuple[int, int]]:
    certificate, key = installed.hub.certificate, installed.hub.key
    root = installed.authority.certificate
    listeners = [
        Listener(
            app,
            "127.0.0.1",
            0,
            server_context(certificate, key, root, clients_must_prove=prove),
        )
        for prove in (False, True)
    ]

    async def serve() -> None:
        await asyncio.gather(*(listener.serve() for listener in listeners))

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        while not all(listener.started for listener in listeners):
            assert thread.is_alive(), "the listeners did not start"
            time.sleep(0.01)
        first, second = (listener.servers[0].sockets[0].getsockname()[1] for listener in listeners)
        yield first, second
    finally:
        for listener in listeners:
            listener.should_exit = True
        thread.join(20)


def _pem(installed: Fleet) -> str:
    return installed.authority.certificate.public_bytes(Encoding.PEM).decode()


def verdict_row(store: Store, device: str, *, at: float = NOW, **parts: Any) -> str:
    """A stored verdict with its receipt; only its text matters to those who show it."""
    mark = f"{device}-1-{os.urandom(3).hex()}"
    with store.transaction():
        store.add(
            "verdict",
            receipt_id=mark,
            device=device,
            unix_time_second=at,
            last_sequence=1,
            verdict=json.dumps(parts),
            receipt=json.dumps({"receipt": mark}),
        )
    return mark

"""A small real installation in one process: authority, hub, devices; nothing in it pretends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from cellwarden.domain import Frames
from cellwarden.edge.agent import Device
from cellwarden.hub.ingest import Ingest, Peer, Reply
from cellwarden.hub.ledger import Ledger
from cellwarden.hub.store import FileStore, Store
from cellwarden.trust.envelope import Opener, Sealer, sign
from cellwarden.trust.identity import Authority, Identity, Roots, new_key, request, thumbprint, utc
from cellwarden.trust.ledger import NoteKey
from cellwarden.wire import (
    BATCH_TYPE,
    FIRST_PREVIOUS,
    Content,
    Manifest,
    Message,
    Notes,
    encode_columns,
    link,
    make_manifest,
    seal_content,
)

NOW = 1_750_000_000.0
ORIGIN = "cellwarden.local/test"
YEAR = timedelta(days=365)


def frames(count: int = 6, *, cells: int = 3, sensors: int = 2, seed: int = 0) -> Frames:
    """Some plausible readings with a gap in them."""
    numbers = np.random.default_rng(seed)
    volts = numbers.normal(3.7, 0.05, (count, cells)).astype(np.float32)
    volts[0, 0] = np.nan
    return Frames(
        unix_time_second=NOW - 1000 + np.arange(count, dtype=np.float64),
        voltage_volt=np.nansum(volts, axis=1, dtype=np.float32),
        current_ampere=numbers.normal(0, 5, count).astype(np.float32),
        cell_voltage_volt=volts,
        cell_temperature_celsius=numbers.normal(25, 1, (count, sensors)).astype(np.float32),
        ambient_temperature_celsius=np.full(count, 21.5, dtype=np.float32),
    )


@dataclass(frozen=True)
class Certified:
    """A key and the certificate that an authority gave to it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def authority(name: str = "Test authority", at: float = NOW) -> Authority:
    """A new certificate authority."""
    return Authority.create(name, utc(at), new_key())


def certify(
    by: Authority, identity: Identity, *, at: float = NOW, lifetime: timedelta = YEAR
) -> Certified:
    """A new key with its certificate."""
    key = new_key()
    asked = request(identity, key)
    hosts = ("127.0.0.1", "localhost") if identity.kind in {"hub", "server"} else ()
    return Certified(key, by.issue(asked, identity, utc(at), lifetime, hosts))


@dataclass
class Maker:
    """A device that makes batches; its chain goes on from one to the next."""

    name: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    sealer: Sealer
    boot: int = 1
    sequence: int = 0
    previous: bytes = FIRST_PREVIOUS
    sent: list[Message] = field(default_factory=list)

    @property
    def peer(self) -> Peer:
        """As the hub sees it on a connection."""
        return Peer(Identity("device", self.name), self.certificate)

    def content(self, told: Frames, notes: Notes | None = None) -> Content:
        """Frames and notes as they are sealed."""
        return Content(os.urandom(16), encode_columns(told), (notes or Notes()).encode())

    def manifest(self, told: Frames, content: Content) -> Manifest:
        """The manifest of the next batch."""
        return make_manifest(
            told,
            content,
            device=self.name,
            boot=self.boot,
            sequence=self.sequence + 1,
            previous=self.previous,
        )

    def sign(self, manifest: Manifest) -> bytes:
        """A manifest under this device's key, whatever it says."""
        return sign(
            manifest.payload(),
            self.key,
            content_type=BATCH_TYPE,
            thumbprint=thumbprint(self.certificate),
        )

    def message(self, content: Content, manifest: Manifest) -> Message:
        """Signed and sealed, without going on."""
        signed = self.sign(manifest)
        return Message(signed, seal_content(content, signed, self.sealer))

    def next(self, told: Frames | None = None, notes: Notes | None = None) -> Message:
        """The next batch of the chain."""
        told = frames(seed=self.sequence) if told is None else told
        content = self.content(told, notes)
        message = self.message(content, self.manifest(told, content))
        self.sequence, self.previous = self.sequence + 1, link(message.manifest)
        self.sent.append(message)
        return message

    def device(self, ledger_key: NoteKey) -> Device:
        """The same as the edge knows it."""
        return Device(self.name, self.key, self.certificate, self.sealer, ledger_key)


@dataclass
class Fleet:
    """An authority, a hub's secrets and devices; `open` runs the hub on a folder."""

    authority: Authority
    hub: Certified
    ledger_secret: ed25519.Ed25519PrivateKey
    seal_secret: bytes
    store_key: bytes = bytes(32)
    now: float = NOW

    @property
    def roots(self) -> Roots:
        """What a verifier trusts."""
        return Roots(self.authority.certificate)

    @property
    def note_key(self) -> NoteKey:
        """The ledger's public key."""
        return NoteKey.of(ORIGIN, self.ledger_secret)

    def maker(self, name: str) -> Maker:
        """A newly enrolled device."""
        made = certify(self.authority, Identity("device", name))
        sealer = Sealer.from_bytes(Opener(self.seal_secret).public_bytes())
        return Maker(name, made.key, made.certificate, sealer)

    def renewed(self, maker: Maker) -> Maker:
        """The same device under a new certificate."""
        made = certify(self.authority, Identity("device", maker.name))
        return replace(maker, key=made.key, certificate=made.certificate)

    def place(self, folder: Path) -> FileStore:
        """Where the hub of a folder keeps its rows."""
        return FileStore(folder / "store.duckdb", self.store_key)

    @contextmanager
    def store(self, folder: Path) -> Iterator[Store]:
        """The rows alone, as somebody with the store's key may open them."""
        store = Store(self.place(folder))
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def open(self, folder: Path) -> Iterator["Running"]:
        """The running hub of a folder."""
        with self.store(folder) as store:
            ledger = Ledger(store, self.ledger_secret, ORIGIN)
            ingest = Ingest(store, ledger, Opener(self.seal_secret), self.roots, lambda: self.now)
            try:
                yield Running(self, store, ledger, ingest)
            finally:
                ingest.close()


@dataclass
class Running:
    """A hub that takes in."""

    fleet: Fleet
    store: Store
    ledger: Ledger
    ingest: Ingest

    def send(self, maker: Maker, *messages: Message) -> Reply:
        """Messages of a device, in one request."""
        return self.send_bytes(maker, *(message.encode() for message in messages))

    def send_bytes(self, maker: Maker, *bodies: bytes) -> Reply:
        """Bytes that claim to be messages."""
        return self.ingest.submit(list(bodies), maker.peer).result(30)


@cache
def fleet() -> Fleet:
    """One for all tests of a process: keys take time to make."""
    root = authority()
    return Fleet(
        root,
        certify(root, Identity("hub", "test")),
        ed25519.Ed25519PrivateKey.generate(),
        Opener.new_secret(),
    )

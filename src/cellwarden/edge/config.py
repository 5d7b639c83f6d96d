"""Where a device keeps itself: keys, certificate, the hub's address, its outbox."""

import base64
import secrets
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cellwarden.edge.agent import Device
from cellwarden.edge.journal import Journal
from cellwarden.edge.logbook import Logbook, open_logbook
from cellwarden.edge.outbox import KEEP_BYTES, Outbox
from cellwarden.edge.transport import HttpsTransport
from cellwarden.errors import UsageError
from cellwarden.trust.envelope import Sealer
from cellwarden.trust.identity import (
    Identity,
    load_certificate,
    load_key,
    new_key,
    pack_key,
    request,
)
from cellwarden.trust.keys import FileKeyStore, write_durably
from cellwarden.trust.ledger import NoteKey
from cellwarden.trust.tls import client_context

__all__ = [
    "HubAddress",
    "create_device",
    "install_certificate",
    "open_device",
    "open_journal",
    "open_memory",
    "open_outbox",
    "open_transport",
    "read_address",
]

_KEYS: Final = "keys"


class HubAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the hub is and the two public keys that a device must know of it."""

    url: str
    sealing_key: str
    ledger_key: str


def create_device(folder: Path, name: str) -> bytes:
    """Keys of a new device; gives the signing request for its certificate.

    Raises:
        UsageError: there is a device already.
    """
    if (folder / "device.crt").exists():
        raise UsageError(f"there is a device in {folder}", hint="Choose another name.")
    keys = FileKeyStore(folder / _KEYS)
    if not (folder / _KEYS / "master.key").exists():
        keys = FileKeyStore.create(folder / _KEYS)
        keys.put("outbox", secrets.token_bytes(32))
        keys.put("identity", pack_key(new_key()))
    return request(Identity("device", name), load_key(keys.get("identity")))


def install_certificate(
    folder: Path, certificate: x509.Certificate, authority: x509.Certificate, hub: HubAddress
) -> None:
    """Put certificate, authority and the hub's address in place."""
    write_durably(folder / "ca.crt", authority.public_bytes(Encoding.PEM))
    write_durably(folder / "hub.toml", msgspec.toml.encode(hub))
    write_durably(folder / "device.crt", certificate.public_bytes(Encoding.PEM))


def read_address(folder: Path) -> HubAddress:
    """The hub's address as it was enrolled.

    Raises:
        UsageError: the device is not enrolled.
    """
    path = folder / "hub.toml"
    try:
        return msgspec.toml.decode(path.read_bytes(), type=HubAddress)
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no device in {folder}", hint="Run `cellwarden enrol NAME`."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", hint="Enrol the device again.") from error


def open_device(folder: Path) -> Device:
    """The device of a folder: who signs, and to whom it is sealed."""
    address = read_address(folder)
    certificate = load_certificate((folder / "device.crt").read_bytes())
    return Device(
        name=Identity.of(certificate).name,
        key=load_key(FileKeyStore(folder / _KEYS).get("identity")),
        certificate=certificate,
        sealer=Sealer.from_bytes(base64.b64decode(address.sealing_key)),
        ledger_key=NoteKey.parse(address.ledger_key),
    )


def open_outbox(folder: Path, *, keep_bytes: int = KEEP_BYTES) -> Outbox:
    """The outbox of a folder."""
    key = FileKeyStore(folder / _KEYS).get("outbox")
    return Outbox(folder / "outbox.sqlite", key, keep_bytes=keep_bytes)


def open_journal(folder: Path) -> Journal:
    """The journal of a folder, under the outbox's key."""
    return Journal(folder / "journal.sqlite", FileKeyStore(folder / _KEYS).get("outbox"))


def open_memory(folder: Path) -> Logbook:
    """What the control of a folder's pack keeps over a power cut."""
    return open_logbook(folder / "logbook", FileKeyStore(folder / _KEYS))


def open_transport(folder: Path) -> HttpsTransport:
    """The way to the hub, as this device."""
    certificate = load_certificate((folder / "device.crt").read_bytes())
    key = load_key(FileKeyStore(folder / _KEYS).get("identity"))
    authority = load_certificate((folder / "ca.crt").read_bytes())
    return HttpsTransport(read_address(folder).url, client_context(certificate, key, authority))

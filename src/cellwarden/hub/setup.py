"""Making a hub's folder: keys, certificate, configuration, and what others need to reach it."""

import base64
import secrets
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from cellwarden.errors import DecodeError, UsageError
from cellwarden.hub.config import HubConfig
from cellwarden.trust.envelope import Opener
from cellwarden.trust.identity import load_key, new_key, pack_key
from cellwarden.trust.keys import FileKeyStore, KeyStore, write_durably
from cellwarden.trust.ledger import NoteKey

__all__ = ["create_hub", "hub_address", "install_certificate"]

_KEYS: Final = "keys"
_SHARED: Final = ("ledger", "seal")


def create_hub(folder: Path, config: HubConfig, shared: KeyStore | None = None) -> None:
    """Keys and configuration of a new hub; its certificate comes from the authority.

    Hubs on one lake sign one ledger and open what is sealed to any of them: `shared` has the keys
    of a hub that is there already.

    Raises:
        UsageError: there is a hub already.
    """
    if (folder / "config.toml").exists():
        raise UsageError(f"there is a hub in {folder}", hint="Choose another folder.")
    keys = FileKeyStore.create(folder / _KEYS)
    keys.put("identity", pack_key(new_key()))
    if shared is None:
        keys.put("ledger", ed25519.Ed25519PrivateKey.generate().private_bytes_raw())
        keys.put("seal", Opener.new_secret())
    else:
        for name in _SHARED:
            keys.put(name, shared.get(name))
    keys.put("store", secrets.token_bytes(32))
    write_durably(folder / "config.toml", msgspec.toml.encode(config), mode=0o600)


def install_certificate(
    folder: Path, certificate: x509.Certificate, authority: x509.Certificate
) -> None:
    """Put the hub's certificate and its authority in place.

    Raises:
        DecodeError: the certificate is for another key.
    """
    mine = load_key(FileKeyStore(folder / _KEYS).get("identity")).public_key()
    if certificate.public_key() != mine:
        raise DecodeError("the certificate is not for this hub's key", hint="Issue it again.")
    write_durably(folder / "hub.crt", certificate.public_bytes(Encoding.PEM))
    write_durably(folder / "ca.crt", authority.public_bytes(Encoding.PEM))


def hub_address(folder: Path, config: HubConfig) -> dict[str, str]:
    """What a device needs to reach the hub; nothing in it is secret."""
    keys = FileKeyStore(folder / _KEYS)
    ledger = ed25519.Ed25519PrivateKey.from_private_bytes(keys.get("ledger"))
    return {
        "url": f"https://{config.host}:{config.device_port}",
        "sealing_key": base64.b64encode(Opener(keys.get("seal")).public_bytes()).decode(),
        "ledger_key": NoteKey.of(config.origin, ledger).text(),
    }

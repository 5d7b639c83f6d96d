"""One folder for one installation on one machine, and the ceremonies that fill it.

HOME/authority/   the certificate authority: keys, ca.crt, crl.pem, issued.jsonl
HOME/hub/         the hub: keys, hub.crt, config.toml, store.duckdb
HOME/edge/NAME/   a device: keys, device.crt, hub.toml, outbox.sqlite, logbook
HOME/servers/NAME/ a broker or Modbus server: server.key, server.crt, ca.crt, for their programs
HOME/operator/    the person who ran `init`: keys, operator.crt
HOME/trust.toml   what a verifier is to trust: authority and ledger key; keep a copy elsewhere

An installation that has joined another one's lake has no authority and no devices of its own.
"""

import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cellwarden.domain import check_name
from cellwarden.edge import config as edge_config
from cellwarden.errors import UsageError
from cellwarden.hub import setup as hub_setup
from cellwarden.hub.accounts import create_first_administrator
from cellwarden.hub.app import open_hub
from cellwarden.hub.config import HubConfig, load_config
from cellwarden.hub.store import LakeStore
from cellwarden.trust.identity import (
    Authority,
    Identity,
    load_certificate,
    load_key,
    new_key,
    pack_key,
    request,
    utc,
)
from cellwarden.trust.keys import FileKeyStore, write_durably

__all__ = ["Home", "TrustRoots"]

_DEVICE_LIFETIME: Final = timedelta(days=397)
_PACK_LIFETIME: Final = timedelta(days=3650)  # nobody opens a pack to renew it
_HUB_LIFETIME: Final = timedelta(days=397)


class TrustRoots(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a verifier trusts; it comes from the verifier, never from the hub under test."""

    authority: str
    ledger_key: str


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of an installation."""

    path: Path

    @staticmethod
    def find(given: Path | None) -> "Home":
        """The folder that was given, or `CELLWARDEN_HOME`, or `.cellwarden` here."""
        named = given or Path(os.environ.get("CELLWARDEN_HOME", ".cellwarden"))
        return Home(named.absolute())

    @property
    def hub(self) -> Path:
        """The hub's folder."""
        return self.path / "hub"

    @property
    def operator(self) -> Path:
        """The folder of the person who ran `init`."""
        return self.path / "operator"

    @property
    def trust(self) -> Path:
        """The verifier's file."""
        return self.path / "trust.toml"

    def device(self, name: str) -> Path:
        """A device's folder."""
        return self.path / "edge" / check_name(name)

    def exists(self) -> bool:
        """Whether `init` has been run here to its end."""
        return self.trust.exists()

    def init(
        self,
        *,
        device_port: int = 8443,
        page_port: int = 8440,
        host: str = "127.0.0.1",
        lake: LakeStore | None = None,
    ) -> str | None:
        """A new authority, hub and operator; gives the first administrator's password.

        With a `lake` the hub keeps its rows there, and others can join it.

        Raises:
            UsageError: there is an installation already.
        """
        if self.exists():
            raise UsageError(f"{self.path} is set up already", hint="Use it, or choose --home.")
        now = utc(time.time())
        keys = FileKeyStore.create(self.path / "authority" / "keys")
        key = new_key()
        keys.put("authority", pack_key(key))
        authority = Authority.create("Cellwarden authority", now, key)
        root = self.path / "authority" / "ca.crt"
        write_durably(root, authority.certificate.public_bytes(Encoding.PEM))
        origin = f"cellwarden.local/{secrets.token_hex(4)}"
        config = HubConfig(origin, host, device_port, page_port)
        if lake is not None:
            config = msgspec.structs.replace(
                config, store="lake", lake_catalog=lake.catalog, lake_data_path=lake.data_path
            )
        hub_setup.create_hub(self.hub, config)
        self._certify(self, authority)
        address = hub_setup.hub_address(self.hub, config)
        trust = TrustRoots(root.read_text(), address["ledger_key"])
        write_durably(self.trust, msgspec.toml.encode(trust))
        hub = open_hub(self.hub)
        try:
            return create_first_administrator(hub)
        finally:
            hub.close()

    def join(
        self,
        other: "Home",
        *,
        device_port: int = 8443,
        page_port: int = 8440,
        host: str = "127.0.0.1",
    ) -> None:
        """One more hub on the lake of another: its own key and certificate, the ledger's keys.

        Done where the other's authority is; the folder has no authority of its own.

        Raises:
            UsageError: there is an installation here, or the other keeps its rows in a file.
        """
        if self.exists():
            raise UsageError(f"{self.path} is set up already", hint="Choose another --home.")
        theirs = load_config(other.hub)
        if theirs.store != "lake":
            raise UsageError(
                f"the hub in {other.path} keeps its rows in a file, which one process opens",
                hint="Hubs share a lake: see docs/several-hubs.md.",
            )
        authority = other.authority()
        config = msgspec.structs.replace(
            theirs, host=host, device_port=device_port, page_port=page_port
        )
        hub_setup.create_hub(self.hub, config, FileKeyStore(other.hub / "keys"))
        other._certify(self, authority)  # noqa: SLF001  another of our own kind
        listed = other.hub / "crl.pem"
        if listed.exists():
            write_durably(self.hub / "crl.pem", listed.read_bytes())
        write_durably(self.trust, other.trust.read_bytes())

    def enrol(self, name: str) -> Path:
        """A new device: its key is made in its folder, the authority signs its certificate.

        Raises:
            UsageError: there is one of that name.
        """
        folder = self.device(name)
        asked = edge_config.create_device(folder, name)
        authority = self.authority()
        certificate = self._issue(authority, asked, Identity("device", name))
        address = hub_setup.hub_address(self.hub, load_config(self.hub))
        edge_config.install_certificate(
            folder, certificate, authority.certificate, edge_config.HubAddress(**address)
        )
        return folder

    def certify_pack(self, asked: bytes, identity: Identity) -> x509.Certificate:
        """A certificate of the authority for whoever holds the key of the request."""
        return self._issue(self.authority(), asked, identity)

    def certify(self, name: str, hosts: Sequence[str]) -> Path:
        """Key and certificate for a server that is not ours, such as a broker, as PEM files.

        Raises:
            UsageError: there is one of that name, or no host is named.
        """
        folder = self.path / "servers" / check_name(name)
        if folder.exists():
            raise UsageError(f"there is a server in {folder}", hint="Choose another name.")
        if not hosts:
            raise UsageError("a server needs an address", hint="Give --host, once for each.")
        authority, identity, key = self.authority(), Identity("server", name), new_key()
        certificate = self._issue(authority, request(identity, key), identity, list(hosts))
        folder.mkdir(parents=True, mode=0o700)
        encoded = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_durably(folder / "server.key", encoded, mode=0o600)
        write_durably(folder / "server.crt", certificate.public_bytes(Encoding.PEM))
        write_durably(folder / "ca.crt", authority.certificate.public_bytes(Encoding.PEM))
        return folder

    def revoke(self, name: str) -> int:
        """Revoke every certificate of that name, whoever bears it; gives how many there were."""
        issued = [row for row in self._issued() if row["uri"].rsplit("/", 1)[-1] == name]
        if not issued:
            raise UsageError(f"no certificate was issued to {name}", hint="Check the name.")
        revoked = {row["serial"] for row in self._issued() if row["revoked"]}
        revoked |= {row["serial"] for row in issued}
        rows = [{**row, "revoked": row["serial"] in revoked} for row in self._issued()]
        self._write_issued(rows)
        numbers = [int(serial, 16) for serial in revoked]
        listed = self.authority().revocations(numbers, utc(time.time()))
        write_durably(self.path / "authority" / "crl.pem", listed)
        write_durably(self.hub / "crl.pem", listed)
        return len(issued)

    def authority(self) -> Authority:
        """The certificate authority, which lives on this machine until it is moved."""
        folder = self.path / "authority"
        if not (folder / "ca.crt").exists():
            raise UsageError(
                f"no authority in {folder}",
                hint="Run `cellwarden init` first, or go where the authority is.",
            )
        certificate = load_certificate((folder / "ca.crt").read_bytes())
        return Authority(certificate, load_key(FileKeyStore(folder / "keys").get("authority")))

    def trust_roots(self, given: Path | None = None) -> TrustRoots:
        """The verifier's file."""
        path = given or self.trust
        try:
            return msgspec.toml.decode(path.read_bytes(), type=TrustRoots)
        except FileNotFoundError as error:
            raise UsageError(
                f"there is no {path}",
                hint="Give --trust FILE: the copy of trust.toml that you kept.",
            ) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: {error}", hint="Use the file that init wrote.") from error

    def _certify(self, place: "Home", authority: Authority) -> None:
        """Certificates for the hub and the operator of an installation, listed in this one."""
        config = load_config(place.hub)
        identity = Identity("hub", config.origin.rsplit("/", 1)[-1])
        key = load_key(FileKeyStore(place.hub / "keys").get("identity"))
        hosts = sorted({"localhost", "127.0.0.1", config.host} - {"0.0.0.0"})  # noqa: S104  left out
        certificate = self._issue(authority, request(identity, key), identity, hosts)
        hub_setup.install_certificate(place.hub, certificate, authority.certificate)
        identity = Identity("operator", "local", "administrator")
        keys, key = FileKeyStore.create(place.operator / "keys"), new_key()
        keys.put("identity", pack_key(key))
        certificate = self._issue(authority, request(identity, key), identity)
        write_durably(place.operator / "operator.crt", certificate.public_bytes(Encoding.PEM))

    def _issue(
        self, authority: Authority, asked: bytes, identity: Identity, hosts: list[str] | None = None
    ) -> x509.Certificate:
        now = utc(time.time())
        lifetime = {"hub": _HUB_LIFETIME, "pack": _PACK_LIFETIME}.get(
            identity.kind, _DEVICE_LIFETIME
        )
        lifetime = min(lifetime, authority.certificate.not_valid_after_utc - now)
        certificate = authority.issue(asked, identity, now, lifetime, hosts or ())
        row = {
            "serial": f"{certificate.serial_number:x}",
            "uri": identity.uri(),
            "revoked": False,
        }
        self._write_issued([*self._issued(), row])
        return certificate

    def _issued(self) -> list[dict[str, Any]]:
        path = self.path / "authority" / "issued.json"
        if not path.exists():
            return []
        rows: list[dict[str, Any]] = msgspec.json.decode(path.read_bytes())
        return rows

    def _write_issued(self, rows: list[dict[str, Any]]) -> None:
        write_durably(self.path / "authority" / "issued.json", msgspec.json.encode(rows))

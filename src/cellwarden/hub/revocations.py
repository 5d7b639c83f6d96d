"""Whom a hub believes: one authority, less what it lists and what hubs have taken back.

The authority's list lies in the hub's folder. What a hub takes back stands in its store, and so
reaches every hub that shares it; on a lake, the authority's list goes the same way.
"""

import json
from pathlib import Path

from cryptography import x509

from cellwarden.errors import UsageError
from cellwarden.hub.arrow import Column
from cellwarden.hub.contention import insist
from cellwarden.hub.service import Hub
from cellwarden.hub.store import Store
from cellwarden.trust.identity import Roots, load_certificate

__all__ = ["Revocations", "read_roots", "revoke"]


class Revocations:
    """The serial numbers of certificates that are not to be believed, from file and table."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._authority_file, self._list_file = folder / "ca.crt", folder / "crl.pem"
        self._before = folder / "revoked.json"  # where hubs wrote before there was a table
        self._store = store
        self._seen = -1.0
        self._authority: x509.Certificate
        self._listed: set[int] = set()
        self.changed()

    def changed(self) -> bool:
        """Whether somebody has put another list into the folder since this was asked last."""
        paths = (self._list_file, self._before)
        now = sum(path.stat().st_mtime for path in paths if path.exists())
        if now == self._seen:
            return False
        listed = self._list_file.read_bytes() if self._list_file.exists() else b""
        roots = Roots(load_certificate(self._authority_file.read_bytes()), listed)
        self._authority, self._listed = roots.authority, set(roots.revoked)
        if self._before.exists():
            self._listed |= {int(serial, 16) for serial in json.loads(self._before.read_bytes())}
        self._seen = now
        return True

    def serials(self) -> set[int]:
        """Everything that is revoked, wherever it is written."""
        return self._listed | self._taken_back()

    def roots(self) -> Roots:
        """Whom to believe as things stand now."""
        roots = Roots(self._authority)
        roots.revoked = frozenset(self.serials())
        return roots

    def share(self, now: float) -> set[int]:
        """Tell the hubs that share this store what the folder lists; gives all serials."""
        taken_back = self._taken_back()
        fresh = self._listed - taken_back
        if fresh:
            _add(self._store, fresh, "", now)
        return self._listed | taken_back

    def _taken_back(self) -> set[int]:
        return {int(row[0], 16) for row in self._store.rows("SELECT serial FROM revoked")}


def read_roots(folder: Path, store: Store) -> Roots:
    """Authority and revocations as they stand now."""
    return Revocations(folder, store).roots()


def revoke(hub: Hub, folder: Path, device: str) -> None:
    """Refuse every certificate of a device from now on, before the authority lists it.

    Raises:
        UsageError: no such device has ever connected.
    """
    rows = hub.store.rows("SELECT certificate FROM device WHERE device = ?", [device])
    if not rows:
        raise UsageError(f"there is no device {device}", hint="Check the name.")
    serials = {load_certificate(bytes(row[0])).serial_number for row in rows}
    _add(hub.store, serials, device, hub.clock())
    hub.ingest.roots = read_roots(folder, hub.store)


def _add(store: Store, serials: set[int], device: str, now: float) -> None:
    rows: dict[str, Column] = {
        "serial": [f"{serial:x}" for serial in sorted(serials)],
        "device": [device] * len(serials),
        "unix_time_second": [now] * len(serials),
    }
    insist(store, lambda: store.insert("revoked", rows))

"""Queries that give what the pages show, in the shape of `contract`."""

import base64
import hashlib
import json
from functools import lru_cache
from typing import Final

from cellwarden.errors import Error, UsageError
from cellwarden.features.curves import Direction
from cellwarden.hub.contract import (
    Accepted,
    BatteryDetail,
    Curves,
    Device,
    Fleet,
    LedgerHead,
    PackBody,
    PackMove,
    Refused,
    Signals,
    Trust,
)
from cellwarden.hub.contract import Verdict as VerdictBody
from cellwarden.hub.curves import read_curves
from cellwarden.hub.fleet import FINDING_COLUMNS, FINDINGS, FleetView, finding_of, read_verdict
from cellwarden.hub.problems import Declined
from cellwarden.hub.service import Hub
from cellwarden.hub.signals import read_signals
from cellwarden.trust.identity import Identity, load_certificate

__all__ = ["Views"]

_FINDINGS: Final = 200
_REFUSED: Final = 200
_ACCEPTED: Final = 50
_MOVES: Final = 30


class Views:
    """What people look at."""

    def __init__(self, hub: Hub, *, stale_second: float = 120.0) -> None:
        self._hub = hub
        self.glance = FleetView(hub, stale_second)

    def fleet(self) -> Fleet:
        """Every battery."""
        return self.glance.fleet()

    def battery(self, device: str) -> BatteryDetail:
        """One battery with its findings, open ones first, and what its verdict rests on."""
        battery = self.glance.battery(device)
        if battery is None:
            raise _unknown("battery")
        rows = self._hub.store.rows(
            f"SELECT {FINDING_COLUMNS} FROM {FINDINGS}"
            " ORDER BY open DESC, unix_time_second DESC LIMIT ?",
            [device, device, _FINDINGS],
        )
        verdict = VerdictBody()
        if battery.receipt_id is not None:
            verdict = read_verdict(self._hub, device, battery.receipt_id)
        return BatteryDetail(
            battery=battery,
            explanation=verdict.explanation,
            fade=verdict.fade,
            forecast=verdict.forecast,
            findings=[finding_of(row) for row in rows],
            model=verdict.model,
            pack=self._pack(device),
        )

    def _pack(self, device: str) -> PackBody | None:
        """How the pack stands, if it is under control of its device."""
        rows = self._hub.store.rows("SELECT body FROM pack_status WHERE device = ?", [device])
        if not rows:
            return None
        moves = self._hub.store.rows(
            "SELECT unix_time_second, source, target, reason FROM pack_move WHERE device = ?"
            " ORDER BY unix_time_second DESC, rowid DESC LIMIT ?",
            [device, _MOVES],
        )
        body = json.loads(rows[0][0])
        body["moves"] = [
            PackMove(unix_time_second=at, source=source, target=target, reason=reason)
            for at, source, target, reason in moves
        ]
        return PackBody(**body)

    def signals(self, device: str, start: float | None, stop: float | None, points: int) -> Signals:
        """A battery's readings between two times."""
        if device not in self._hub.ingest.latest:
            raise _unknown("battery")
        return read_signals(self._hub.store, device, start, stop, points)

    def curves(self, device: str, direction: Direction) -> Curves:
        """Some of a battery's whole charges or discharges, oldest first."""
        if device not in self._hub.ingest.latest:
            raise _unknown("battery")
        return read_curves(self._hub.store, device, direction)

    def receipt(self, receipt_id: str) -> str:
        """A receipt as it is stored."""
        rows = self._hub.store.rows(
            "SELECT receipt FROM verdict WHERE receipt_id = ?", [receipt_id]
        )
        if not rows:
            raise _unknown("receipt")
        return str(rows[0][0])

    def trust(self) -> Trust:
        """Ledger, devices, what was refused and what was accepted last."""
        tree, _note = self._hub.ledger.head()
        counts = self.glance.counts()
        return Trust(
            ledger=LedgerHead(
                origin=self._hub.ledger.origin,
                tree_size=tree.size,
                root=base64.b64encode(tree.root()).decode(),
                key=self._hub.ledger.note_key.text(),
            ),
            accepted_count=counts.accepted_count,
            refused_count=counts.refused_count,
            devices=self._devices(),
            refused=self._refused(),
            accepted=self._accepted(),
        )

    def _devices(self) -> list[Device]:
        refused: dict[str, int] = dict(
            self._hub.store.rows(
                "SELECT claimed_device, count(*) FROM refusal GROUP BY claimed_device"
            )
        )
        rows = self._hub.store.rows(
            "SELECT device, arg_max(certificate, not_after_unix_time_second),"
            " max(not_after_unix_time_second) FROM device GROUP BY device ORDER BY device"
        )
        return [
            self._device(name, bytes(certificate), not_after, refused.get(name, 0))
            for name, certificate, not_after in rows
            if _serial(bytes(certificate)) is not None
        ]

    def _device(self, name: str, der: bytes, not_after: float, refused_count: int) -> Device:
        latest = self._hub.ingest.latest.get(name)
        return Device(
            device=name,
            certificate_sha256=hashlib.sha256(der).hexdigest(),
            not_after_unix_time_second=not_after,
            revoked=_serial(der) in self._hub.ingest.roots.revoked,
            boot=latest.boot if latest else 0,
            sequence=latest.sequence if latest else 0,
            batch_count=latest.batch_count if latest else 0,
            refused_count=refused_count,
            last_seen_unix_time_second=latest.received_unix_time_second if latest else None,
        )

    def _refused(self) -> list[Refused]:
        names = tuple(Refused.model_fields)
        rows = self._hub.store.rows(
            f"SELECT {', '.join(names)} FROM refusal ORDER BY unix_time_second DESC LIMIT ?",
            [_REFUSED],
        )
        return [Refused(**dict(zip(names, row, strict=True))) for row in rows]

    def _accepted(self) -> list[Accepted]:
        names = tuple(Accepted.model_fields)
        rows = self._hub.store.rows(
            f"SELECT {', '.join(names)} FROM batch ORDER BY leaf_index DESC LIMIT ?", [_ACCEPTED]
        )
        return [Accepted(**dict(zip(names, row, strict=True))) for row in rows]


def _unknown(what: str) -> Declined:
    return Declined(404, UsageError(f"there is no such {what}", hint="Look at the fleet."))


@lru_cache(maxsize=4096)
def _serial(der: bytes) -> int | None:
    """The serial number of a device's certificate; None where it is somebody else's."""
    certificate = load_certificate(der)
    try:
        is_device = Identity.of(certificate).kind == "device"
    except Error:
        return None
    return certificate.serial_number if is_device else None

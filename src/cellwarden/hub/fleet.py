"""The fleet at a glance, put together again only when something has changed."""

import json
import threading
from collections.abc import Hashable
from typing import Any, Final, Literal

import structlog
from pydantic import ValidationError

from cellwarden.domain import Severity
from cellwarden.hub.contract import Battery, Counts, FindingBody, Fleet
from cellwarden.hub.contract import Verdict as VerdictBody
from cellwarden.hub.latest import Latest
from cellwarden.hub.service import Hub

__all__ = ["FINDINGS", "FINDING_COLUMNS", "FleetView", "finding_of", "read_verdict"]

FINDING_COLUMNS: Final = "kind, severity, signal, item, unix_time_second, message, evidence, open"
# Findings of one device (or of all) with whether each is open. The guard says when a fault is over
# (`over_unix_time_second`); a device that was started again begins to watch anew and tells again
# what still lasts. What counts no frames is no fault in time: it is open in the newest batch alone.
FINDINGS: Final = (
    "(SELECT finding.*,"
    " NOT contains(evidence, '\"over_unix_time_second\"') AND sequence >="
    "  CASE WHEN contains(evidence, '\"frame_count\"') THEN first_sequence ELSE last_sequence END"
    " AS open FROM (SELECT *, rowid AS row_id FROM finding"
    "  WHERE device = coalesce(?, device)) AS finding"
    " JOIN (SELECT device, min(sequence) AS first_sequence, max(sequence) AS last_sequence"
    "  FROM batch WHERE device = coalesce(?, device) GROUP BY device, boot"
    "  QUALIFY row_number() OVER (PARTITION BY device ORDER BY boot DESC) = 1) AS run"
    " USING (device))"
)
_OVER: Final = "over_unix_time_second"
_UNREAD: Final = "the stored verdict cannot be read"
_UNREADABLE: Final = VerdictBody(health_reason=_UNREAD, life_reason=_UNREAD)
_SEVERITY: Final[dict[int, Literal["INFO", "WARNING", "ALARM"]]] = {
    Severity.INFO: "INFO",
    Severity.WARNING: "WARNING",
    Severity.ALARM: "ALARM",
}
_AT_A_GLANCE: Final = ("health", "health_reason", "life", "life_reason")
_Known = tuple[str, VerdictBody]
_Found = tuple[int, int, FindingBody]
_log = structlog.get_logger()


class FleetView:
    """Latest values from memory, packs, findings and verdicts from their small tables."""

    def __init__(self, hub: Hub, stale_second: float) -> None:
        self._hub = hub
        self._stale_second = stale_second
        self._lock = threading.Lock()
        self._key: Hashable = None
        self._batteries: list[Battery] = []
        self._verdicts: dict[str, _Known] = {}

    def key(self) -> Hashable:
        """Something that differs when the fleet does; asking costs no query."""
        now = self._hub.clock()
        latest = list(self._hub.ingest.latest.values())
        stale = frozenset(each.device for each in latest if self._is_stale(each, now))
        return (self.counts(), stale)

    def counts(self) -> Counts:
        """How far the ledger has come."""
        ingest = self._hub.ingest
        return Counts(
            tree_size=self._hub.ledger.head()[0].size,
            accepted_count=ingest.accepted_count,
            refused_count=ingest.refused_count,
        )

    def fleet(self) -> Fleet:
        """Every battery."""
        with self._lock:
            key = self.key()
            if key != self._key:
                self._batteries = self._read(None)
                self._key = key
            return Fleet(now_unix_time_second=self._hub.clock(), batteries=self._batteries)

    def battery(self, device: str) -> Battery | None:
        """One battery, None where there is none of that name."""
        with self._lock:
            return next(iter(self._read(device)), None)

    def _read(self, device: str | None) -> list[Battery]:
        latest = dict(self._hub.ingest.latest)
        if device is not None:
            latest = {device: latest[device]} if device in latest else {}
        now = self._hub.clock()
        packs, findings, modes = self._packs(device), self._findings(device), self._modes(device)
        self._read_verdicts(device)
        return [
            self._battery(
                each, now, packs.get(name), findings.get(name), self._verdicts.get(name)
            ).model_copy(update={"pack_mode": modes.get(name)})
            for name, each in sorted(latest.items())
        ]

    def _battery(
        self,
        latest: Latest,
        now: float,
        pack: tuple[Any, ...] | None,
        findings: _Found | None,
        known: _Known | None,
    ) -> Battery:
        chemistry, nominal, series_count = pack or (None, None, latest.cell_count)
        receipt_id, verdict = known or (None, VerdictBody())
        return Battery.model_construct(
            device=latest.device,
            chemistry=chemistry,
            series_count=series_count,
            nominal_capacity_ah=nominal,
            last_seen_unix_time_second=latest.received_unix_time_second,
            last_sample_unix_time_second=latest.sample_unix_time_second,
            stale=self._is_stale(latest, now),
            frame_count=latest.frame_count,
            voltage_volt=latest.voltage_volt,
            current_ampere=latest.current_ampere,
            soc_fraction=latest.soc_fraction,
            soc_std_fraction=latest.soc_std_fraction,
            cell_temperature_celsius=latest.cell_temperature_celsius,
            health=verdict.health,
            health_reason=verdict.health_reason,
            life=verdict.life,
            life_reason=verdict.life_reason,
            worst_finding=findings[2] if findings else None,
            finding_count=findings[0] if findings else 0,
            open_finding_count=findings[1] if findings else 0,
            receipt_id=receipt_id,
        )

    def _is_stale(self, latest: Latest, now: float) -> bool:
        """Nothing came for a while; how old the readings are themselves is told beside it."""
        return now - latest.received_unix_time_second > self._stale_second

    def _packs(self, device: str | None) -> dict[str, tuple[Any, ...]]:
        rows = self._hub.store.rows(
            "SELECT device, arg_max(row(chemistry, nominal_capacity_ah, series_count), sequence)"
            " FROM pack WHERE device = coalesce(?, device) GROUP BY device",
            [device],
        )
        return {name: tuple(pack) for name, pack in rows}

    def _modes(self, device: str | None) -> dict[str, str]:
        rows = self._hub.store.rows(
            "SELECT device, mode FROM pack_status WHERE device = coalesce(?, device)", [device]
        )
        return dict(rows)

    def _findings(self, device: str | None) -> dict[str, _Found]:
        """How many, how many open, and the worst: an open one, the gravest, of these the newest."""
        rows = self._hub.store.rows(
            f"WITH told AS {FINDINGS}"
            f" SELECT device, count, open_count, {FINDING_COLUMNS} FROM"
            "  (SELECT device, count(*) AS count, count_if(open)::BIGINT AS open_count,"
            "   arg_max(row_id, row(open, severity, unix_time_second)) AS row_id"
            "   FROM told GROUP BY device)"
            "  JOIN (SELECT * EXCLUDE (device) FROM told) USING (row_id)",
            [device, device],
        )
        return {row[0]: (row[1], row[2], finding_of(row[3:])) for row in rows}

    def _read_verdicts(self, device: str | None) -> None:
        """Take up verdicts that are new; the long JSON of the others is not read again."""
        rows = self._hub.store.rows(
            "SELECT device, arg_max(receipt_id, row(last_sequence, unix_time_second))"
            " FROM verdict WHERE device = coalesce(?, device) GROUP BY device",
            [device],
        )
        known = {receipt_id for receipt_id, _ in self._verdicts.values()}
        fresh = {receipt_id: name for name, receipt_id in rows if receipt_id not in known}
        if not fresh:
            return
        found = self._hub.store.rows(
            "SELECT receipt_id, verdict FROM verdict WHERE receipt_id IN (SELECT unnest(?))",
            [list(fresh)],
        )
        for receipt_id, text in found:
            verdict = _read_verdict(text, receipt_id)
            short = VerdictBody(**{part: getattr(verdict, part) for part in _AT_A_GLANCE})
            self._verdicts[fresh[receipt_id]] = (receipt_id, short)


def read_verdict(hub: Hub, device: str, receipt_id: str) -> VerdictBody:
    """A stored verdict."""
    rows = hub.store.rows(
        "SELECT verdict FROM verdict WHERE device = ? AND receipt_id = ?", [device, receipt_id]
    )
    return _read_verdict(rows[0][0], receipt_id)


def _read_verdict(text: str, receipt_id: str) -> VerdictBody:
    """One that cannot be read says so and leaves the others alone."""
    try:
        return VerdictBody.model_validate(json.loads(text))
    except (ValidationError, ValueError):
        _log.warning("a stored verdict cannot be read", receipt_id=receipt_id)
        return _UNREADABLE


def finding_of(row: tuple[Any, ...]) -> FindingBody:
    """A row of the table as the pages show it."""
    kind, severity, signal, item, at, message, text, is_open = row
    evidence = json.loads(text)
    return FindingBody(
        kind=kind,
        severity=_SEVERITY[severity],
        signal=signal,
        item=item,
        unix_time_second=at,
        last_unix_time_second=evidence.pop("last_unix_time_second", at),
        open=is_open,
        message=message,
        evidence={name: value for name, value in evidence.items() if name != _OVER},
    )

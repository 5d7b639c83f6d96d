"""From stored rows to a signed verdict with its receipt.

A device is assessed when it has been quiet for a moment, or when enough has come since the last
time. The verdict names the batches it was made from; it is signed, becomes an entry of the ledger,
and its receipt is stored beside it, all in one transaction.
"""

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import structlog
from cryptography import x509

from cellwarden import registry
from cellwarden.domain import Health, Life, NotServed, Series
from cellwarden.errors import Error
from cellwarden.health.verdict import Verdict
from cellwarden.hub.ingest import enrolment_entry
from cellwarden.hub.ledger import Entry, Grown, Ledger
from cellwarden.hub.store import Store
from cellwarden.trust.envelope import SigningKey, open_signed
from cellwarden.wire.verdict import Proved, make_receipt, sign_verdict

__all__ = ["Assessor"]

_QUIET_SECOND: Final = 1.0
_PERIOD_SECOND: Final = 30.0
_BATCHES: Final = 4096  # the newest ones; what a receipt lists
_FRAMES: Final = 4_000_000  # and what is held in memory
_CELLS: Final = 4
_log = structlog.get_logger()


@dataclass(slots=True)
class _Due:
    first_heard: float
    last_heard: float


@dataclass(frozen=True, slots=True)
class _Inputs:
    """The batches a verdict is made from."""

    leaves: list[int]
    sequences: list[int]
    links: list[bytes]


class Assessor:
    """One thread that assesses whoever has sent something new."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        key: SigningKey,
        certificate: x509.Certificate,
    ) -> None:
        self._store, self._ledger = store, ledger
        self._key, self._certificate = key, certificate
        self._due: dict[str, _Due] = {}
        self._lock = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="assess", daemon=True)

    def start(self) -> None:
        """Begin with whoever has rows but no verdict on all of them."""
        open_ended = self._store.rows(
            "SELECT device FROM (SELECT device, max(sequence) AS newest FROM batch GROUP BY device)"
            " LEFT JOIN (SELECT device, max(last_sequence) AS told FROM verdict GROUP BY device)"
            " USING (device) WHERE told IS NULL OR told < newest"
        )
        self.hear({row[0] for row in open_ended})
        self._thread.start()

    def hear(self, devices: set[str]) -> None:
        """These have sent something."""
        now = time.monotonic()
        with self._lock:
            for device in devices:
                self._due.setdefault(device, _Due(now, now)).last_heard = now
            self._lock.notify()

    def stop(self) -> None:
        """Finish the one in hand and stop."""
        with self._lock:
            self._stopping = True
            self._lock.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while (device := self._next()) is not None:
            try:
                self.assess(device)
            except Error as error:
                _log.error("not assessed", device=device, reason=str(error))
            except Exception:  # noqa: BLE001  one device must not stop the others
                _log.exception("not assessed", device=device)

    def _next(self) -> str | None:
        """The device whose turn it is; waits for one."""
        with self._lock:
            while not self._stopping:
                now = time.monotonic()
                for device, due in self._due.items():
                    quiet = now - due.last_heard >= _QUIET_SECOND
                    if quiet or now - due.first_heard >= _PERIOD_SECOND:
                        del self._due[device]
                        return device
                self._lock.wait(0.2 if self._due else None)
        return None

    def assess(self, device: str) -> None:
        """Make, sign, log and store the verdict of a device as it stands."""
        inputs = self._inputs(device)
        if not inputs.leaves:
            return
        verdict, cell = self._judge(device, inputs)
        now = time.time()
        statement = _statement(device, verdict, cell, inputs, now)
        entry = sign_verdict(statement, self._key, self._certificate)
        with self._ledger.appending([Entry("verdict", device, entry)], now) as grown:
            index = grown.first_index
            self._store.add(
                "verdict",
                receipt_id=f"{device}-{inputs.sequences[-1]}-{index}",
                device=device,
                unix_time_second=now,
                last_sequence=inputs.sequences[-1],
                verdict=json.dumps(_page(verdict), allow_nan=False),
                receipt=self._receipt(Proved(entry, index, ()), inputs, grown),
            )

    def _receipt(self, verdict: Proved, inputs: _Inputs, grown: Grown) -> str:
        def proved(entry: bytes, leaf: int) -> Proved:
            return Proved(entry, leaf, self._ledger.inclusion_in(leaf, grown))

        entries = self._entries(inputs)
        return make_receipt(
            grown.note,
            proved(verdict.entry, verdict.leaf_index),
            [proved(entry, leaf) for leaf, entry in zip(inputs.leaves, entries, strict=True)],
            self._certificates(entries),
        )

    def _inputs(self, device: str) -> _Inputs:
        rows = self._store.rows(
            "SELECT leaf_index, sequence, link FROM (SELECT *,"
            " sum(frame_count) OVER (ORDER BY sequence DESC) AS rows_since FROM batch"
            " WHERE device = ?) WHERE rows_since <= ? OR rows_since = frame_count"
            " ORDER BY sequence DESC LIMIT ?",
            [device, _FRAMES, _BATCHES],
        )[::-1]
        return _Inputs(
            [row[0] for row in rows], [row[1] for row in rows], [bytes(row[2]) for row in rows]
        )

    def _entries(self, inputs: _Inputs) -> list[bytes]:
        rows = self._store.rows(
            "SELECT entry FROM leaf WHERE leaf_index IN (SELECT unnest(?)) ORDER BY leaf_index",
            [inputs.leaves],
        )
        return [bytes(row[0]) for row in rows]

    def _certificates(self, entries: Sequence[bytes]) -> list[bytes]:
        marks = {open_signed(entry).thumbprint for entry in entries}
        known = self._store.rows("SELECT thumbprint, certificate FROM device")
        found = [bytes(der) for mark, der in known if bytes(mark) in marks]
        return [*found, enrolment_entry(self._certificate)]

    def _judge(self, device: str, inputs: _Inputs) -> tuple[Verdict, int]:
        """The verdict on the device: that of its worst cell."""
        chemistry, nominal = self._label(device)
        judged = []
        for cell in self._cells(device, inputs):
            series = self._series(device, cell, inputs, nominal, chemistry)
            judged.append((registry.assess(series, nominal_capacity_ah=nominal), cell))
        return min(judged, key=_standing)

    def _label(self, device: str) -> tuple[str | None, float | None]:
        rows = self._store.rows(
            "SELECT chemistry, nominal_capacity_ah FROM pack WHERE device = ?"
            " ORDER BY sequence DESC LIMIT 1",
            [device],
        )
        return rows[0] if rows else (None, None)

    def _cells(self, device: str, inputs: _Inputs) -> list[int]:
        """The cells that limit a string: those that come lowest and highest."""
        rows = self._store.rows(
            "SELECT list_min(cell_voltage_volt), list_max(cell_voltage_volt),"
            " list_position(cell_voltage_volt, list_min(cell_voltage_volt)),"
            " list_position(cell_voltage_volt, list_max(cell_voltage_volt))"
            " FROM sample WHERE device = ? AND leaf_index BETWEEN ? AND ?"
            " AND len(cell_voltage_volt) > 1 USING SAMPLE 4096 ROWS (reservoir, 7)",
            [device, inputs.leaves[0], inputs.leaves[-1]],
        )
        if not rows:
            return [0]
        low = [row[2] - 1 for row in sorted(rows)[:256] if row[2]]
        return [cell for cell, _ in _most_common(low)[:_CELLS]] or [0]

    def _series(
        self,
        device: str,
        cell: int,
        inputs: _Inputs,
        nominal: float | None,
        chemistry: str | None,
    ) -> Series:
        found = self._store.columns(
            "SELECT unix_time_second, current_ampere, cell_voltage_volt[?] AS voltage_volt,"
            " coalesce(cell_temperature_celsius[?], cell_temperature_celsius[1])"
            " AS surface_temperature_celsius, ambient_temperature_celsius"
            " FROM sample WHERE device = ? AND leaf_index BETWEEN ? AND ?"
            " ORDER BY leaf_index, frame_index",
            [cell + 1, cell + 1, device, inputs.leaves[0], inputs.leaves[-1]],
        )
        columns = {name: _filled(column) for name, column in found.items()}
        time_second = columns["unix_time_second"]
        return Series(
            name=device,
            test_time_second=time_second - time_second[0],
            voltage_volt=columns["voltage_volt"],
            current_ampere=columns["current_ampere"],
            unix_time_second=time_second,
            surface_temperature_celsius=_present(columns["surface_temperature_celsius"]),
            ambient_temperature_celsius=_present(columns["ambient_temperature_celsius"]),
            nominal_capacity_ah=nominal,
            chemistry=chemistry,
            source="store",
        )


def _filled(column: np.ndarray) -> np.ndarray:
    filled: np.ndarray = np.ma.filled(column.astype(np.float64), np.nan)
    return filled


def _present(column: np.ndarray) -> np.ndarray | None:
    return column if np.isfinite(column).any() else None


def _most_common(items: Sequence[int]) -> list[tuple[int, int]]:
    counts = {item: items.count(item) for item in set(items)}
    return sorted(counts.items(), key=lambda pair: -pair[1])


def _standing(judged: tuple[Verdict, int]) -> tuple[bool, float]:
    """Served before not served, then the lowest health first."""
    health = judged[0].health
    return isinstance(health, NotServed), getattr(health, "soh_fraction", 0.0)


def _statement(
    device: str, verdict: Verdict, cell: int, inputs: _Inputs, now: float
) -> dict[str, Any]:
    page = _page(verdict)
    named = ("health", "health_reason", "life", "life_reason", "explanation", "model")
    return {
        "device": device,
        "cell": cell,
        "unix_time_second": now,
        "first_sequence": inputs.sequences[0],
        "last_sequence": inputs.sequences[-1],
        "inputs": [link.hex() for link in inputs.links],
        **{name: page[name] for name in named},
    }


def _page(verdict: Verdict) -> dict[str, Any]:
    """The verdict as the pages show it."""
    health, life, fade, forecast = verdict.health, verdict.life, verdict.fade, verdict.forecast
    nominal = verdict.nominal_capacity_ah or float("nan")
    explanation = health.explanation if isinstance(health, Health) else None
    return {
        "health": _health(health),
        "health_reason": health.reason if isinstance(health, NotServed) else None,
        "life": _life(life),
        "life_reason": life.reason if isinstance(life, NotServed) else None,
        "explanation": None
        if explanation is None
        else {
            "base": explanation.base,
            "features": list(explanation.features),
            "values": list(explanation.values),
            "contributions": list(explanation.contributions),
        },
        "fade": {
            "cycle_count": [int(cycle) for cycle in fade.cycle_count],
            "capacity_ah": _numbers(fade.measured_capacity_ah),
            "soh_fraction": _numbers(fade.measured_capacity_ah / nominal),
            "estimate": _numbers(fade.soh_fraction),
            "low": _numbers(fade.low),
            "high": _numbers(fade.high),
        },
        "forecast": None
        if forecast is None
        else {
            "cycle_count": [int(cycle) for cycle in forecast.cycle_count],
            "soh_fraction": _numbers(forecast.soh_fraction),
            "low": _numbers(forecast.low),
            "high": _numbers(forecast.high),
        },
        "model": {
            "name": verdict.model_name,
            "digest": verdict.model_digest,
            "fold": verdict.fold,
        },
    }


def _health(health: Health | NotServed) -> dict[str, Any] | None:
    if isinstance(health, NotServed):
        return None
    return {
        "soh_fraction": health.soh_fraction,
        "low": health.interval.low,
        "high": health.interval.high,
        "coverage": health.interval.coverage,
        "cycle_count": health.cycle_count,
    }


def _life(life: Life | NotServed) -> dict[str, Any] | None:
    if isinstance(life, NotServed):
        return None
    return {
        "life_cycle_count": life.life_cycle_count,
        "low": life.interval.low,
        "high": life.interval.high,
        "coverage": life.interval.coverage,
        "end_of_life_fraction": life.end_of_life_fraction,
    }


def _numbers(values: np.ndarray) -> list[float | None]:
    """For JSON, which knows no NaN."""
    return [float(value) if np.isfinite(value) else None for value in values]

"""Accepted batches as rows, and rows back as the frames that were signed."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np

from cellwarden.domain import (
    LIST_COLUMNS,
    Authenticity,
    Finding,
    Frames,
    PackStatus,
    Severity,
)
from cellwarden.errors import LedgerError
from cellwarden.hub.arrow import Column, Masked, Ragged, Repeated
from cellwarden.hub.store import Store
from cellwarden.hub.trail import plain
from cellwarden.wire import Content, Manifest, Notes, link
from cellwarden.wire.obedience import Reason

__all__ = ["Accepted", "read_batches", "write_batches", "write_findings"]

_MEASURED: Final = ("voltage_volt", "current_ampere")
_OPTIONAL: Final = (
    "ambient_temperature_celsius",
    "humidity_fraction",
    "soc_fraction",
    "soc_std_fraction",
)
_AHEAD_SECOND: Final = 300.0
_TOGETHER_SECOND: Final = 3600.0  # heard at two devices within so much is heard at once


@dataclass(frozen=True, slots=True)
class Accepted:
    """A batch that is believed."""

    signed: bytes
    manifest: Manifest
    content: Content
    frames: Frames
    notes: Notes
    received_unix_time_second: float


def write_batches(store: Store, batches: Sequence[Accepted], first_index: int) -> None:
    """Rows of these batches, inside the caller's transaction."""
    if not batches:
        return
    _write_samples(store, batches, first_index)
    told = [batch.manifest for batch in batches]
    store.insert(
        "batch",
        {
            "leaf_index": list(range(first_index, first_index + len(batches))),
            "device": [m.device for m in told],
            "boot": [m.boot for m in told],
            "sequence": [m.sequence for m in told],
            "link": [link(batch.signed) for batch in batches],
            "salt": [batch.content.salt for batch in batches],
            "notes": [batch.content.notes for batch in batches],
            "first_unix_time_second": [m.first_unix_time_second for m in told],
            "last_unix_time_second": [m.last_unix_time_second for m in told],
            "frame_count": [m.frame_count for m in told],
            "value_count": [m.value_count for m in told],
            "received_unix_time_second": [b.received_unix_time_second for b in batches],
        },
    )
    for batch in batches:
        _write_notes(store, batch)


def _write_samples(store: Store, batches: Sequence[Accepted], first_index: int) -> None:
    frames = [batch.frames for batch in batches]
    counts = [len(part) for part in frames]
    leaves = np.arange(first_index, first_index + len(batches), dtype=np.int64)
    columns: dict[str, Column] = {
        "device": Repeated([b.manifest.device for b in batches], counts),
        "leaf_index": np.repeat(leaves, counts),
        "frame_index": np.concatenate([np.arange(count, dtype=np.int32) for count in counts]),
        "unix_time_second": np.concatenate([part.unix_time_second for part in frames]),
    }
    for name in _MEASURED:
        columns[name] = np.concatenate([getattr(part, name) for part in frames])
    for name in _OPTIONAL:
        parts = [getattr(part, name) for part in frames]
        if any(part is not None for part in parts):
            columns[name] = Masked(parts, counts)
    for name in LIST_COLUMNS:
        columns[name] = Ragged([getattr(part, name) for part in frames])
    store.insert("sample", columns)


def _write_notes(store: Store, batch: Accepted) -> None:
    device, sequence = batch.manifest.device, batch.manifest.sequence
    pack = batch.notes.pack
    if pack is not None:
        store.add(
            "pack",
            device=device,
            sequence=sequence,
            chemistry=pack.chemistry,
            nominal_capacity_ah=pack.nominal_capacity_ah,
            series_count=pack.series_count,
            source=pack.source,
        )
    refused = [found for one in batch.notes.outcomes if (found := one.finding()) is not None]
    write_findings(store, device, sequence, "edge", (*batch.notes.findings, *refused))
    _write_outcomes(store, batch)
    _write_status(store, batch)
    ahead = batch.manifest.last_unix_time_second - batch.received_unix_time_second
    if ahead > _AHEAD_SECOND:
        # Believed, since it is signed, but not in its time: a person has to look at the clock.
        store.add(
            "finding",
            device=device,
            sequence=sequence,
            origin="hub",
            kind="clock",
            severity=2,
            signal="unix_time_second",
            item=-1,
            unix_time_second=batch.received_unix_time_second,
            message=f"the device's clock is {ahead:.0f} s ahead of the hub's",
            evidence=json.dumps({"ahead_second": ahead}),
        )


def _write_outcomes(store: Store, batch: Accepted) -> None:
    """What the device says of orders; a refusal stands in the audit trail as well."""
    for outcome in batch.notes.outcomes:
        store.add(
            "order_event",
            device=batch.manifest.device,
            issuer=outcome.issuer,
            sequence=outcome.sequence,
            digest=outcome.digest.hex(),
            event=str(outcome.reason),
            message=outcome.message,
            count=outcome.count,
            unix_time_second=outcome.unix_time_second,
        )
        if outcome.reason is not Reason.OBEYED:
            store.add(
                "audit",
                unix_time_second=batch.received_unix_time_second,
                actor=f"device:{batch.manifest.device}",
                action="order",
                subject=plain(f"{outcome.issuer or '?'} {outcome.sequence}"),
                outcome=plain(f"refused: {outcome.reason}"),
            )


def _write_status(store: Store, batch: Accepted) -> None:
    """How the pack stands; the newest word replaces the one before, changes of mode stay."""
    status = batch.notes.status
    if status is None:
        return
    device, sequence = batch.manifest.device, batch.manifest.sequence
    store.execute("DELETE FROM pack_status WHERE device = ?", [device])
    store.add(
        "pack_status",
        device=device,
        sequence=sequence,
        unix_time_second=status.unix_time_second,
        mode=status.mode,
        body=json.dumps(asdict(replace(status, moves=()))),
    )
    for move in status.moves:
        store.add("pack_move", device=device, sequence=sequence, **asdict(move))
    if status.pack and status.authenticity == Authenticity.GENUINE:
        _compare_packs(store, batch, status)


def _compare_packs(store: Store, batch: Accepted, status: PackStatus) -> None:
    """One pack cannot be in two places: where two devices have heard it, its key was copied."""
    device, now = batch.manifest.device, status.unix_time_second
    others = store.rows(
        "SELECT device FROM pack_status WHERE device != ? AND abs(unix_time_second - ?) < ?"
        " AND json_extract_string(body, '$.pack') = ?"
        " AND json_extract_string(body, '$.authenticity') = ?",
        [device, now, _TOGETHER_SECOND, status.pack, str(Authenticity.GENUINE)],
    )
    for (other,) in others:
        message = f"pack {status.pack} answers at {other} too: its key was copied"
        found = Finding("identity", Severity.ALARM, "pack", now, message)
        write_findings(store, device, batch.manifest.sequence, "hub", [found])


def write_findings(
    store: Store, device: str, sequence: int, origin: str, findings: Sequence[Any]
) -> None:
    """Findings of one batch, inside the caller's transaction.

    A fault that goes on is told again by the same identity; the last word replaces the one before.
    """
    for finding in findings:
        store.execute(
            "DELETE FROM finding WHERE device = ? AND kind = ? AND severity = ? AND signal = ?"
            " AND item = ? AND unix_time_second = ? AND origin = ?",
            [
                device,
                finding.kind,
                int(finding.severity),
                finding.signal,
                finding.item,
                finding.unix_time_second,
                origin,
            ],
        )
        store.add(
            "finding",
            device=device,
            sequence=sequence,
            origin=origin,
            kind=finding.kind,
            severity=int(finding.severity),
            signal=finding.signal,
            item=finding.item,
            unix_time_second=finding.unix_time_second,
            message=finding.message,
            evidence=json.dumps(finding.evidence),
        )


def read_batches(store: Store, first_leaf: int, last_leaf: int) -> dict[int, Frames]:
    """The stored frames of a run of leaves, each bit for bit as it was signed."""
    span = [first_leaf, last_leaf]
    scalars = ", ".join(("leaf_index", "unix_time_second", *_MEASURED, *_OPTIONAL))
    lengths = ", ".join(f"len({name}) AS {name}" for name in LIST_COLUMNS)
    order = "WHERE leaf_index BETWEEN ? AND ? ORDER BY leaf_index, frame_index"
    found = store.columns(f"SELECT {scalars}, {lengths} FROM sample {order}", span)
    flat = {
        name: store.columns(
            f"SELECT unnest({name}) AS item FROM (SELECT {name} FROM sample {order})", span
        )["item"]
        for name in LIST_COLUMNS
    }
    leaves = found["leaf_index"]
    borders = np.flatnonzero(np.diff(leaves, prepend=-1, append=-1))
    ends = {
        name: np.concatenate([[0], np.cumsum(np.ma.filled(found[name], 0))])
        for name in LIST_COLUMNS
    }
    batches = {}
    for start, stop in pairwise(borders):
        rows = slice(start, stop)
        grids = {
            name: _grid(flat[name][ends[name][start] : ends[name][stop]], found[name][rows])
            for name in LIST_COLUMNS
        }
        optional: dict[str, Any] = {name: _optional(found[name][rows]) for name in _OPTIONAL}
        batches[int(leaves[start])] = Frames(
            unix_time_second=found["unix_time_second"][rows],
            voltage_volt=found["voltage_volt"][rows],
            current_ampere=found["current_ampere"][rows],
            cell_voltage_volt=grids["cell_voltage_volt"],
            cell_temperature_celsius=grids["cell_temperature_celsius"],
            **optional,
        )
    return batches


def _grid(flat: np.ndarray, widths: np.ndarray) -> np.ndarray:
    if np.ma.getmaskarray(widths).any() or np.any(widths != widths[0]):
        raise LedgerError(
            "rows of one batch hold lists of different lengths",
            hint="Somebody changed the store; restore a backup.",
        )
    return np.ma.filled(flat, np.nan).reshape(len(widths), int(widths[0]))


def _optional(column: np.ndarray) -> np.ndarray | None:
    if np.ma.isMaskedArray(column):
        return None if np.ma.getmaskarray(column).all() else np.ma.filled(column, np.nan)
    return column

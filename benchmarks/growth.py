"""How ingest holds up as it grows: 1 to 1,000 devices, and an empty store to 50 million rows.

Takes many minutes: `make soak` runs it and saves the figures with their commit and date.
"""

import hashlib
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from cellwarden.cli.bench import load_script
from cellwarden.cli.client import HubClient
from cellwarden.cli.home import Home
from cellwarden.domain import Frames
from cellwarden.hub.app import open_hub
from cellwarden.hub.ledger import Entry
from cellwarden.hub.rows import Accepted, write_batches
from cellwarden.wire import Content, Notes, encode_columns, link, make_manifest

_ROWS_A_BATCH = 3600
_BATCHES_A_COMMIT = 50


def prefill(home: Home, row_count: int) -> float:
    """Put rows of four-cell packs into the store, with leaves, past the network. [s]"""
    hub = open_hub(home.hub)
    rng = np.random.default_rng(7)
    volts = (3.6 + 0.01 * rng.standard_normal((_ROWS_A_BATCH, 4))).astype(np.float32)
    started = time.perf_counter()
    previous, sequence = bytes(32), 0
    try:
        while sequence * _ROWS_A_BATCH < row_count:
            group = []
            for _ in range(_BATCHES_A_COMMIT):
                sequence += 1
                batch = _batch(volts, sequence, previous)
                previous = link(batch.signed)
                group.append(batch)
            entries = [Entry("batch", "filler", batch.signed) for batch in group]
            with hub.ledger.appending(entries, time.time()) as grown:
                write_batches(hub.store, group, grown.first_index)
        with hub.store.transaction() as store:
            # Judged already: what is measured is ingest.
            told = {"receipt_id": f"filler-{sequence}-0", "device": "filler", "receipt": "{}"}
            store.add("verdict", unix_time_second=0.0, last_sequence=sequence, verdict="{}", **told)
    finally:
        hub.close()
    return time.perf_counter() - started


def _batch(volts: np.ndarray, sequence: int, previous: bytes) -> Accepted:
    frames = Frames(
        unix_time_second=1.6e9 + _ROWS_A_BATCH * sequence + np.arange(_ROWS_A_BATCH, dtype=float),
        voltage_volt=volts.sum(axis=1),
        current_ampere=volts[:, 0],
        cell_voltage_volt=volts,
        cell_temperature_celsius=volts,
    )
    content = Content(bytes(16), encode_columns(frames), b"")
    manifest = make_manifest(
        frames, content, device="filler", boot=1, sequence=sequence, previous=previous
    )
    # Not signed: these rows stand for age, and nobody audits this store.
    signed = hashlib.sha256(manifest.payload()).digest() + manifest.payload()
    return Accepted(signed, manifest, content, frames, Notes(), time.time())


def run(*, quick: bool = False) -> dict[str, Any]:
    """All figures, as one object."""
    ingest = load_script("ingest")
    figures, rows = [], []
    for device_count, batch_count in (
        ((1, 60), (10, 6))
        if quick
        else (
            (1, 400),
            (10, 40),
            (100, 8),
            (1000, 2),
        )
    ):
        outcome = ingest.measure(device_count, batch_count)
        name = f"growth.values_per_s.devices_{device_count}"
        figures.append({"name": name, "value": round(outcome.values_per_s), "unit": "1/s"})
        rows.append({"devices": device_count, **vars(outcome)})
    for row_count in (0, 1_000_000) if quick else (0, 1_000_000, 10_000_000, 50_000_000):
        figures += _aged(ingest, row_count, rows)
    for figure in figures:
        figure["data"] = "generated, seed 7"
    return {"figures": figures, "rows": rows}


def _aged(ingest: ModuleType, row_count: int, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.init(device_port=ingest.free_port(), page_port=ingest.free_port())
        names = [f"pack-{number}" for number in range(4)]
        for name in names:
            home.enrol(name)
        filled = prefill(home, row_count) if row_count else 0.0
        started = time.perf_counter()
        with ingest.hub_process(home):
            up = time.perf_counter() - started
            outcome = ingest.run_devices(home, names, 60)
            with HubClient(home) as client:
                asked = time.perf_counter()
                client.fleet()
                fleet = time.perf_counter() - asked
        size = sum(file.stat().st_size for file in home.hub.glob("store.duckdb*"))
    stem = f"rows_{row_count}"
    rows.append({"rows": row_count, "prefill_s": filled, "store_bytes": size, **vars(outcome)})
    return [
        {
            "name": f"growth.values_per_s.{stem}",
            "value": round(outcome.values_per_s),
            "unit": "1/s",
        },
        {"name": f"growth.fleet_view_s.{stem}", "value": round(fleet, 3), "unit": "s"},
        {"name": f"growth.hub_start_s.{stem}", "value": round(up, 2), "unit": "s"},
        {"name": f"growth.store_bytes.{stem}", "value": size, "unit": "B"},
    ]

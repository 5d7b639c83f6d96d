"""`cellwarden models build`: fit the shipped model again, score it, write it with its card."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from threadpoolctl import threadpool_limits

from cellwarden.datasets import describe, locate
from cellwarden.domain import NotServed, Series
from cellwarden.features import cut, samples
from cellwarden.health import Model
from cellwarden.health.life import calibrate
from cellwarden.health.marks import marks
from cellwarden.health.soh import Limit, Rows, train
from cellwarden.health.training import Held, hold_out, observe, score
from cellwarden.registry import Card, CellScore, Score, Source, check, digest, encode
from cellwarden.registry.page import page
from cellwarden.registry.shelf import DIGESTS

__all__ = ["DATA_SETS", "NAME", "build", "list_digest", "make", "show"]

NAME: Final = "soh"
VERSION: Final = "1"
COVERAGE: Final = 0.8  # 90 % would rest on the worst cell alone, with so few cells
_NOMINAL_MARGIN: Final = 0.1
_TARGET: Final = (
    "Capacity that a full discharge to 2.7 V at 0.05C to 1.25C from at least 15 °C would deliver,"
    " over nominal capacity. Told from the upper half of one charge (from 3.9 V to the end of its"
    " taper), so a partial charge is enough and no discharge is needed."
)
_METHOD: Final = (
    "A Gaussian process on two to four features of the charge, with an offset for each cell;"
    " features and kernel are chosen by leaving out whole cells. Shapley values against the mean"
    " training charge explain each estimate and add up to it."
)
_SPLIT: Final = (
    "Nested, one cell left out at a time: for each cell, features, kernel, weights, limits and"
    " interval come from the other cells alone. Rows served by that fit are scored; the baselines"
    " on the same rows. The fits that left a cell out are shipped, and a record recognised as that"
    " cell is assessed by its own. The list of features and kernels to choose from was drawn up"
    " with these same cells in view, so the scores are somewhat kind; ten cells of two laboratories"
    " stand for no fleet."
)


DATA_SETS: Final = ("nasa_pcoe", "calce_cs2")


def build(data: Path, out: Path, page_file: Path | None = None) -> None:
    """Fit on the data, print the scores, write `soh.cbor` and `SHA256SUMS` under `out`.

    Raises:
        UsageError: a data set is not there, or the model does not beat its baselines.
    """
    records = {describe(name).short: _read(data, name) for name in DATA_SETS}
    # Small matrices: more threads are slower, and one thread gives the same bits everywhere.
    with threadpool_limits(1):
        content, card = make(records)
    show(card)
    check(card)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{NAME}.cbor").write_bytes(content)
    list_digest(out, f"{NAME}.cbor", card.digest)
    if page_file is not None:
        page_file.parent.mkdir(parents=True, exist_ok=True)
        page_file.write_text(page(card), encoding="utf-8")


def list_digest(folder: Path, file: str, found: str) -> None:
    """Note the digest of a file in the folder's list, the others kept, by name."""
    listed = folder / DIGESTS
    lines = listed.read_text("utf-8").splitlines() if listed.is_file() else []
    rows = {line.split()[1]: line for line in lines if line.strip()}
    rows[file] = f"{found}  {file}"
    listed.write_text("".join(f"{rows[name]}\n" for name in sorted(rows)), encoding="utf-8")


def _read(data: Path, name: str) -> list[Series]:
    from cellwarden.readers import read  # noqa: PLC0415  DuckDB only when there is data to read

    parts = [part.path for part in describe(name).parts if part.cell]
    return [read(locate(name, path, data)) for path in parts]


def make(records: dict[str, list[Series]]) -> tuple[bytes, Card]:
    """The model's file and its card, from the records of each data set. [bytes]"""
    every = [series for group in records.values() for series in group]
    rows = observe(every)
    held = hold_out(rows, COVERAGE)
    full = train(rows, COVERAGE)
    used = [series for series in every if series.name in rows.cells]
    sizes = [float(series.nominal_capacity_ah or 0) for series in used]
    stated = tuple(sorted({series.chemistry for series in used if series.chemistry}))
    model = Model(
        name=NAME,
        version=VERSION,
        digest="",
        full=full,
        folds=held.folds,
        marks={mark: series.name for series in used for mark in _marks(series)},
        chemistries=stated,
        nominal=Limit(
            "nominal_capacity_ah",
            min(sizes) * (1 - _NOMINAL_MARGIN),
            max(sizes) * (1 + _NOMINAL_MARGIN),
        ),
        life=calibrate(rows, held.told, COVERAGE),
    )
    origin = {s.name: group for group, members in records.items() for s in members}
    card = Card(
        name=NAME,
        version=VERSION,
        digest="",
        target=_TARGET,
        method=_METHOD,
        split=_SPLIT,
        sources=tuple(
            Source(one.short, one.licence, one.citation, _digests(used, origin, one.short))
            for one in map(describe, DATA_SETS)
        ),
        features=full.features,
        chemistries=stated,
        nominal_capacity_ah=(model.nominal.low, model.nominal.high),
        limits=tuple((limit.name, limit.low, limit.high) for limit in full.limits),
        coverage=COVERAGE,
        half_width_fraction=full.half_width,
        life=model.life.reason if isinstance(model.life, NotServed) else "",
        scores=_scores(rows, held, origin),
        cells=_cell_scores(rows, held),
    )
    content = encode(model, card)
    return content, replace(card, digest=digest(content))


def _marks(series: Series) -> list[bytes]:
    taken = samples(series, float(series.nominal_capacity_ah or 0))
    return marks(taken, cut(taken))


def _digests(used: list[Series], origin: dict[str, str], group: str) -> tuple[tuple[str, str], ...]:
    """SHA-256 of the rows taken from each cell of a data set. [text]"""
    found = []
    for series in used:
        if origin[series.name] == group:
            taken = samples(series, float(series.nominal_capacity_ah or 0))
            columns = (
                taken.time_second - taken.time_second[0],
                taken.voltage_volt,
                taken.current_ampere,
            )
            joined = b"".join(column.astype("<f4").tobytes() for column in columns)
            found.append((series.name, hashlib.sha256(joined).hexdigest()))
    return tuple(found)


def _scores(rows: Rows, held: Held, origin: dict[str, str]) -> tuple[Score, ...]:
    """The model and its baselines on the rows that it serves, together and by data set. [1]"""
    from cellwarden.health.rivals import RIVALS  # noqa: PLC0415  LightGBM takes a second to import

    groups = np.array([origin[name] for name in rows.cells])[rows.cell]
    told: list[tuple[str, bool, np.ndarray, np.ndarray | None]]
    told = [("model", False, held.told, held.half_width)]
    told += [(who, gate, tell(rows), None) for who, gate, tell in RIVALS]
    found = []
    for data in ("all", *dict.fromkeys(groups)):
        which = held.within & ((groups == data) | (data == "all"))
        for who, gate, values, width in told:
            got = score(who, rows, values, which, width)
            found.append(
                Score(
                    who=who,
                    data=str(data),
                    must_beat=gate,
                    mae_fraction=got.mae_fraction,
                    rmse_fraction=got.rmse_fraction,
                    max_fraction=got.max_fraction,
                    coverage=None if width is None else got.coverage,
                    cell_count=got.cell_count,
                    row_count=got.row_count,
                )
            )
    return tuple(found)


def _cell_scores(rows: Rows, held: Held) -> tuple[CellScore, ...]:
    error = np.abs(held.told - rows.soh_fraction)
    found = []
    for place, name in enumerate(rows.cells):
        own = rows.cell == place
        found.append(
            CellScore(
                cell=name,
                row_count=int(own.sum()),
                served_fraction=float(held.within[own].mean()),
                mae_fraction=float(error[own].mean()),
                coverage=float((error[own] <= held.half_width[own]).mean()),
                half_width_fraction=float(held.half_width[own][0]),
            )
        )
    return tuple(found)


def show(card: Card) -> None:
    """Print the score table of a card."""
    from rich.console import Console  # noqa: PLC0415  only where something is printed
    from rich.table import Table  # noqa: PLC0415  likewise

    table = Table(title=f"{card.name} {card.version}: SOH on cells left out, % of nominal")
    table.add_column("who (* must be beaten)")
    for name in ("MAE", "RMSE", "largest", "coverage", "cells", "rows"):
        table.add_column(name, justify="right")
    data = ""
    for row in card.scores:
        if row.data != data:
            data = row.data
            table.add_section()
            table.add_row(f"[bold]{data}[/bold]")
        table.add_row(
            row.who + (" *" if row.must_beat else ""),
            f"{100 * row.mae_fraction:.2f}",
            f"{100 * row.rmse_fraction:.2f}",
            f"{100 * row.max_fraction:.2f}",
            "" if row.coverage is None else f"{100 * row.coverage:.1f}",
            str(row.cell_count),
            str(row.row_count),
        )
    console = Console()
    console.print(table)
    console.print(f"stated coverage {card.coverage:.0%}, half-width {card.half_width_fraction:.4f}")
    console.print(f"life: {card.life or 'served'}")
    console.print(f"SHA-256 {card.digest}")

"""State of health as the field gives it: parts of charges, definitions, imbalance, impedance.

    cellwarden bench field [--quick] [--json]
    python benchmarks/field.py --part eis    # the rows of one part
    python benchmarks/field.py --soak        # run and save the long parts

Rules
- Parts of charges (`health.field`) and spectra (`health.spectra`) are told by what was tuned,
  fitted and calibrated on other cells; the baselines stand beside on the same folds.
- Errors are over rows, coverage is over cells. "Served" is what `field.refusals` lets through.
- Definitions are measured, not told. What the twin shows is simulated and says so.
- A part is a process of its own with one thread, two at a time; long ones are as saved.
"""

import itertools
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from cellwarden import datasets
from cellwarden.cli.bench_parts import Parts, notes
from cellwarden.domain import NotServed, Series, Table, chemistry_named
from cellwarden.errors import UsageError
from cellwarden.health import field, spectra
from cellwarden.health.algorithms import named
from cellwarden.health.definitions import DEFINITIONS, NEW_COUNT, measure
from cellwarden.health.imbalance import loss_of_pack, split_loss
from cellwarden.health.learner import Algorithm
from cellwarden.health.patterns import BOOSTED
from cellwarden.health.scoring import Answer, carried, evaluate, score
from cellwarden.health.task import Task
from cellwarden.physics import Fault, FaultKind, Twin, TwinConfig

PARTS: Final = Parts(
    Path(__file__), ("lco", "lco.programme", "eis", "eis.absolute", "definitions", "imbalance")
)
SEEN_BANDS: Final = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
SPAN_BANDS: Final = (0.0, 0.05, 0.1, 0.2, 0.4, 1.5)
WORN: Final = 0.6  # of nominal; below it a cell is long past its use
_BASELINES: Final = ("mean", "cycle index only")
IMBALANCES: Final = (0.0, 0.02, 0.05, 0.1)
_SMALL_BYTES: Final = 1_100_000
_KINDS: Final = ("score", "band", "refused", "spectrum", "leaky", "definition", "imbalance")
_SPECTRA: Final = (
    "ridge", "elastic net", "PLSR", "gaussian process", "ridge and process", "extra trees",
)  # fmt: skip
# As the data's description has them; cells 5 to 8 are not in the folder.
_PUBLISHED_SPECTRA: Final = (
    "leaky | *line on a random 70/30 split of rows, published tutorial* | | 0.46 | | | |",
    "different cells | *ridge from cells 1 to 4 on cells 5, 6, 7, 8* | | | 12.2 | 7.0 | 6.1 | 6.6",
)
_MORE: Final = ("ridge", "extra trees", "LightGBM")


def charges(*, by_programme: bool, quick: bool) -> list[dict[str, Any]]:
    """Rows of the parts of charges: each algorithm, and the best of them by what was seen."""
    parts = field.lco(by_programme=by_programme)
    rows = []
    for algorithm in _algorithms(quick=quick or by_programme):
        start = time.process_time()
        answer = evaluate(parts.task, [algorithm])
        rows.append(_scored(parts.task, algorithm.name, answer, time.process_time() - start))
        if algorithm is field.WINDOW_PROCESS:
            rows += _by_window(parts, answer)
    rows += [_scored(parts.task, who, carried(parts.task, who), 0.0) for who in parts.task.carried]
    return rows


def _algorithms(*, quick: bool) -> list[Algorithm]:
    more = ("extra trees",) if quick else _MORE
    boosted = [] if quick else [BOOSTED]
    return [*map(named, (*_BASELINES, *more)), *boosted, field.WINDOW_PROCESS]


def _scored(task: Task, who: str, answer: Answer, cpu_s: float) -> dict[str, Any]:
    told = score(task, who, answer)
    return {
        "kind": "score", "task": task.name, "who": who, "unit": task.unit,
        "protocol": task.protocol, "mae": told.mae, "rmse": told.rmse, "r2": told.r2,
        "coverage90": told.coverage, "coverage90_low": told.coverage_low,
        "coverage90_high": told.coverage_high, "width": told.width,
        "cell_count": told.cell_count, "row_count": told.row_count, "cpu_s": round(cpu_s, 1),
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Judged:
    """Of each row tested: its error, whether the two intervals hold it, why it is not served."""

    error: np.ndarray
    inside: np.ndarray
    inside80: np.ndarray
    reach: np.ndarray
    reach80: np.ndarray
    cell: np.ndarray
    refused: np.ndarray


def _by_window(parts: field.Parts, answer: Answer) -> list[dict[str, Any]]:
    """Error by how much of a charge was seen, by its span of voltage, by cell and truth."""
    task = parts.task
    truth = task.target[answer.row]
    low, high, why = [], [], []
    for fold, tuned in zip(task.folds, answer.tuned, strict=True):
        features = task.features[task.test_rows(fold)]
        ends = tuned.interval(features, field.COVERAGE)
        low.append(ends[0])
        high.append(ends[1])
        why += field.refusals(tuned, features, (ends[1] - ends[0]) / 2)
    below, above = np.concatenate(low), np.concatenate(high)
    judged = _Judged(
        error=np.abs(answer.mean - truth),
        # Nothing is inside or outside of an interval that is not there.
        inside=np.where(
            np.isfinite(answer.high - answer.low),
            (answer.low <= truth) & (truth <= answer.high),
            np.nan,
        ),
        inside80=(below <= truth) & (truth <= above),
        reach=(answer.high - answer.low) / 2,
        reach80=(above - below) / 2,
        cell=task.cell[answer.row],
        refused=np.array([_sort(reason) for reason in why]),
    )
    seen, span = parts.seen_fraction[answer.row], parts.span_volt[answer.row]
    chosen = [("all", "", np.ones(len(truth), dtype=bool))]
    for name, value, edges in (("seen", seen, SEEN_BANDS), ("span", span, SPAN_BANDS)):
        for bottom, top in itertools.pairwise(edges):
            under = value <= top if top == edges[-1] else value < top
            chosen.append((name, f"{bottom:g} to {top:g}", (value >= bottom) & under))
    chosen += [("cell", one, judged.cell == k) for k, one in enumerate(task.cells)]
    chosen += [
        ("truth", f"{WORN:g} and more", truth >= WORN),
        ("truth", f"under {WORN:g}", truth < WORN),
    ]
    rows = [_band(judged, task.name, *one) for one in chosen]
    counts = Counter(judged.refused.tolist())
    return [*rows, {"kind": "refused", "task": task.name, "counts": dict(counts)}]


def _sort(reason: str) -> str:
    """What sort of refusal it is; empty where there is none."""
    sorts = {"no window": "saw nothing whole", "outside": "beyond training", "says": "too wide"}
    return next((short for word, short in sorts.items() if word in reason), "")


def _band(judged: _Judged, task: str, by: str, band: str, rows: np.ndarray) -> dict[str, Any]:
    """One row of the table by window."""
    served = rows & (judged.refused == "")
    worst = float(judged.error[served].max()) if served.any() else float("nan")
    return {
        "kind": "band", "task": task, "by": by, "band": band, "row_count": int(rows.sum()),
        "mae": _mean(judged.error[rows]),
        "coverage90": _by_cell(judged.inside, judged.cell, rows),
        "half_width90": _mean(judged.reach[rows]),
        "coverage80": _by_cell(judged.inside80, judged.cell, rows),
        "half_width80": _mean(judged.reach80[rows]),
        "served": float(served.sum() / max(rows.sum(), 1)),
        "served_mae": _mean(judged.error[served]),
        "served_max": worst,
        "served_coverage80": _by_cell(judged.inside80, judged.cell, served),
        "served_half_width80": _mean(judged.reach80[served]),
    }  # fmt: skip


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _by_cell(inside: np.ndarray, cell: np.ndarray, rows: np.ndarray) -> float:
    each = [inside[rows & (cell == one)].mean() for one in np.unique(cell[rows])]
    return _mean(np.array(each))


def impedance(*, absolute: bool, quick: bool) -> list[dict[str, Any]]:
    """Rows of the spectra: each algorithm in mAh, by cell left out; and the split that leaks."""
    table = datasets.load("eis_lco", "eis.parquet")
    task = spectra.task_of(table, absolute=absolute)
    milliamp = table["capacity_mAh"].astype(np.float64)
    first = np.array([milliamp[table["cell"] == cell][0] for cell in np.unique(table["cell"])])
    scale = np.ones(len(first)) if absolute else first
    answers = [
        (name, evaluate(task, [named(name)]))
        for name in (*_BASELINES, *(_SPECTRA[:1] if quick else _SPECTRA))
    ]
    answers += [(who, carried(task, who)) for who in task.carried]
    rows = []
    for who, answer in answers:
        cell = task.cell[answer.row]
        away = (answer.mean - task.target[answer.row]) * scale[cell]
        each = [_rms(away[cell == k]) for k in range(len(first))]
        rows.append(
            {"kind": "spectrum", "task": task.name, "who": who, "rmse_mah": _rms(away),
             "mae_mah": _mean(np.abs(away)), "by_cell_mah": [round(one, 2) for one in each],
             "row_count": len(away), "chosen": [str(one.chosen) for one in answer.tuned]}
        )  # fmt: skip
    return [*rows, *([_leaky(table, milliamp)] if absolute else [])]


def _leaky(table: Table, milliamp: np.ndarray) -> dict[str, Any]:
    """A line on random rows, 70 % to train on: every cell is in both parts, so it says nothing."""
    names = [name for name in table if name.startswith("Z")]
    whole = np.column_stack([np.ones(len(table)), *(table[name] for name in names)])
    maes = []
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(table))
        train, test = np.split(order, [round(0.7 * len(table))])
        weights = np.linalg.lstsq(whole[train], milliamp[train], rcond=None)[0]
        maes.append(np.abs(whole[test] @ weights - milliamp[test]).mean())
    return {
        "kind": "leaky", "task": "eis.lco.absolute", "who": "line, random 70/30 split of rows",
        "mae_mah": float(np.mean(maes)), "row_count": len(table),
    }  # fmt: skip


def meanings(*, quick: bool) -> list[dict[str, Any]]:
    """What each definition says of a cell at the begin and at the end of its record."""
    tests = datasets.load("nasa_pcoe", "tests.csv")
    rows = []
    for name in field.DATA_SETS:
        for one in datasets.describe(name).parts:
            if not one.cell or (quick and one.byte_count > _SMALL_BYTES):
                continue
            series = datasets.load(name, one.path)
            told = {str(which): measure(which, series) for which in DEFINITIONS.values()}
            if len(told["capacity/1"]) >= 2 * NEW_COUNT:
                spans = {key: _ends(value.value_fraction) for key, value in told.items()}
                other = _stated(series, tests)
                rows.append(
                    {"kind": "definition", "cell": series.name, "spans": spans,
                     "row_count": len(told["capacity/1"]), "stated_rise": other}
                )  # fmt: skip
    return rows


def _ends(values: np.ndarray) -> list[float] | None:
    """Medians of the first and of the last values."""
    if len(values) < 2 * NEW_COUNT:
        return None
    ends = (values[:NEW_COUNT], values[-NEW_COUNT:])
    return [round(float(np.median(end)), 4) for end in ends]


def _stated(series: Series, tests: Table) -> float | None:
    """How often its first value the resistance has become by the source's own measure."""
    own = tests["battery_id"] == series.name
    ohm = tests["re_ohm"][own] + tests["rct_ohm"][own]
    if series.internal_resistance_ohm is not None:
        ohm = series.internal_resistance_ohm
        ohm = ohm[ohm > 0]
    ohm = ohm[np.isfinite(ohm)]
    many = max(NEW_COUNT, len(ohm) // 100)
    if len(ohm) < 2 * many:
        return None
    return round(float(np.median(ohm[-many:]) / np.median(ohm[:many])), 3)


def simulated() -> list[dict[str, Any]]:
    """Loss told from a twin's telemetry beside its truth, with and without a cell out of step."""
    rows = []
    for chemistry in ("NMC", "LFP"):
        for size in IMBALANCES:
            fault = (Fault(FaultKind.IMBALANCE, 3600.0, size, 2),) if size else ()
            config = TwinConfig(
                "p", chemistry=chemistry, series_count=8, duration_second=86_400.0,
                period_second=10.0, seed=3, soh_fraction=0.9, faults=fault,
            )  # fmt: skip
            twin = Twin(config)
            frames = twin.read(config.frame_count)
            nominal = config.nominal_capacity_ah
            told = loss_of_pack(
                frames.unix_time_second,
                frames.current_ampere.astype(np.float64),
                frames.cell_voltage_volt.astype(np.float64),
                chemistry_named(chemistry),
                nominal,
            )
            cells = twin.truth()
            true = split_loss(cells.capacity_ah, np.clip(cells.soc_fraction, 0, 1), nominal)
            row = {"kind": "imbalance", "chemistry": chemistry, "taken_fraction": size,
                   "true_ageing_ah": float(true.ageing_loss_ah),
                   "true_imbalance_ah": float(true.imbalance_loss_ah)}  # fmt: skip
            row |= (
                {"reason": told.reason}
                if isinstance(told, NotServed)
                else {"ageing_ah": float(told.ageing_loss_ah),
                      "imbalance_ah": float(told.imbalance_loss_ah)}
            )  # fmt: skip
            rows.append(row)
    return rows


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def worked(name: str, *, quick: bool) -> list[dict[str, Any]]:
    """The rows of one part.

    Raises:
        UsageError: there is no such part.
    """
    if name not in PARTS.names:
        raise UsageError(f"there is no part {name}", hint=f"There are {', '.join(PARTS.names)}.")
    if name.startswith("lco"):
        rows = charges(by_programme=name.endswith("programme"), quick=quick)
    elif name.startswith("eis"):
        rows = impedance(absolute=name.endswith("absolute"), quick=quick)
    else:
        rows = meanings(quick=quick) if name == "definitions" else simulated()
    return [{key: _plain(value) for key, value in row.items()} for row in rows]


def _plain(value: object) -> object:
    """A number that JSON has: nothing for none."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value


def run(*, quick: bool = False) -> dict[str, Any]:
    """All figures, as one object."""
    left_out = ("lco.programme", "eis.absolute") if quick else ()
    parts = PARTS.told([name for name in PARTS.names if name not in left_out], quick=quick)
    rows = [row for part in parts.values() for row in part.dated()]
    return {"figures": figures(rows), "rows": rows, "notes": [*lines(rows), *notes(parts)]}


def figures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The named figures."""
    told = []
    for row in rows:
        if row["kind"] == "score":
            stem = f"{row['task']}.{_slug(row['who'])}"
            data = f"{row['cell_count']} cells, {row['row_count']} parts of charges, seed 20"
            told.append(_figure(f"{stem}.mae", row["mae"], "fraction", data))
            if row["coverage90"] is not None:
                told.append(_figure(f"{stem}.coverage90", row["coverage90"], "fraction", data))
        elif row["kind"] == "band" and row["by"] == "all":
            stem, data = f"{row['task']}.served", "what the process on what is known serves"
            for name, key in (("share", "served"), ("mae", "served_mae"),
                              ("coverage80", "served_coverage80")):  # fmt: skip
                told.append(_figure(f"{stem}.{name}", row[key], "fraction", data))
        elif row["kind"] == "spectrum":
            stem = f"field.{row['task']}.{_slug(row['who'])}"
            data = f"4 cells, {row['row_count']} spectra, leave one cell out"
            told.append(_figure(f"{stem}.rmse_mah", row["rmse_mah"], "mAh", data))
    errors = [
        abs(row["imbalance_ah"] - row["true_imbalance_ah"])
        for row in rows
        if row["kind"] == "imbalance" and row["chemistry"] == "NMC"
    ]
    told.append(_figure("field.imbalance.nmc.largest_error", max(errors), "Ah", "simulated, 3 Ah"))
    return [one for one in told if one["value"] is not None]


def _figure(name: str, value: float | None, unit: str, data: str) -> dict[str, Any]:
    shown = None if value is None else round(value, 5)
    return {"name": name, "value": shown, "unit": unit, "data": data}


def _slug(name: str) -> str:
    return name.lower().replace(",", "").replace(" ", "_")


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """The tables, for the terminal and the page."""
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in _KINDS}
    told: list[str] = []
    for task in dict.fromkeys(row["task"] for row in kinds["score"]):
        told += _score_lines(task, [row for row in kinds["score"] if row["task"] == task])
        told += _band_lines([row for row in kinds["band"] if row["task"] == task])
        told += [
            "Refused: " + ", ".join(f"{n} {sort}" for sort, n in row["counts"].items() if sort)
            for row in kinds["refused"]
            if row["task"] == task
        ]
    told += _spectrum_lines(kinds["spectrum"], kinds["leaky"])
    told += _definition_lines(kinds["definition"])
    return [*told, *_imbalance_lines(kinds["imbalance"])]


def _score_lines(task: str, rows: list[dict[str, Any]]) -> list[str]:
    first = rows[0]
    counts = f"{first['protocol']}, {first['cell_count']} cells, {first['row_count']:,} parts"
    told = ["", f"## {task}: {counts}", "",
            "| who | MAE, % | RMSE, % | R² | coverage of 90 % | width, % | CPU s |",
            "|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in sorted(rows, key=lambda row: row["mae"]):
        span = ""
        if row["coverage90"] is not None:
            ends = f"{row['coverage90_low']:.2f} to {row['coverage90_high']:.2f}"
            span = f"{row['coverage90']:.2f} ({ends})"
        cells = (row["who"], _percent(row["mae"]), _percent(row["rmse"]), f"{row['r2']:.2f}",
                 span, _percent(row["width"]), f"{row['cpu_s']:.0f}")  # fmt: skip
        told.append(f"| {' | '.join(cells)} |")
    return told


def _band_lines(rows: list[dict[str, Any]]) -> list[str]:
    head = (
        "| by | | parts | MAE, % | in 90 % | ± % | in 80 % | ± % | served, % | MAE served, % |"
        " worst served, % | in 80 % served | ± served, % |"
    )
    told = ["", f"{field.WINDOW_PROCESS.name}, by part seen, span, cell and truth:", "", head,
            "|---|---|---|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        cells = (row["by"], row["band"], str(row["row_count"]), _percent(row["mae"]),
                 _number(row["coverage90"]), _percent(row["half_width90"], 0),
                 _number(row["coverage80"]), _percent(row["half_width80"]),
                 _percent(row["served"], 0), _percent(row["served_mae"]),
                 _percent(row["served_max"]), _number(row["served_coverage80"]),
                 _percent(row["served_half_width80"]))  # fmt: skip
        told.append(f"| {' | '.join(cells)} |")
    return told


def _spectrum_lines(rows: list[dict[str, Any]], leaky: list[dict[str, Any]]) -> list[str]:
    told = ["", "## Impedance: eis_lco, leave one cell out, mAh", "",
            "| task | who | RMSE | MAE | RMSE of cell 1 | 2 | 3 | 4 |",
            "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in sorted(rows, key=lambda row: (row["task"], row["rmse_mah"])):
        each = " | ".join(f"{one:.1f}" for one in row["by_cell_mah"])
        numbers = f"{row['rmse_mah']:.2f} | {row['mae_mah']:.2f} | {each}"
        told.append(f"| {row['task']} | {row['who']} | {numbers} |")
    told += [
        f"| leaky | {row['who']}, run here | | {row['mae_mah']:.2f} | | | | |" for row in leaky
    ]
    return told + [f"| {one} |" for one in _PUBLISHED_SPECTRA]


def _definition_lines(rows: list[dict[str, Any]]) -> list[str]:
    head = (
        "| cell | values | capacity/1 | energy/1 | resistance/1 | source's own resistance |"
        " capacity lost, % | energy lost, % | mean voltage lost, % |"
    )
    told = ["", "## Definitions: first and last five of each record", "", head,
            "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        spans = row["spans"]
        capacity, energy = (spans[key][1] / spans[key][0] for key in ("capacity/1", "energy/1"))
        shown = [
            "" if span is None else f"{span[0]:.3f} to {span[1]:.3f}" for span in spans.values()
        ]
        stated = "" if row["stated_rise"] is None else f"x {row['stated_rise']:.2f}"
        lost = (_percent(1 - one) for one in (capacity, energy, energy / capacity))
        told.append(
            f"| {row['cell']} | {row['row_count']} | {' | '.join((*shown, stated, *lost))} |"
        )
    return told


def _imbalance_lines(rows: list[dict[str, Any]]) -> list[str]:
    told = ["", "## Imbalance, simulated: the twin, eight cells of 3 Ah, one day, Ah", "",
            "| chemistry | taken from a cell | ageing: true | told | imbalance: true | told |",
            "|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        ends = (
            (row["reason"], "")
            if "reason" in row
            else (f"{row['ageing_ah']:.3f}", f"{row['imbalance_ah']:.3f}")
        )
        told.append(
            f"| {row['chemistry']} | {row['taken_fraction']:.0%} | {row['true_ageing_ah']:.3f} |"
            f" {ends[0]} | {row['true_imbalance_ah']:.3f} | {ends[1]} |"
        )
    return told


def _percent(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{100 * value:.{digits}f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    PARTS.main(lambda part, quick: worked(part, quick=quick), lambda quick: run(quick=quick))

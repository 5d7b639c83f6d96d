"""Models really fitted, as ONNX and as C: the same answers, how large, how fast.

    cellwarden bench export [--json] [--quick]
    python benchmarks/export.py [--model NAME]

State of health from a charge, MIT cells of `soh_features` on the published split (800 rows of the
training cells are learnt from), and the life of `severson_lfp` cells, likewise. Each algorithm is
tuned as `cellwarden bench health` tunes it, made portable, exported, and each row of the test cells
is told four times: by the library that fitted it, by the portable model, by ONNX Runtime and by C
that gcc compiled (-std=c99 -O2). Differences are the largest of any row, in the unit of the target;
of C and ONNX the interval's ends are compared as well. `--quick`: three algorithms, fewer rows.

Times are of one prediction on one thread: the median over rows of the test cells. Of ONNX Runtime
from Python, into bound buffers, a session with one thread; of C in a compiled loop, each call
between two readings of the clock. Sizes are those of this machine's code (x86-64 where it was run):
code and constants, and the stack as `gcc -fstack-usage` counts it. `interval` compares the interval
of the portable model with that of cross-validation+ which it stands for, on the test cells.

The network is scikit-learn's. `boosted trees` is LightGBM and gives the figures without a name.
"""

import argparse
import ctypes
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from threadpoolctl import threadpool_limits

from cellwarden.health import tasks
from cellwarden.health.algorithms import Estimator, named
from cellwarden.health.conversion import portable
from cellwarden.health.early_life import CHOICES
from cellwarden.health.learner import Algorithm, Fitted, Setting
from cellwarden.health.portable import Portable, Trees
from cellwarden.health.task import Sample, Task
from cellwarden.health.tuning import Tuned, tune
from cellwarden.registry import Label, encode_portable
from cellwarden.registry.agreement import with_onnx
from cellwarden.registry.c_bodies import trees_text
from cellwarden.registry.c_source import CFiles, write_c
from cellwarden.registry.compiled import compile_c, footprint
from cellwarden.registry.onnx_file import OUTPUTS, encode_onnx
from cellwarden.registry.tree_layout import LEAF, Layout, lay_out

COVERAGE: Final = 0.9
HEADLINE: Final = "LightGBM"
ONNX_GOAL_MICROSECOND: Final = 50
C_GOAL_MICROSECOND: Final = 5
_TIMED_ROWS: Final = 2000
_WARM_UP: Final = 50
_NESTED_NODES: Final = 10_000  # gcc takes minutes over more branches in one function
_CLOCK: Final = """\
#define _POSIX_C_SOURCE 199309L
#include <time.h>
int model_predict(const double *features, double *told);
void time_each(const double *rows, int count, int columns, double *told, double *second);
void time_each(const double *rows, int count, int columns, double *told, double *second)
{
    struct timespec begin, end;
    int i;

    for (i = 0; i < count; i++) {
        clock_gettime(CLOCK_MONOTONIC, &begin);
        model_predict(rows + (long)i * columns, told);
        clock_gettime(CLOCK_MONOTONIC, &end);
        second[i] = (double)(end.tv_sec - begin.tv_sec);
        second[i] += 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
    }
}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """What is fitted to what, under the name of its figures."""

    name: str
    task: Task
    algorithm: Algorithm
    flat: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """A case, fitted and exported, with the rows of its test cells."""

    case: Case
    tuned: Tuned
    model: Portable
    rows: np.ndarray
    target: np.ndarray
    onnx: bytes
    files: CFiles


def run(*, quick: bool = False, only: str = "") -> dict[str, Any]:
    """Figures, a row for each model, and lines to print; of one model alone, if asked."""
    figures, rows, notes = [], [], []
    for case in cases(quick=quick):
        if only in ("", case.name):
            with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
                made = make(case, quick=quick)
                rows.append(measure(made, Path(folder)))
            figures += figures_of(made, rows[-1])
            notes.append(line(rows[-1]))
    return {"figures": figures, "rows": rows, "notes": notes}


def measure(made: Made, folder: Path) -> dict[str, Any]:
    """All that is told of a model."""
    row = {"model": made.case.name, "task": made.case.task.name, "chosen": str(made.tuned.chosen)}
    for part in (agreement, sizes, times):
        row |= part(made, folder)
    trees = made.model.body
    if isinstance(trees, Trees) and len(trees.feature) <= _NESTED_NODES:
        row |= nested(made, trees, folder)
    return row | interval(made)


def cases(*, quick: bool) -> list[Case]:
    """The models to export."""
    charge = tasks.soh("MIT")
    every = [Case(HEADLINE, charge, named(HEADLINE)), Case("ridge", charge, named("ridge"))]
    few = Case("process", charge, named("gaussian process"), flat=True)
    if quick:
        return [*every, few]
    life = replace(tasks.severson(), choices=CHOICES)
    return [
        *every,
        Case("XGBoost", charge, named("XGBoost")),
        Case("extra_trees", charge, named("extra trees")),
        few,
        Case("svr", charge, named("SVR")),
        Case("network", charge, Algorithm("network", "here", network, ({"alpha": 1e-3},))),
        Case("life", life, named("ridge and process")),
        Case("life_flat", life, named("ridge and process"), flat=True),
    ]


def network(sample: Sample, setting: Setting, seed: int) -> Fitted:
    """A network of two layers of 32 on a target of unit spread."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPRegressor
    from sklearn.preprocessing import StandardScaler

    inner = MLPRegressor(
        hidden_layer_sizes=(32, 32), activation="tanh", solver="lbfgs", alpha=setting["alpha"],
        max_iter=20_000, max_fun=20_000, random_state=seed,
    )  # fmt: skip
    whole = TransformedTargetRegressor(inner, transformer=StandardScaler())
    return Estimator(whole.fit(sample.features, sample.target))


def make(case: Case, *, quick: bool) -> Made:
    """A case fitted to training cells alone, and exported."""
    fold = case.task.folds[0]
    sample = case.task.training(fold)
    tuned = tune([case.algorithm], sample, case.task.choices, seed=0)
    model = portable(tuned, sample, coverage=COVERAGE, flat=case.flat)
    tested = case.task.test_rows(fold)
    if quick:
        tested = tested[:: max(len(tested) // _TIMED_ROWS, 1)]
    label = Label(
        case.name, "life" if case.task.logarithmic else "soh", case.task.target_name, case.task.unit
    )
    return Made(
        case,
        tuned,
        model,
        case.task.features[tested],
        case.task.target[tested],
        encode_onnx(model, label),
        write_c(model, label, "model"),
    )


def agreement(made: Made, folder: Path) -> dict[str, Any]:
    """The largest differences on test cells, and the error there. [unit of the target]"""
    task = made.case.task
    original = task.natural(made.tuned.predict(made.rows).mean)
    plain = np.array(made.model.tell(made.rows))
    few = inputs(made)
    onnx = with_onnx(made.onnx, few)
    compiled = compile_c(made.files, folder, "gcc").predict(few)
    return {
        "row_count": len(original),
        "portable_difference": largest(plain[0], original),
        "onnx_difference": largest(onnx, plain),
        "c_difference": largest(compiled, plain),
        "rmse": rounded(np.sqrt(np.mean((original - made.target) ** 2))),
    }


def inputs(made: Made) -> np.ndarray:
    """The columns that the model looks at."""
    return np.ascontiguousarray(made.rows[:, made.model.prepared.taken], dtype=np.float64)


def sizes(made: Made, folder: Path) -> dict[str, Any]:
    """Bytes of the files and of what the compiled model takes."""
    told = footprint(made.files, folder)
    label = Label(made.case.name, "other", made.case.task.target_name, made.case.task.unit)
    return {
        "portable_bytes": len(encode_portable(made.model, label)),
        "onnx_bytes": len(made.onnx),
        "c_source_bytes": len(made.files.source),
        "c_flash_bytes": told.flash_bytes,
        "c_static_bytes": told.static_bytes,
        "c_stack_bytes": told.stack_bytes,
    }


def times(made: Made, folder: Path) -> dict[str, Any]:
    """Median time of one prediction. [µs]"""
    few = inputs(made)
    few = few[:: max(len(few) // _TIMED_ROWS, 1)]
    return {
        "onnx_p50_us": rounded(np.median(onnx_seconds(made.onnx, few)) * 1e6),
        "c_p50_us": rounded(np.median(c_seconds(made.files, folder, few)) * 1e6),
    }


def onnx_seconds(content: bytes, rows: np.ndarray) -> np.ndarray:
    """Time of each row: its numbers put into a bound buffer, the session run. [s]"""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    value = onnxruntime.OrtValue.ortvalue_from_numpy(rows[:1].copy())
    binding = session.io_binding()
    binding.bind_ortvalue_input("features", value)
    names = OUTPUTS[: len(session.get_outputs())]
    for name in names:
        told = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros((1, 1)))
        binding.bind_ortvalue_output(name, told)

    def one(row: np.ndarray) -> None:
        value.update_inplace(row)
        session.run_with_iobinding(binding)

    return clocked(one, [row[None, :].copy() for row in rows])


def clocked(call: Callable[[Any], Any], given: list[Any]) -> np.ndarray:
    """Time of each call, after a few to warm up. [s]"""
    for one in given[:_WARM_UP]:
        call(one)
    taken = np.empty(len(given))
    for place, one in enumerate(given):
        begin = time.perf_counter()
        call(one)
        taken[place] = time.perf_counter() - begin
    return taken


def c_seconds(files: CFiles, folder: Path, rows: np.ndarray) -> np.ndarray:
    """Time of each row in a compiled loop. [s]"""
    built = compile_c(files, folder, "gcc", extra=_CLOCK)
    told, taken = np.empty(built.told_count), np.empty(len(rows))
    rows = np.ascontiguousarray(rows)
    call = built.linked.time_each
    call.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    call.restype = None
    for count in (min(_WARM_UP, len(rows)), len(rows)):
        call(rows.ctypes.data, count, rows.shape[1], told.ctypes.data, taken.ctypes.data)
    return taken


def interval(made: Made) -> dict[str, Any]:
    """Coverage and mean width on test cells, of the portable interval and of what it stands for."""
    task, told = made.case.task, made.model.tell(made.rows)
    if len(told) == 1:
        return {}
    plus = tuple(task.natural(end) for end in made.tuned.interval(made.rows, COVERAGE))
    return {
        f"{name}_{what}": rounded(value)
        for name, (low, high) in (("interval", told[1:]), ("cv_plus", plus))
        for what, value in (
            ("coverage", np.mean((low <= made.target) & (made.target <= high))),
            ("width", np.mean(high - low)),
        )
    }


def nested(made: Made, trees: Trees, folder: Path) -> dict[str, Any]:
    """The same trees written as nested ifs: what the loop over arrays is measured against."""
    layout = lay_out(made.model.trimmed().prepared, trees)
    source = made.files.source.replace(trees_text(layout, trees), ifs(layout, trees))
    files = replace(made.files, source=source)
    other = folder / "nested"
    other.mkdir()
    few = inputs(made)
    few = few[:: max(len(few) // _TIMED_ROWS, 1)]
    return {
        "nested_flash_bytes": footprint(files, other).flash_bytes,
        "nested_p50_us": rounded(np.median(c_seconds(files, other, few)) * 1e6),
    }


def ifs(layout: Layout, trees: Trees) -> str:
    """The body of trees with a branch for each node. [text]"""
    kind = "float" if trees.single_sum else "double"

    def branch(node: int) -> str:
        number = repr(float(layout.number[node]))
        if layout.feature[node] == LEAF:
            return f"sum += ({kind}){number};"
        left, right = branch(node + 1), branch(int(layout.right[node]))
        return f"if (x[{layout.feature[node]}] <= {number}) {{ {left} }} else {{ {right} }}"

    lines = [
        "static double body(const double *x)",
        f"{{\n{kind} sum = ({kind}){trees.offset!r};",
        *(branch(int(root)) for root in layout.roots),
        f"return sum / {trees.divisor!r};\n}}",
    ]
    return "\n".join(lines)


def figures_of(made: Made, row: dict[str, Any]) -> list[dict[str, Any]]:
    """Time of one prediction, largest difference from Python, size."""
    case = made.case
    part = "" if case.name == HEADLINE else f"{case.name.lower()}."
    data = f"{case.task.name}, {row['row_count']} rows of test cells"
    told = [
        (f"edge.onnx.{part}p50_us", row["onnx_p50_us"], "µs", f"<={ONNX_GOAL_MICROSECOND}"),
        (f"edge.c.{part}p50_us", row["c_p50_us"], "µs", f"<={C_GOAL_MICROSECOND}"),
        (f"edge.onnx.{part}difference", row["onnx_difference"], case.task.unit, ""),
        (f"edge.c.{part}difference", row["c_difference"], case.task.unit, ""),
        (f"edge.c.{part}flash_bytes", row["c_flash_bytes"], "B", ""),
        (f"edge.c.{part}stack_bytes", row["c_stack_bytes"], "B", ""),
    ]
    return [
        {"name": name, "value": value, "unit": unit, "data": data}
        | ({"goal": goal} if goal else {})
        for name, value, unit, goal in told
    ]


def line(row: dict[str, Any]) -> str:
    """A row as text."""
    head = f"{row['model']:11} RMSE {row['rmse']:.4g}, {row['row_count']:,} rows"
    far = " ".join(f"{who} {row[f'{who}_difference']:.1e}" for who in ("portable", "onnx", "c"))
    size = (
        f"file {row['portable_bytes']:,} B, ONNX {row['onnx_bytes']:,} B,"
        f" C {row['c_flash_bytes']:,} B flash, {row['c_stack_bytes']:,} B stack,"
        f" {row['c_static_bytes']} B static"
    )
    fast = f"ONNX {row['onnx_p50_us']:.3g} µs, C {row['c_p50_us']:.3g} µs"
    held = ""
    if "interval_coverage" in row:
        held = (
            f"; {COVERAGE:.0%} interval holds {row['interval_coverage']:.1%} at width"
            f" {row['interval_width']:.4g}, CV+ {row['cv_plus_coverage']:.1%} at"
            f" {row['cv_plus_width']:.4g}"
        )
    other = ""
    if "nested_p50_us" in row:
        other = (
            f"; as nested ifs {row['nested_flash_bytes']:,} B flash, {row['nested_p50_us']:.3g} µs"
        )
    return f"{head}; differences: {far}; {size}; {fast}{other}{held}"


def largest(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference. [unit of the target]"""
    return float(np.abs(one - other).max())


def rounded(value: float) -> float:
    """Four digits, as a plain number."""
    return float(f"{float(value):.4g}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="", help="One model alone, as the figures name it.")
    for told in run(only=parser.parse_args().model)["notes"]:
        print(told)

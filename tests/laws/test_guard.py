"""What must hold of the guard whatever the frames."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import Cell, CellLimits, Chemistry, Finding, Frames, LimitTiers, Pack
from cellwarden.guard import Watch, inspect, merge, pending

LIMITS = CellLimits(3.0, 4.2, 0.0, 45.0, -20.0, 60.0, 50.0, 100.0)
CHEMISTRY = Chemistry("any", 3.7, 3.0, 4.2, 0.0, 45.0, -20.0, 60.0, (0.0, 1.0), (3.0, 4.2), ())
CELL = Cell(CHEMISTRY, 50.0, LimitTiers(LIMITS, LIMITS, LIMITS))
WILD = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e38, -1e38, 4.3, 2.0, 70.0, 1e-30)


Record = tuple[Frames, Pack | None, list[int]]


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A drive with faults thrown in, of any width, at any pace, and where to cut it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, cells, sensors = draw(
        st.tuples(*(st.integers(a, b) for a, b in ((1, 120), (0, 12), (0, 4))))
    )
    pace = draw(st.sampled_from([0.0, 0.1, 1.0, 30.0, 400.0]))
    time = 1e9 + np.cumsum(rng.choice([pace, 2 * pace, 1.0], count))
    current = 20 * np.sin(np.arange(count) / 5) * draw(st.sampled_from([0.0, 1.0]))
    volt = 3.7 + 0.002 * current[:, None] + rng.normal(0, 0.001, (count, max(cells, 1)))
    columns = {
        "voltage_volt": volt.sum(axis=1),
        "current_ampere": current,
        "cell_voltage_volt": volt[:, :cells],
        "cell_temperature_celsius": 25 + rng.normal(0, 0.1, (count, sensors)),
        "ambient_temperature_celsius": np.full(count, 20.0),
    }
    single = {name: column.astype(np.float32) for name, column in columns.items()}
    for name in draw(st.lists(st.sampled_from(sorted(single)), max_size=6)):
        column = single[name].reshape(count, -1)
        if not column.shape[1]:
            continue
        item, start = rng.integers(column.shape[1]), rng.integers(count)
        stop = draw(st.sampled_from([int(start) + 1, count]))
        value = draw(st.sampled_from([*WILD, "shift", "hold"]))
        if value == "shift":
            column[start:stop, item] += 0.2
        else:
            column[start:stop, item] = column[start, item] if value == "hold" else value
    frames = Frames(unix_time_second=time, **single)
    pack = draw(st.sampled_from([None, Pack("trial", CELL, max(cells, 1))]))
    cuts = draw(st.lists(st.integers(1, max(count - 1, 1)), max_size=6))
    return frames, pack, sorted({0, *cuts, count})


def watch(frames: Frames, pack: Pack | None, edges: list[int]) -> tuple[Watch, list[Finding]]:
    state, told = Watch(), []
    for start, stop in pairwise(edges):
        state, findings = inspect(frames.rows(start, stop), pack, state)
        told += findings
    return state, told


@given(records())
@settings(max_examples=150, deadline=None)
def test_batches_of_any_size_lead_to_the_same_findings(record: Record) -> None:
    frames, pack, edges = record
    cut, cut_told = watch(frames, pack, edges)
    whole, whole_told = watch(frames, pack, [0, len(frames)])
    assert merge([*cut_told, *pending(cut)]) == merge([*whole_told, *pending(whole)])


@given(records())
@settings(max_examples=100, deadline=None)
def test_the_data_are_never_changed_and_neither_is_the_state(record: Record) -> None:
    frames, pack, edges = record
    before = {name: column.copy() for name, column in frames.columns().items()}
    for column in frames.columns().values():
        column.flags.writeable = False
    state, _ = watch(frames, pack, edges[:2])
    first = inspect(frames, pack, state)[1]
    assert inspect(frames, pack, state)[1] == first
    for name, column in frames.columns().items():
        np.testing.assert_array_equal(column, before[name])


@given(records())
@settings(max_examples=100, deadline=None)
def test_every_number_told_is_finite_or_what_was_read_and_the_count_is_bounded(
    record: Record,
) -> None:
    frames, pack, edges = record
    _, told = watch(frames, pack, edges)
    width = frames.cell_voltage_volt.shape[1] + frames.cell_temperature_celsius.shape[1] + 4
    span = frames.unix_time_second[-1] - frames.unix_time_second[0]
    assert len(told) <= 2 * 12 * width * (1 + span / 300)
    for finding in told:
        assert all(np.isfinite(list(finding.evidence.values())))
        assert finding.evidence["frame_count"] <= len(frames)
        assert finding.unix_time_second <= finding.evidence["last_unix_time_second"]


@pytest.mark.parametrize(
    ("column", "jump"), [("cell_voltage_volt", 2.0), ("cell_temperature_celsius", 8.0)]
)
def test_a_sensor_that_is_missing_from_the_start_is_told_and_stops_no_other_rule(
    column: str, jump: float
) -> None:
    rng = np.random.default_rng(0)
    volt = (3.7 + rng.normal(0, 0.001, (100, 4))).astype(np.float32)
    frames = Frames(
        unix_time_second=1e9 + np.arange(100.0),
        voltage_volt=volt.sum(axis=1),
        current_ampere=np.zeros(100, np.float32),
        cell_voltage_volt=volt,
        cell_temperature_celsius=(25 + rng.normal(0, 0.1, (100, 4))).astype(np.float32),
    )
    broken = getattr(frames, column).copy()
    broken[:, 0] = np.nan
    broken[50, 1] += jump
    _, told = watch(replace(frames, **{column: broken}), None, [0, 100])
    assert {(f.kind, f.item) for f in told if f.signal == column} >= {("missing", 0), ("rate", 1)}

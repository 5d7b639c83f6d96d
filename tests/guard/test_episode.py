import numpy as np
import pytest

from cellwarden.domain import Severity
from cellwarden.guard.episode import QUIET_SECOND, Breach, fold, merge


def breach(times: list[float], values: list[float], limit: float = 1.0) -> Breach:
    reading = np.array(values, dtype=np.float64)[:, None]
    return Breach(
        kind="bounds",
        severity=Severity.INFO,
        signal="voltage_volt",
        text="is too much",
        time=np.array(times, dtype=np.float64),
        broken=reading > limit,
        reading=reading,
        value=reading,
        limit=np.full(reading.shape, limit),
    )


def test_a_quiet_time_parts_two_faults() -> None:
    later = 20 + QUIET_SECOND + 1
    episodes, findings = fold([breach([0, 20, later], [2, 2, 2])], {}, later)
    assert [f.unix_time_second for f in findings] == [0, later]
    assert len(episodes) == 1


@pytest.mark.parametrize("pause", [1.0, QUIET_SECOND])
def test_a_short_pause_does_not(pause: float) -> None:
    _, findings = fold([breach([0, 20, 20 + pause], [2, 2, 2])], {}, 20 + pause)
    assert [f.evidence["frame_count"] for f in findings] == [3]


def test_the_evidence_is_that_of_the_worst_frame_whichever_batch_held_it() -> None:
    episodes, first = fold([breach([0, 1, 2], [2, 5, 3])], {}, 2.0)
    assert first[0].evidence["value"] == 5
    episodes, none = fold([breach([3, 4], [4, 2])], episodes, 4.0)
    assert none == []
    episodes, last = fold([], episodes, 4 + QUIET_SECOND + 1)
    assert last[0].evidence["value"] == 5
    assert last[0].evidence["frame_count"] == 5
    assert episodes == {}


def test_the_end_of_a_fault_is_told_once_and_says_so() -> None:
    episodes, first = fold([breach([0, 1], [2, 0])], {}, 1.0)
    episodes, still = fold([], episodes, QUIET_SECOND)
    assert still == []
    episodes, last = fold([], episodes, 1 + QUIET_SECOND)
    assert ("over_unix_time_second" in first[0].evidence, episodes) == (False, {})
    assert [f.evidence["over_unix_time_second"] for f in last] == [0.0]
    assert merge([*first, *last]) == last
    assert fold([], episodes, 9000.0) == ({}, [])


def test_the_later_word_replaces_the_earlier() -> None:
    episodes, first = fold([breach([0, 1], [2, 2])], {}, 1.0)
    episodes, _ = fold([breach([2, 3], [2, 2])], episodes, 3.0)
    _, last = fold([], episodes, 1000.0)
    assert merge([*first, *last]) == last

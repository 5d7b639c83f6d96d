import os
from pathlib import Path

import numpy as np
import pytest

from cellwarden.drills import runaway
from cellwarden.drills.runaway import Course
from cellwarden.physics import runaway as model

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the data under CELLWARDEN_DATA")


@needs_data
def test_both_abuse_tests_are_told_before_collapse_and_peak() -> None:
    sandia, oak_ridge = runaway.abuse_tests(DATA)
    assert sandia.peak_celsius > 500.0
    assert sandia.after_onset_second < 0.0
    assert sandia.before_peak_second > 60.0
    assert sandia.imminent_second <= sandia.collapse_second + 1.0
    assert np.isnan(oak_ridge.collapse_second)
    assert np.isnan(oak_ridge.imminent_second)
    assert oak_ridge.before_peak_second > 60.0


@needs_data
def test_the_model_stands_on_what_the_databank_says() -> None:
    found = runaway.databank(DATA)
    assert (found["cell_type_count"], found["test_count"]) == (19, 129)
    assert pytest.approx(found["onset_celsius"], abs=0.5) == model.ONSET_CELSIUS
    assert pytest.approx(found["heat_kj_per_gram"], abs=0.005) == model.HEAT_KJ_PER_GRAM
    assert pytest.approx(found["kept_fraction"], abs=0.005) == model.KEPT_FRACTION


def test_a_short_in_the_twin_is_told_within_seconds_and_long_before_the_peak() -> None:
    warned = runaway.twin_runaway(10.0)
    assert 60.0 <= warned.suspected_second < 62.0
    assert warned.imminent_second < 75.0
    assert warned.peak_celsius > 300.0
    assert warned.before_peak_second > 60.0


def test_a_quiet_course_has_no_warning_and_no_collapse() -> None:
    second = 0.5 * np.arange(400)
    still = Course("still", second, np.full((400, 1), 4.1), np.full((400, 6), 25.0), second * 0.0)
    warned = runaway.warn(still, 26.0)
    assert np.isnan([warned.suspected_second, warned.imminent_second, warned.collapse_second]).all()

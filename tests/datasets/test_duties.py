from pathlib import Path

import numpy as np
import pytest

from cellwarden.datasets import data_folder
from cellwarden.datasets.duties import climate_named, climate_names, duty_named, duty_names
from cellwarden.errors import UsageError
from cellwarden.physics.climate import CLIMATES
from cellwarden.physics.duty import DAY_SECOND, DUTIES

there = pytest.mark.skipif(
    not (data_folder() / "duty_profiles").is_dir(), reason="the data set duty_profiles is not here"
)


def test_the_package_s_own_need_no_data(tmp_path: Path) -> None:
    assert duty_named("home", tmp_path) is DUTIES["home"]
    assert climate_named("hot", tmp_path) is CLIMATES["hot"]


@there
@pytest.mark.parametrize("name", [name for name in duty_names() if name not in DUTIES])
def test_every_duty_of_the_set_is_whole_days_within_the_charge(name: str) -> None:
    duty = duty_named(name)
    assert duty.stop_second[-1] % DAY_SECOND == 0
    assert duty.stop_second[-1] >= 7 * DAY_SECOND
    assert duty.change_fraction.sum() == pytest.approx(0.0, abs=1e-9)
    assert (duty.roughness > 0.0) == ("_ev" in name)


@there
@pytest.mark.parametrize("name", [name for name in climate_names() if name not in CLIMATES])
def test_every_climate_of_the_set_is_a_warm_place(name: str) -> None:
    air = climate_named(name).air_temperature_celsius
    assert 20.0 < float(np.mean(air)) < 30.0
    assert air[4000] != air[4012]


def test_what_is_not_known_or_not_there_is_refused(tmp_path: Path) -> None:
    for ask in (duty_named, climate_named):
        with pytest.raises(UsageError):
            ask("nowhere")
    with pytest.raises(UsageError):
        duty_named("commercial_ev", tmp_path)
    with pytest.raises(UsageError):
        climate_named("climate_nsrdb_honolulu", tmp_path)

"""The newest word of a pack's control, and every change of mode, as the hub keeps and tells it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cellwarden.domain import Moved, PackStatus, ShownTrouble
from cellwarden.hub.roles import Role
from cellwarden.wire import Notes
from hub.fleet import NOW, Site, site, sound_frames

DRIVES = PackStatus(
    NOW,
    "connected",
    plus_closed=True,
    minus_closed=True,
    precharge_closed=False,
    charge_ampere=40.0,
    discharge_ampere=None,
    charge_by=("cell voltage",),
    moves=(Moved(NOW - 3.0, "standby", "precharge", "asked"),),
)
FAILED = replace(
    DRIVES,
    unix_time_second=NOW + 60.0,
    mode="error",
    plus_closed=False,
    minus_closed=False,
    first_trouble="cell_voltage_high",
    troubles=(ShownTrouble("cell_voltage_high", "open", NOW + 50.0, 4.3, None, 3),),
    moves=(
        Moved(NOW + 50.0, "connected", "opening", "cell_voltage_high"),
        Moved(NOW + 51.0, "opening", "error", "cell_voltage_high"),
    ),
)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as running:
        running.add_people()
        yield running


def test_the_newest_word_is_told_with_every_change_of_mode(own: Site) -> None:
    own.fill("pack-1", sound_frames(), Notes(status=DRIVES))
    own.fill("pack-1", sound_frames(begin=own.clock.now), Notes(status=FAILED))
    own.fill("pack-1", sound_frames(begin=own.clock.now))
    own.fill("pack-2", sound_frames())
    viewer = own.sign_in(str(Role.VIEWER))
    told = viewer.get("/api/batteries/pack-1").json()["pack"]
    assert told["mode"] == "error"
    assert told["discharge_ampere"] is None
    assert [one["name"] for one in told["troubles"]] == ["cell_voltage_high"]
    assert [(one["source"], one["target"]) for one in told["moves"]] == [
        ("opening", "error"),
        ("connected", "opening"),
        ("standby", "precharge"),
    ]
    fleet = {
        one["device"]: one["pack_mode"] for one in viewer.get("/api/fleet").json()["batteries"]
    }
    assert fleet == {"pack-1": "error", "pack-2": None}
    assert viewer.get("/api/batteries/pack-2").json()["pack"] is None


def test_a_pack_that_answers_at_two_devices_is_an_alarm(own: Site) -> None:
    here = replace(DRIVES, authenticity="genuine", pack="P-1")
    own.fill("pack-1", sound_frames(), Notes(status=here))
    own.fill("pack-2", sound_frames(), Notes(status=replace(here, pack="P-2")))
    viewer = own.sign_in(str(Role.VIEWER))

    def alarms(device: str) -> list[str]:
        told = viewer.get(f"/api/batteries/{device}").json()["findings"]
        return [one["message"] for one in told if one["kind"] == "identity"]

    assert alarms("pack-1") == alarms("pack-2") == []
    own.fill("pack-2", sound_frames(begin=own.clock.now), Notes(status=here))
    assert alarms("pack-2") == ["pack P-1 answers at pack-1 too: its key was copied"]

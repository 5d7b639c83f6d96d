"""Disks that are full or cannot be written: said plainly, waited out, nothing lost."""

import time

from cellwarden.errors import EXIT_CODE, UnavailableError
from journeys.disk import small_disk
from journeys.system import System, twin, wait_for

UNAVAILABLE = EXIT_CODE[UnavailableError]


def test_a_hub_whose_disk_is_full_says_so_and_goes_on_when_there_is_room(system: System) -> None:
    system.enrol("early", twin("early", 100))
    system.enrol("late", twin("late", 400, batch_frames=20))
    system.enrol("later", twin("later", 400, batch_frames=20))
    target = str(system.folder / "backup")
    with small_disk(system.home.hub, 24) as disk:
        hub = system.start_hub(inside=disk.inside)
        system.send_all("early")
        disk.fill()
        edge = system.edge("late", "later")
        wait_for(lambda: edge.last("late")["made_count"] == 20, "the device to go on reading")
        wait_for(lambda: len(edge.troubles("late")) >= 2, "the device to hear of it")
        assert any("503" in trouble for trouble in edge.troubles("late")), edge.troubles("late")
        # A backup folds the log into the file; when that fails, the engine gives its file up.
        backup = system.cli("backup", target, inside=disk.inside)
        assert backup.returncode == UNAVAILABLE, backup.stderr
        assert "what to do:" in backup.stderr
        assert hub.poll() is None, system.hub_said()
        disk.free()
        assert edge.wait() == 0, edge.said()
        assert hub.poll() is None, "it goes on without a restart"
        system.verify()
        backup = system.cli("backup", target, inside=disk.inside)
        assert backup.returncode == 0, backup.stderr
        system.kill_hub()
        disk.bring_back()
    system.check_stored("early", "late", "later")
    system.verify()
    assert "Traceback" not in system.hub_said()


def test_a_hub_on_a_disk_that_cannot_be_written_does_not_start_and_loses_nothing(
    system: System,
) -> None:
    system.enrol("first", twin("first", 50))
    system.enrol("second", twin("second", 50))
    with small_disk(system.home.hub, 24) as disk:
        system.start_hub(inside=disk.inside)
        system.send_all("first")
        system.stop_hub()
        disk.set_writable(writable=False)
        hub = system.start_hub(inside=disk.inside, up=False)
        assert hub.wait(60) == UNAVAILABLE
        last = system.hub_said().strip().splitlines()[-2:]
        assert last[0].startswith("error: "), last
        assert "what to do: " in last[1], last
        edge = system.edge("second")
        wait_for(lambda: edge.last("second")["made_count"] == 10, "the device to go on reading")
        disk.set_writable(writable=True)
        system.start_hub(inside=disk.inside)
        assert edge.wait() == 0, edge.said()
        assert system.stop_hub() == 0
        disk.bring_back()
    system.check_stored("first", "second")
    system.verify()


def test_a_device_whose_disk_is_full_waits_and_goes_on_when_there_is_room(system: System) -> None:
    system.enrol("full")
    system.enrol("roomy")
    system.start_hub()
    flow = {"live": True, "period_second": 0.05, "start_unix_time_second": float(int(time.time()))}
    for name in ("full", "roomy"):
        system.reads(name, twin(name, 400, **flow))
    with small_disk(system.home.device("full"), 16) as disk:
        edge = system.edge("full", "roomy", inside=disk.inside)
        wait_for(lambda: edge.last("full")["sent_count"] > 5, "the first batches")
        disk.fill()
        wait_for(lambda: edge.troubles("full"), "the full disk to be told of")
        assert "disk is full" in edge.troubles("full")[0]
        ahead = edge.last("roomy")["sent_count"]
        wait_for(lambda: edge.last("roomy")["sent_count"] > ahead, "the other to go on")
        assert not edge.troubles("roomy")
        disk.free()
        assert edge.wait() == 0, edge.said()
        disk.bring_back()
    assert system.stop_hub() == 0
    system.check_stored("full", "roomy")
    system.verify()


def test_a_device_whose_disk_cannot_be_written_says_so_and_the_others_go_on(system: System) -> None:
    system.enrol("fixed", twin("fixed", 50))
    system.enrol("free", twin("free", 50))
    system.start_hub()
    with small_disk(system.home.device("fixed"), 2) as disk:
        disk.set_writable(writable=False)
        edge = system.edge("fixed", "free", inside=disk.inside)
        assert edge.wait() == UNAVAILABLE
        assert "Free or mend the disk" in edge.said()
        assert edge.last("free")["done"]
        assert not edge.last("free")["trouble"]
        disk.set_writable(writable=True)
        system.send_all("fixed", inside=disk.inside)
        disk.bring_back()
    assert system.stop_hub() == 0
    system.check_stored("fixed", "free")
    system.verify()

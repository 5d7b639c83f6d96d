"""Two edges with one identity: one history is stored, the other is refused and listed."""

import shutil

from cellwarden.cli.home import Home
from cellwarden.errors import EXIT_CODE, ReplayError, TrustError, UsageError
from journeys.system import System, twin, wait_for


def test_the_second_history_of_a_cloned_device_is_refused_and_listed(system: System) -> None:
    system.enrol("pack", twin("pack", 2_000))
    system.enrol("other", twin("other", 100))
    system.start_hub()
    edge = system.edge("pack")
    wait_for(lambda: edge.last("pack")["sent_count"] > 10, "a history to begin")
    edge.kill()
    clone = System(system.folder / "clone", home=Home(system.folder / "clone" / "home"))
    shutil.copytree(system.home.path / "edge", clone.home.path / "edge")
    system.send_all("pack")
    cloned = clone.edge("pack", "other")
    assert cloned.wait() == EXIT_CODE[TrustError], cloned.said()
    assert "share one key" in cloned.said()
    assert cloned.last("other")["sent_count"] == 20
    clone.close()
    assert system.stop_hub() == 0
    told = [row for row in system.refusals() if row["peer"] == "pack"]
    assert told
    assert {row["kind"] for row in told} == {ReplayError.__name__}
    assert "another batch" in told[0]["message"]
    system.check_stored("pack", "other")
    system.verify()


def test_a_clone_that_was_faster_locks_the_original_out_and_is_listed(system: System) -> None:
    system.enrol("pack", twin("pack", 500))
    system.start_hub()
    clone = System(system.folder / "clone", home=Home(system.folder / "clone" / "home"))
    shutil.copytree(system.home.path / "edge", clone.home.path / "edge")
    clone.send_all("pack")
    clone.close()
    late = system.edge("pack")
    assert late.wait() == EXIT_CODE[TrustError], late.said()
    assert system.stop_hub() == 0
    # Signatures cannot tell which of the two is the pack; that there are two cannot be hidden.
    assert [row["kind"] for row in system.refusals()] == [ReplayError.__name__]
    system.check_stored("pack")


def test_one_device_run_by_two_processes_stops_one_of_them_and_loses_nothing(
    system: System,
) -> None:
    system.enrol("pack", twin("pack", 4_000))
    system.start_hub()
    one, two = system.edge("pack"), system.edge("pack")
    codes = {one.wait(), two.wait()}
    assert codes in ({0, EXIT_CODE[UsageError]}, {0}), (one.said(), two.said())
    if EXIT_CODE[UsageError] in codes:
        assert "another process runs this device" in one.said() + two.said()
    assert system.stop_hub() == 0
    system.check_stored("pack")
    system.verify()

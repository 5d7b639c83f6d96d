"""Clocks that are wrong: what was measured is kept, and a person is told to look at the clock."""

import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cellwarden.cli.home import Home
from cellwarden.errors import EXIT_CODE, TrustError
from journeys.system import System, free_port, twin

HOUR_SECOND = 3600


@pytest.fixture(scope="module")
def off_by(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, str]]:
    """The environment of a process whose clock is so many seconds off."""
    compiler = shutil.which("cc")
    if platform.system() != "Linux" or compiler is None:
        pytest.skip("setting one process's clock needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)

    def environment(second: int) -> dict[str, str]:
        return {"LD_PRELOAD": str(library), "CLOCK_OFFSET_SECOND": str(second)}

    told = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time())"],
        env=environment(-HOUR_SECOND), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert time.time() - float(told.stdout) == pytest.approx(HOUR_SECOND, abs=30)
    return environment


@pytest.fixture
def aged(tmp_path: Path, off_by: Callable[[int], dict[str, str]]) -> System:
    """An installation that was set up a day ago, with its devices."""
    system = System(tmp_path, home=Home(tmp_path / "home"))
    yesterday = off_by(-24 * HOUR_SECOND)
    ports = ("--device-port", str(free_port()), "--page-port", str(free_port()))
    assert system.cli("init", *ports, env=yesterday).returncode == 0
    for name in ("wrong", "right"):
        told = system.cli("enrol", name, env=yesterday)
        assert told.returncode == 0, told.stderr
    return system


def test_a_device_an_hour_ahead_is_believed_and_its_clock_is_pointed_at(
    aged: System, off_by: Callable[[int], dict[str, str]]
) -> None:
    flow = {"live": True, "period_second": 0.1}
    begin = float(int(time.time()))
    aged.reads("wrong", twin("wrong", 50, start_unix_time_second=begin + HOUR_SECOND, **flow))
    aged.reads("right", twin("right", 50, start_unix_time_second=begin, **flow))
    try:
        aged.start_hub()
        aged.send_all("wrong", env=off_by(HOUR_SECOND))
        aged.send_all("right")
        assert aged.stop_hub() == 0
        told = aged.rows("SELECT DISTINCT device, origin FROM finding WHERE kind = 'clock'")
        assert told == [("wrong", "hub")]
        (message,) = aged.rows("SELECT message FROM finding WHERE kind = 'clock' LIMIT 1")[0]
        assert "ahead of the hub's" in message
        aged.check_stored("wrong", "right")
        aged.verify()
    finally:
        aged.close()


def test_a_device_an_hour_behind_is_as_good_as_one_that_sends_late(
    aged: System, off_by: Callable[[int], dict[str, str]]
) -> None:
    flow = {"live": True, "period_second": 0.1}
    begin = float(int(time.time()))
    aged.reads("wrong", twin("wrong", 50, start_unix_time_second=begin - HOUR_SECOND, **flow))
    try:
        aged.start_hub()
        aged.send_all("wrong", env=off_by(-HOUR_SECOND))
        assert aged.stop_hub() == 0
        aged.check_stored("wrong")
        aged.verify()
    finally:
        aged.close()


def test_a_device_whose_clock_lies_before_the_hubs_certificate_says_to_check_the_clock(
    system: System, off_by: Callable[[int], dict[str, str]]
) -> None:
    system.enrol("pack", twin("pack", 50))
    system.start_hub()
    edge = system.edge("pack", env=off_by(-HOUR_SECOND))
    assert edge.wait() == EXIT_CODE[TrustError]
    assert "not yet valid" in edge.said()
    assert "this machine's clock" in edge.said()
    system.send_all("pack")  # the clock is right again: nothing of what it kept is lost
    assert system.stop_hub() == 0
    system.check_stored("pack")
    system.verify()


def test_a_hub_whose_clock_runs_years_ahead_refuses_for_the_right_reason_and_recovers(
    system: System, off_by: Callable[[int], dict[str, str]]
) -> None:
    system.enrol("pack", twin("pack", 50))
    hub = system.start_hub(env=off_by(2 * 365 * 24 * HOUR_SECOND), up=False)
    edge = system.edge("pack")
    assert edge.wait() == EXIT_CODE[TrustError]
    assert "certificate expired" in edge.said()
    assert hub.poll() is None
    system.stop_hub()
    system.start_hub()
    system.send_all("pack")
    assert system.stop_hub() == 0
    system.check_stored("pack")
    system.verify()

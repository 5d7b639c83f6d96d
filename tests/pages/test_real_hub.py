"""The main job's fleet, its pages in a real browser on the real hub."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from cellwarden.cli.home import Home
from cellwarden.hub.config import load_config
from pages import checks

PACKS = ["pack-1", "pack-2", "pack-3", "pack-4", "pack-5"]


@dataclass
class Running:
    """`cellwarden run`, once it has said where its pages are."""

    base_url: str
    password: str
    said: str


@pytest.fixture(scope="module")
def running(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The main job as a user starts it; it goes on serving until the tests are over."""
    assert browser.is_connected()  # no browser, no need to start a fleet
    home = tmp_path_factory.mktemp("home") / "installation"
    line = [sys.executable, "-m", "cellwarden", "run", "--home", str(home)]
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=None
    )
    watchdog = threading.Timer(200, process.kill)
    watchdog.start()
    said: list[str] = []
    try:
        for text in process.stdout or ():
            said.append(text)
            if "Serving until" in text:
                break
        everything = "".join(said)
        found = re.search(r"Sign in as admin with (\S+)", everything)
        assert found, everything
        port = load_config(Home(home).hub).page_port
        yield Running(f"https://127.0.0.1:{port}", found[1], everything)
    finally:
        watchdog.cancel()
        process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A browser that takes the installation's own authority for granted."""
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture
def signed_in(running: Running, page: Page) -> Iterator[Page]:
    """The administrator, signed in; nothing may complain until the test is over."""
    watch = checks.Watch(page)
    checks.sign_in_by_keyboard(page, running.base_url, "admin", running.password)
    yield page
    assert watch.complaints == []


def test_the_main_job_refuses_every_forgery_and_proves_the_rest(running: Running) -> None:
    assert "everything holds" in running.said
    assert running.said.count("holds: ") >= len(PACKS)
    assert "accepted" not in running.said.split("Forgeries tried by")[1].split("Ledger")[0]


def test_the_fleet_is_listed_and_axe_finds_nothing(running: Running, signed_in: Page) -> None:
    checks.fleet_lists(signed_in, running.base_url, PACKS)
    assert checks.axe_violations(signed_in) == []
    signed_in.screenshot(path=_shot("fleet"), full_page=True)


def test_a_battery_shows_its_signals_and_findings(running: Running, signed_in: Page) -> None:
    checks.open_battery(signed_in, running.base_url, "pack-5")
    signed_in.wait_for_function("() => document.querySelectorAll('canvas').length > 3")
    assert checks.axe_violations(signed_in) == []
    signed_in.screenshot(path=_shot("battery"), full_page=True)


def test_forgeries_are_listed_and_the_hub_verifies(running: Running, signed_in: Page) -> None:
    messages = ["forger sent a batch in the name of pack-1", "the signature does not hold"]
    checks.trust_lists_refusals(signed_in, running.base_url, messages)
    checks.verify(signed_in, running.base_url, "holds")
    assert checks.axe_violations(signed_in) == []
    signed_in.screenshot(path=_shot("trust"), full_page=True)


def _shot(name: str) -> Path:
    folder = Path(__file__).parents[2] / ".screenshots"
    folder.mkdir(exist_ok=True)
    return folder / f"{name}.png"

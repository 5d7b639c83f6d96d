import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from pages.stand_in import STATIC, StandIn

_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The distribution's Chromium, once for all tests."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine; the pages cannot be looked at")
    if not (STATIC / "index.html").is_file():
        pytest.skip("the pages are not built; `make pages` builds them")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=list(_QUIET))
        yield opened
        opened.close()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandIn]:
    """A stand-in for the hub, running."""
    stand_in = StandIn(tmp_path)
    stand_in.start()
    yield stand_in
    stand_in.stop()

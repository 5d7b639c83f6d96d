"""What a page must show and do, whichever hub serves it: functions of (page, base_url).

They use what a reader uses, roles and words, so that they hold for the stand-in and the real hub.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import ConsoleMessage, Page, Response, expect

__all__ = [
    "AXE",
    "Watch",
    "axe_violations",
    "battery_draws_its_record",
    "first_load_byte_count",
    "fleet_lists",
    "open_battery",
    "open_trust",
    "sign_in_by_keyboard",
    "trust_lists_refusals",
    "verify",
]

AXE: Final = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
_RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Watch:
    """Everything a page complains of: console errors, exceptions, breaches of the policy."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        page.expose_function("noteViolation", self._note)
        page.add_init_script(
            "addEventListener('securitypolicyviolation',"
            " (v) => noteViolation(`${v.effectiveDirective} ${v.blockedURI} ${v.sourceFile}`))"
        )

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"console: {message.text}")

    def _note(self, text: str) -> None:
        self.complaints.append(f"policy: {text}")


def sign_in_by_keyboard(page: Page, base_url: str, user: str, password: str) -> None:
    """Signs in without a pointer, from the first key on a fresh page to the fleet."""
    page.goto(base_url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    _tab_to(page, "user")
    page.keyboard.type(user)
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("heading", name="Fleet", level=1)).to_be_visible()


def _tab_to(page: Page, identity: str) -> None:
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == identity:
            return
    raise AssertionError(f"#{identity} cannot be reached with the Tab key")


def fleet_lists(page: Page, base_url: str, devices: list[str]) -> None:
    """The fleet page has one row a battery, each a way to that battery, and no empty cell."""
    page.goto(base_url)
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(len(devices))
    for device in devices:
        expect(page.get_by_role("link", name=device, exact=True)).to_be_visible()
    empty = [cell for cell in rows.locator("td").all_inner_texts() if not cell.strip()]
    assert empty == []


def open_battery(page: Page, base_url: str, device: str) -> None:
    page.goto(f"{base_url}/battery/{device}")
    expect(page.get_by_role("heading", name=device, level=1)).to_be_visible()
    expect(page.get_by_role("heading", name="Signals")).to_be_visible()


def battery_draws_its_record(page: Page, base_url: str, device: str) -> None:
    """The battery page paints signals, curves and fade, explains, and offers the receipt."""
    open_battery(page, base_url, device)
    canvases = page.locator("canvas")
    expect(canvases).to_have_count(7)  # five signals, the curves and the fade
    for index in range(7):
        page.wait_for_function(_PAINTED, arg=index)
    expect(page.get_by_role("img", name="Pack voltage: from")).to_be_visible()
    expect(page.get_by_role("img", name="Health over cycles")).to_be_visible()
    expect(page.get_by_role("img", name="discharges from cycle")).to_be_visible()
    page.get_by_role("button", name="dQ/dV").click()
    page.get_by_role("button", name="Charge", exact=True).click()
    expect(page.get_by_role("img", name=" charges from cycle")).to_be_visible()
    expect(page.get_by_text("smoothed over")).to_be_visible()
    expect(page.get_by_role("heading", name="Why")).to_be_visible()
    expect(page.get_by_text("Check it offline")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the receipt").click()
    assert json.loads(download.value.path().read_text())
    command = page.get_by_text("cellwarden verify")
    expect(command).to_contain_text(f" {download.value.suggested_filename} ")


# More than one colour on the canvas: something was drawn on it.
_PAINTED: Final = """(index) => {
  const canvas = document.querySelectorAll('canvas')[index];
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(new Uint32Array(pixels.buffer)).size > 20;
}"""


def open_trust(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/trust")
    expect(page.get_by_role("heading", name="Devices and certificates")).to_be_visible()


def trust_lists_refusals(page: Page, base_url: str, messages: list[str]) -> None:
    """The trust page gives each refusal's reason in the hub's words."""
    open_trust(page, base_url)
    table = page.get_by_role("table", name="Refused")
    for message in messages:
        expect(table.get_by_text(message).first).to_be_visible()


def verify(page: Page, base_url: str, expected: str) -> None:
    """Has the hub verify everything, and waits for the verdict."""
    open_trust(page, base_url)
    page.get_by_role("button", name="Verify now").click()
    expect(page.get_by_role("status").get_by_text(expected)).to_be_visible(timeout=60_000)


def axe_violations(page: Page) -> list[str]:
    """What axe finds on the page as it stands, one line a rule and element."""
    page.evaluate(AXE.read_text())
    result: dict[str, Any] = page.evaluate(
        "(rules) => axe.run(document, {runOnly: {type: 'tag', values: rules}})", _RULES
    )
    return [
        f"{violation['id']}: {node['html'][:160]}"
        for violation in result["violations"]
        for node in violation["nodes"]
    ]


def first_load_byte_count(page: Page, base_url: str, show: Callable[[], None]) -> int:
    """Bytes, packed with gzip, of all files that a first visit fetches to `show` its page. [1]"""
    files: dict[str, Response] = {}

    def keep(response: Response) -> None:
        if "/api/" not in response.url:
            files[response.url] = response

    page.on("response", keep)
    page.goto(base_url)
    show()
    page.remove_listener("response", keep)
    return sum(len(gzip.compress(response.body())) for response in files.values())

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pydantic import BaseModel

from cellwarden.hub import contract
from pages import checks, invented
from pages.invented import LONG_NAME
from pages.stand_in import StandIn

FAULTY, STALE, UNTOLD, PASSED = "twin-drifting-cell", "van-0231", "home-storage-118", "cell-B0005"
SILENT = "new-pack-01"
SIZE_LIMIT_BYTE = 150_000


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(
        ignore_https_errors=True,  # the stand-in vouches for itself
        timezone_id="Europe/Berlin",
        viewport={"width": 1280, "height": 800},
    ) as opened:
        yield opened


@pytest.fixture
def page(context: BrowserContext) -> Page:
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    return opened


@pytest.fixture
def watch(page: Page) -> checks.Watch:
    return checks.Watch(page)


@pytest.fixture
def signed_in(page: Page, watch: checks.Watch, hub: StandIn) -> Page:
    assert watch.complaints == []
    checks.sign_in_by_keyboard(page, hub.base_url, "auditor", hub.password)
    return page


def devices_of(hub: StandIn) -> list[str]:
    return [battery["device"] for battery in hub.fleet["batteries"]]


def test_one_signs_in_by_keyboard_alone_and_nothing_is_complained_of(
    signed_in: Page, watch: checks.Watch
) -> None:
    expect(signed_in.get_by_text("Connection: Live")).to_be_visible()
    assert watch.complaints == []


def test_a_breach_of_the_policy_would_be_noticed(signed_in: Page, watch: checks.Watch) -> None:
    signed_in.evaluate("document.body.insertAdjacentHTML('beforeend', '<i style=\"top:0\">x</i>')")
    signed_in.wait_for_timeout(200)
    assert any(line.startswith("policy: style-src-attr") for line in watch.complaints)


def test_the_stand_in_speaks_the_hubs_contract(hub: StandIn) -> None:
    now = hub.fleet["now_unix_time_second"]
    said: list[tuple[type[BaseModel], Any]] = [
        (contract.Fleet, hub.fleet),
        (contract.Trust, hub.trust),
        (contract.Verification, hub.verification()),
    ]
    for battery in hub.fleet["batteries"]:
        said.append((contract.BatteryDetail, invented.battery_record(battery, now)))
        said.append((contract.Signals, invented.signals(battery, now - 60, now, 30)))
        said.append((contract.Curves, invented.curves(battery, "charge")))
    for kind, body in said:
        assert kind.model_validate(body).model_dump(mode="json") == body


def test_a_wrong_password_is_refused_in_words_and_the_cursor_waits_in_the_field(
    page: Page, hub: StandIn
) -> None:
    page.goto(hub.base_url)
    page.get_by_label("User").fill("auditor")
    page.get_by_label("Password").fill("guessed")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    expect(page.get_by_label("Password")).to_be_focused()


def test_a_session_that_ends_leads_back_to_where_one_was(signed_in: Page, hub: StandIn) -> None:
    checks.open_trust(signed_in, hub.base_url)
    hub.end_sessions()
    signed_in.get_by_role("button", name="Verify now").click()
    expect(signed_in.get_by_text("Your session has ended")).to_be_visible()
    signed_in.get_by_label("User").fill("auditor")
    signed_in.get_by_label("Password").fill(hub.password)
    signed_in.keyboard.press("Enter")
    expect(signed_in.get_by_role("heading", name="Trust", level=1)).to_be_visible()


def test_the_fleet_has_a_row_a_battery_and_no_empty_cell(
    signed_in: Page, watch: checks.Watch, hub: StandIn
) -> None:
    checks.fleet_lists(signed_in, hub.base_url, devices_of(hub))
    assert watch.complaints == []


def test_what_cannot_be_told_says_why(signed_in: Page, hub: StandIn) -> None:
    checks.fleet_lists(signed_in, hub.base_url, devices_of(hub))
    row = signed_in.get_by_role("row").filter(has_text=UNTOLD)
    expect(row).to_contain_text("Cannot be told, because only 3 full charges were seen")
    checks.open_battery(signed_in, hub.base_url, SILENT)
    expect(signed_in.get_by_text("no reading was received in this stretch")).to_be_visible()
    checks.open_battery(signed_in, hub.base_url, PASSED)
    expect(signed_in.get_by_text("already fallen below 80 %").first).to_be_visible()


def test_an_event_changes_the_row_without_a_reload(signed_in: Page, hub: StandIn) -> None:
    row = signed_in.get_by_role("row").filter(has_text="ferry-2.bank-A")
    expect(row).to_contain_text("77 ±")
    for battery in hub.fleet["batteries"]:
        if battery["device"] == "ferry-2.bank-A":
            battery["soc_fraction"] = 0.413
    hub.tell_fleet()
    expect(row).to_contain_text("41 ±")


def test_a_stale_battery_does_not_pass_for_a_live_one(signed_in: Page, hub: StandIn) -> None:
    row = signed_in.get_by_role("row").filter(has_text=STALE)
    expect(row).to_contain_text("Stale")
    expect(row).to_contain_text("as of")
    checks.open_battery(signed_in, hub.base_url, STALE)
    expect(signed_in.get_by_text("not from now")).to_be_visible()


def test_an_old_record_that_came_just_now_is_not_stale_and_says_how_old_it_is(
    signed_in: Page, hub: StandIn
) -> None:
    for battery in hub.fleet["batteries"]:
        if battery["device"] == PASSED:
            battery["last_sample_unix_time_second"] = 1.22e9
            battery["worst_finding"] = {
                **battery["worst_finding"],
                "last_unix_time_second": 1.22e9 - 9000,
                "open": False,
            }
            battery.update(finding_count=1, open_finding_count=0)
    hub.tell_fleet()
    row = signed_in.get_by_role("row").filter(has_text=PASSED)
    expect(row).to_contain_text("record of 29 Aug 2008")
    expect(row).not_to_contain_text("Stale")
    expect(row.get_by_role("cell").last).to_contain_text("over")
    checks.open_battery(signed_in, hub.base_url, PASSED)
    expect(signed_in.get_by_text("A record.")).to_be_visible()
    expect(signed_in.get_by_text("0 open, 1 over")).to_be_visible()
    expect(signed_in.get_by_text("Over since 29 Aug 2008")).to_be_visible()


def test_the_worst_come_first_and_a_header_button_sorts_otherwise(signed_in: Page) -> None:
    first = signed_in.locator("tbody tr").first
    expect(first).to_contain_text(FAULTY)
    header = signed_in.get_by_role("columnheader", name="Health")
    header.get_by_role("button").focus()
    signed_in.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")
    expect(first).to_contain_text(PASSED)
    signed_in.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "descending")
    expect(first).to_contain_text("ferry-2.bank-A")
    expect(signed_in.locator("tbody tr").last).to_contain_text("Cannot be told")


def test_filters_and_search_narrow_the_fleet(signed_in: Page) -> None:
    rows = signed_in.locator("tbody tr")
    signed_in.get_by_role("button", name=re.compile("^Stale")).click()
    expect(rows).to_have_count(1)
    signed_in.get_by_role("button", name=re.compile("^All")).click()
    signed_in.get_by_role("searchbox").fill("FERRY")
    expect(rows).to_have_count(2)
    signed_in.get_by_role("searchbox").fill("no such thing")
    signed_in.get_by_role("button", name="Show all", exact=True).click()
    expect(rows).to_have_count(14)


def test_a_lost_hub_is_said_with_the_time_and_a_found_one_takes_it_back(
    signed_in: Page, hub: StandIn
) -> None:
    expect(signed_in.get_by_text("Connection: Live")).to_be_visible()
    hub.stop()
    alert = signed_in.get_by_role("alert").filter(has_text="Connection to the hub lost")
    expect(alert).to_contain_text(re.compile(r"since \d\d:\d\d:\d\d"))
    expect(alert.locator("time")).to_have_attribute("title", re.compile(r"UTC$"))
    hub.start()
    expect(alert).to_have_count(0)
    expect(signed_in.get_by_text("Connection: Live")).to_be_visible()


def test_a_line_that_stays_open_and_silent_counts_as_lost(
    page: Page, watch: checks.Watch, hub: StandIn
) -> None:
    page.clock.install()
    checks.sign_in_by_keyboard(page, hub.base_url, "auditor", hub.password)
    expect(page.get_by_text("Connection: Live")).to_be_visible()
    hub.hushed = True
    page.clock.fast_forward(26_000)
    expect(page.get_by_text("Connection to the hub lost")).to_be_visible()
    hub.hushed = False
    page.clock.fast_forward(16_000)
    expect(page.get_by_text("Connection: Live")).to_be_visible()
    assert not [line for line in watch.complaints if "exception" in line or "policy" in line]


def test_a_battery_is_drawn_explained_and_receipted(
    signed_in: Page, watch: checks.Watch, hub: StandIn
) -> None:
    checks.battery_draws_its_record(signed_in, hub.base_url, FAULTY)
    expect(signed_in.get_by_text("an internal short cannot be excluded")).to_be_visible()
    expect(signed_in.get_by_text("+0.4 pp").first).to_be_visible()
    assert watch.complaints == []


def test_a_pack_under_control_says_what_it_does_and_why(
    signed_in: Page, watch: checks.Watch, hub: StandIn
) -> None:
    checks.open_battery(signed_in, hub.base_url, "bus-0417")
    sheet = signed_in.get_by_role("region", name="Pack control")
    expect(sheet).to_contain_text("connected")
    expect(sheet).to_contain_text("held back by cell voltage, temperature")
    checks.open_battery(signed_in, hub.base_url, "bus-0418")
    expect(sheet).to_contain_text("contactors open")
    expect(sheet).to_contain_text("Waits for an operator's reset")
    expect(sheet).to_contain_text("cell voltage high maximum, number\u00a07: 4.262 against 4.250")
    expect(sheet).to_contain_text("held until reset, the first")
    assert watch.complaints == []


def test_a_battery_that_nobody_controls_has_no_sheet_of_control(
    signed_in: Page, hub: StandIn
) -> None:
    checks.open_battery(signed_in, hub.base_url, FAULTY)
    expect(signed_in.get_by_role("region", name="Pack control")).to_have_count(0)


def test_the_signals_can_be_read_by_keyboard(signed_in: Page, hub: StandIn) -> None:
    checks.open_battery(signed_in, hub.base_url, FAULTY)
    slider = signed_in.get_by_role("slider")
    slider.focus()
    signed_in.keyboard.press("Home")
    # A stretch that begins before midnight has the day before the time.
    expect(signed_in.get_by_text(re.compile(r"Read at (.+ )?\d\d:\d\d"))).to_be_visible()
    value = signed_in.locator("figcaption .value").first
    at_start = value.inner_text()
    for _ in range(4):
        signed_in.keyboard.press("PageUp")
    expect(value).not_to_have_text(at_start)


def test_dragging_over_a_plot_asks_for_that_stretch(signed_in: Page, hub: StandIn) -> None:
    checks.open_battery(signed_in, hub.base_url, FAULTY)
    signals = signed_in.get_by_role("region", name="Signals")
    box = signals.locator(".u-over").first.bounding_box()
    assert box is not None
    y = box["y"] + 30
    with signed_in.expect_request(re.compile("/signals")) as asked:
        signed_in.mouse.move(box["x"] + box["width"] * 0.25, y)
        signed_in.mouse.down()
        signed_in.mouse.move(box["x"] + box["width"] * 0.5, y, steps=4)
        signed_in.mouse.up()
    start, stop = (
        float(found) for found in re.findall(r"(?:start|stop)=([\d.]+)", asked.value.url)
    )
    assert 0.2 * 6 * 3600 < stop - start < 0.3 * 6 * 3600


def test_an_unknown_battery_is_said_to_be_unknown(signed_in: Page, hub: StandIn) -> None:
    signed_in.goto(f"{hub.base_url}/battery/nobody")
    expect(
        signed_in.get_by_role("alert").filter(has_text="no battery of this name")
    ).to_be_visible()


def test_refusals_stand_with_their_reasons_and_forged_names_stay_text(
    signed_in: Page, watch: checks.Watch, hub: StandIn
) -> None:
    messages = [one["message"] for one in hub.trust["refused"][:6]]
    checks.trust_lists_refusals(signed_in, hub.base_url, messages)
    expect(signed_in.get_by_text('<img src=x onerror="alert(1)">').first).to_be_visible()
    assert watch.complaints == []


def test_verifying_shows_the_verdict(signed_in: Page, hub: StandIn) -> None:
    checks.verify(signed_in, hub.base_url, "Everything holds")
    hub.first_bad = {
        "device": "bus-0423",
        "sequence": 988,
        "leaf_index": 31_207,
        "reason": "the stored rows are not those that the device signed",
    }
    checks.verify(signed_in, hub.base_url, "It does not hold")
    expect(signed_in.get_by_role("status").get_by_text("not those that")).to_be_visible()


def test_who_may_not_verify_is_told_so(page: Page, hub: StandIn) -> None:
    checks.sign_in_by_keyboard(page, hub.base_url, "viewer", hub.password)
    checks.open_trust(page, hub.base_url)
    expect(page.get_by_text("needs the role auditor")).to_be_visible()
    expect(page.get_by_role("button", name="Verify now")).to_have_count(0)


def test_a_trust_event_brings_the_new_refusal(signed_in: Page, hub: StandIn) -> None:
    checks.open_trust(signed_in, hub.base_url)
    fresh = {**hub.trust["refused"][0], "message": "sealed with a key of another hub"}
    hub.trust["refused"].insert(0, fresh)
    hub.trust["refused_count"] += 1
    hub.tell_trust()
    expect(signed_in.get_by_text("sealed with a key of another hub")).to_be_visible()


def test_the_chosen_theme_is_kept(signed_in: Page) -> None:
    signed_in.emulate_media(color_scheme="dark")
    scheme = "getComputedStyle(document.documentElement).colorScheme"
    signed_in.get_by_role("button", name="Change to light").click()
    assert signed_in.evaluate(scheme) == "light"
    signed_in.reload()
    expect(signed_in.get_by_role("button", name="Colours: light")).to_be_visible()
    assert signed_in.evaluate(scheme) == "light"


def test_going_to_a_page_moves_the_focus_and_going_back_returns(signed_in: Page) -> None:
    signed_in.get_by_role("link", name=LONG_NAME).press("Enter")
    expect(signed_in.get_by_role("heading", name=LONG_NAME, level=1)).to_be_focused()
    signed_in.go_back()
    expect(signed_in.get_by_role("heading", name="Fleet", level=1)).to_be_visible()


def test_the_first_key_leads_past_the_header(signed_in: Page, hub: StandIn) -> None:
    checks.fleet_lists(signed_in, hub.base_url, devices_of(hub))
    signed_in.keyboard.press("Tab")
    link = signed_in.get_by_role("link", name="Skip to content")
    expect(link).to_be_focused()
    link.press("Enter")
    expect(signed_in.locator("main")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(
    page: Page, hub: StandIn, watch: checks.Watch, scheme: str
) -> None:
    if not checks.AXE.is_file():
        pytest.skip("axe-core is not installed; `make pages` installs it")
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(hub.base_url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    found = {"sign-in": checks.axe_violations(page)}
    checks.sign_in_by_keyboard(page, hub.base_url, "auditor", hub.password)
    checks.fleet_lists(page, hub.base_url, devices_of(hub))
    found["fleet"] = checks.axe_violations(page)
    for device in (FAULTY, STALE, SILENT):
        checks.open_battery(page, hub.base_url, device)
        found[device] = checks.axe_violations(page)
    checks.verify(page, hub.base_url, "Everything holds")
    found["trust"] = checks.axe_violations(page)
    page.set_viewport_size({"width": 390, "height": 844})
    found["trust, phone"] = checks.axe_violations(page)
    checks.fleet_lists(page, hub.base_url, devices_of(hub))
    found["fleet, phone"] = checks.axe_violations(page)
    hub.stop()
    expect(page.get_by_text("Connection to the hub lost")).to_be_visible()
    found["fleet, lost"] = checks.axe_violations(page)
    assert {name: lines for name, lines in found.items() if lines} == {}
    assert [line for line in watch.complaints if "Failed to load resource" not in line] == []


@pytest.mark.parametrize("path", ["", "/trust", f"/battery/{LONG_NAME}", f"/battery/{SILENT}"])
def test_a_phone_never_scrolls_sideways(signed_in: Page, hub: StandIn, path: str) -> None:
    signed_in.set_viewport_size({"width": 390, "height": 844})
    signed_in.goto(hub.base_url + path)
    expect(signed_in.locator("main .sheet").first).to_be_visible()
    assert signed_in.evaluate("document.documentElement.scrollWidth") == 390


def test_a_first_visit_is_light(page: Page, hub: StandIn) -> None:
    def to_the_drawn_battery() -> None:
        page.get_by_label("User").fill("auditor")
        page.get_by_label("Password").fill(hub.password)
        page.keyboard.press("Enter")
        page.get_by_role("link", name=FAULTY).click()
        expect(page.locator("canvas").first).to_be_visible()

    assert checks.first_load_byte_count(page, hub.base_url, to_the_drawn_battery) < SIZE_LIMIT_BYTE

"""Passwords and accounts, in a real browser on the hub's own interface."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from hub.fleet import PASSWORD, Site, site
from pages import checks


@pytest.fixture
def running(browser: Browser, tmp_path: Path) -> Iterator[Site]:
    """A hub with one account a role."""
    assert browser.is_connected()
    with site(tmp_path) as opened:
        opened.add_people()
        yield opened


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(ignore_https_errors=True)
    yield context.new_page()
    context.close()


def test_an_administrator_gives_a_new_password_which_is_shown_once(
    running: Site, page: Page
) -> None:
    watch = checks.Watch(page)
    operator = running.sign_in("operator")
    checks.sign_in_by_keyboard(page, running.origin, "administrator", PASSWORD)
    page.get_by_role("link", name="Account of administrator").click()
    row = page.get_by_role("row").filter(has_text="operator")
    row.get_by_role("button", name="New password for operator").click()
    assert operator.get("/api/session").status_code == 200  # it asks before it does
    row.get_by_role("button", name="sure?").click()
    shown = page.locator("strong.mono")
    expect(shown).to_be_visible()
    running.sign_in("operator", shown.inner_text())
    assert operator.get("/api/session").status_code == 401
    assert checks.axe_violations(page) == []
    page.reload()
    expect(page.get_by_role("row").filter(has_text="operator")).to_be_visible()
    expect(shown).to_have_count(0)
    assert watch.complaints == []


def test_an_administrator_makes_an_account_and_removes_it(running: Site, page: Page) -> None:
    checks.sign_in_by_keyboard(page, running.origin, "administrator", PASSWORD)
    page.goto(f"{running.origin}/account")
    page.get_by_label("New account").fill("nina")
    page.get_by_label("Role").select_option("auditor")
    page.get_by_role("button", name="Add account").click()
    row = page.get_by_role("row").filter(has_text="nina")
    expect(row).to_contain_text("auditor")
    running.sign_in("nina", page.locator("strong.mono").inner_text())
    row.get_by_role("button", name="Remove for nina").click()
    row.get_by_role("button", name="sure?").click()
    expect(row).to_have_count(0)


def test_a_person_changes_the_own_password_with_the_old_one(running: Site, page: Page) -> None:
    new = "four entirely new words"
    checks.sign_in_by_keyboard(page, running.origin, "viewer", PASSWORD)
    page.goto(f"{running.origin}/account")
    expect(page.get_by_role("heading", name="Accounts")).to_have_count(0)
    for old, told in (("wrong", "the old password is wrong"), (PASSWORD, "is changed")):
        page.get_by_label("Old password").fill(old)
        page.get_by_label("New password").fill(new)
        page.get_by_role("button", name="Change password").click()
        expect(page.get_by_text(told)).to_be_visible()
    assert checks.axe_violations(page) == []
    running.sign_in("viewer", new)

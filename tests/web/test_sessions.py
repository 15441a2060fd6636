"""Sessions in the browser: ended from elsewhere, idle, too old for a change, and what a logout leaves behind."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import pytest
from playwright.async_api import Browser, Page, expect

from dagbook.db.url import sqlite_path
from tests.web.browser import Visitor, visiting
from tests.web.site import PASSWORD, Site

HOUR = 3_600_000_000  # microseconds
DRAFT = "Object.keys(localStorage).filter(key => key.startsWith('dagbook.draft.')).length"


@pytest.fixture
def kept(site: Site) -> Iterator[Site]:
    site.save("kept", "steps: []\n")
    yield site
    site.send("DELETE", "/dags/kept")


@pytest.fixture
async def visitor(browser: Browser, kept: Site) -> AsyncIterator[Visitor]:
    async with visiting(browser, kept.address) as opened:
        opened.page.on("dialog", lambda dialog: dialog.accept())  # a page with changes asks before it goes
        yield opened


def change_sessions(site: Site, name: str, assignment: str) -> None:
    """Change the sessions of a user's browsers in the database, as if time had passed."""
    with closing(sqlite3.connect(str(sqlite_path(site.program.database_url)))) as connection, connection:
        connection.execute(
            f"UPDATE sessions SET {assignment} WHERE is_browser AND user_id IN "  # noqa: S608 - of this test
            "(SELECT id FROM users WHERE username = ?)",
            (name,),
        )


async def enter(page: Page, name: str) -> None:
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("button", name="Log out")).to_be_visible()


async def type_draft(page: Page, text: str) -> None:
    editor = page.get_by_role("textbox", name="Definition of kept")
    await editor.click()
    await page.keyboard.press("Control+End")
    await page.keyboard.type(text)
    await page.wait_for_function(f"() => {DRAFT} === 1")


async def test_a_session_that_is_ended_elsewhere_goes_to_the_login(
    browser: Browser, kept: Site, visitor: Visitor
) -> None:
    page = await visitor.open("/login")
    await enter(page, "operator")
    async with visiting(browser, kept.address, cookie=kept.browse("operator")) as other:
        account = await other.open("/account")
        before = await account.get_by_role("button", name=re.compile("^End Chrome")).count()
        assert before >= 1
        await account.get_by_role("button", name="End all other sessions").click()
        await account.get_by_role("dialog").get_by_role("button", name="End", exact=True).click()
        await expect(account.get_by_role("button", name=re.compile("^End "))).to_have_count(0)
        await expect(account.get_by_text("this session")).to_be_visible()
    await page.wait_for_url(re.compile("/login"))
    kept.cookies["operator"], kept.tokens["operator"] = kept.browse("operator"), kept.log_in("operator")


async def test_a_text_that_was_not_saved_outlives_an_idle_session(kept: Site, visitor: Visitor) -> None:
    page = await visitor.open("/login")
    await enter(page, "manager")
    page = await visitor.open("/dags/kept/spec")
    await type_draft(page, "description: of before")
    change_sessions(kept, "manager", f"last_used_at = last_used_at - 13 * {HOUR}")
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Runs", exact=True).click()
    await page.wait_for_url(re.compile("/login"))
    await enter(page, "manager")
    page = await visitor.open("/dags/kept/spec")
    await page.get_by_role("button", name="Restore draft").click()
    await expect(page.get_by_role("textbox", name="Definition of kept")).to_contain_text("of before")
    kept.cookies["manager"] = kept.browse("manager")


async def test_a_draft_is_offered_to_nobody_else_and_goes_with_the_logout(kept: Site, visitor: Visitor) -> None:
    page = await visitor.open("/login")
    await enter(page, "manager")
    await type_draft(await visitor.open("/dags/kept/spec"), "description: of a manager")
    change_sessions(kept, "manager", f"last_used_at = last_used_at - 13 * {HOUR}")
    page = await visitor.open("/dags/kept/spec")
    await page.wait_for_url(re.compile("/login"))
    await enter(page, "admin")
    page = await visitor.open("/dags/kept/spec")
    await expect(page.get_by_role("textbox", name="Definition of kept")).to_be_visible()
    await expect(page.get_by_role("button", name="Restore draft")).to_have_count(0)
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("button", name="Log in")).to_be_visible()
    assert await page.evaluate("localStorage.length") == 0
    kept.cookies["manager"] = kept.browse("manager")


async def test_a_logout_is_one_in_every_tab(visitor: Visitor) -> None:
    page = await visitor.open("/login")
    await enter(page, "viewer")
    second = await page.context.new_page()
    await second.goto(page.url)
    await expect(second.get_by_role("button", name="Log out")).to_be_visible()
    await page.get_by_role("button", name="Log out").click()
    await second.wait_for_url(re.compile("/login"))


async def test_a_change_of_users_asks_for_the_password_when_the_login_is_old(kept: Site, visitor: Visitor) -> None:
    page = await visitor.open("/login")
    await enter(page, "admin")
    page = await visitor.open("/users")
    change_sessions(kept, "admin", f"created_at = created_at - {HOUR}")
    await page.get_by_role("button", name="Add user").click()
    form = page.get_by_role("dialog", name="Add a user")
    await form.get_by_label("Name").fill("newcomer")
    for label in ("Password", "Password, again"):
        await form.get_by_label(label, exact=True).fill(PASSWORD)
    await form.get_by_role("button", name="Add", exact=True).click()
    again = page.get_by_role("dialog", name="Log in again")
    await again.get_by_label("Password of admin").fill("wrong")
    await again.get_by_role("button", name="Log in").click()
    await expect(again.get_by_role("alert")).to_be_visible()
    await again.get_by_label("Password of admin").fill(PASSWORD)
    await again.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("button", name="Actions of newcomer")).to_be_visible()
    (made,) = [user for user in kept.send("GET", "/users")["users"] if user["username"] == "newcomer"]
    kept.send("DELETE", f"/users/{made['id']}")
    kept.cookies["admin"] = kept.browse("admin")

"""Logging in and out, and servers below a path or without users."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.process.conftest import end
from tests.process.program import Program
from tests.web.browser import visiting
from tests.web.site import ADMIN, PASSWORD, SETTINGS, Site

PREFIX = "/teams/flows"


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with users below a path."""
    settings = {**SETTINGS, "base_path": PREFIX}
    opened = Site(Program(tmp_path_factory.mktemp("below") / "home", settings=settings).start())
    try:
        opened.add_people()
        opened.save("inner", "steps:\n  - {name: one, command: echo hello from below}\n")
        opened.run("inner")
        yield opened
    finally:
        opened.client.close()
        end(opened.program)


@pytest.fixture(scope="module")
def open_to_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that asks nobody who they are."""
    opened = Site(Program(tmp_path_factory.mktemp("open") / "home").start())
    try:
        opened.save("free", "steps:\n  - {name: one, command: echo for everybody}\n")
        yield opened
    finally:
        opened.client.close()
        end(opened.program)


async def _enter(page: Page, name: str, password: str) -> None:
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Log in").click()


async def test_a_wrong_password_is_refused_in_the_words_of_the_server(browser: Browser, site: Site) -> None:
    refused = site.client.post("/auth/login", json={"username": ADMIN, "password": "wrong"}).json()["message"]
    async with visiting(browser, site.address) as visitor:
        page = await visitor.open("/login")
        await _enter(page, ADMIN, "wrong")
        await expect(page.get_by_role("alert")).to_contain_text(refused)
        await expect(page.get_by_label("Name")).to_have_value(ADMIN)


@pytest.mark.always
@pytest.mark.parametrize("wanted", ["/dags/etl/revisions", "/dag-runs?status=2&name=etl"])
async def test_the_right_password_leads_where_one_wanted_to_go(browser: Browser, site: Site, wanted: str) -> None:
    async with visiting(browser, site.address) as visitor:
        page = await visitor.open(wanted)
        await page.wait_for_url(re.compile("/login"))
        await _enter(page, ADMIN, PASSWORD)
        await page.wait_for_url(site.address + wanted)
        await visitor.settle()
        await expect(page.get_by_role("link", name=ADMIN, exact=True)).to_be_visible()
        assert visitor.complaints == []


@pytest.mark.parametrize("elsewhere", ["https://example.org/", "//example.org/", "/\\example.org"])
async def test_a_login_leads_to_no_other_site(browser: Browser, site: Site, elsewhere: str) -> None:
    async with visiting(browser, site.address) as visitor:
        await visitor.page.goto(f"{site.address}/login")
        await visitor.page.evaluate(
            "to => history.replaceState(null, '', `?next=${encodeURIComponent(to)}`)", elsewhere
        )
        page = await visitor.open(f"/login?{await visitor.page.evaluate('location.search.slice(1)')}")
        await _enter(page, ADMIN, PASSWORD)
        await page.wait_for_url(f"{site.address}/")


async def test_who_logs_out_is_asked_to_log_in_again(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address) as visitor:
        page = await visitor.open("/login")
        await _enter(page, "viewer", PASSWORD)
        await page.get_by_role("button", name="Log out").click()
        await page.wait_for_url(re.compile("/login"))
        await expect(page.get_by_role("button", name="Log in")).to_be_visible()
        assert await page.evaluate("localStorage.length") == 0
        await page.goto(f"{site.address}/dags")
        await page.wait_for_url(re.compile("/login"))


async def test_a_token_that_an_older_version_left_in_the_browser_is_deleted(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address) as visitor:
        page = await visitor.open("/login")
        await page.evaluate("localStorage.setItem('dagbook.token', 'of before')")
        page = await visitor.open("/login")
        await expect(page.get_by_label("Password")).to_be_visible()
        assert await page.evaluate("localStorage.getItem('dagbook.token')") is None


async def test_a_session_that_is_over_leads_to_the_login(browser: Browser, site: Site) -> None:
    name = site.cookies["viewer"].partition("=")[0]
    async with visiting(browser, site.address, cookie=f"{name}=void") as visitor:
        page = await visitor.open("/queues")
        await page.wait_for_url(re.compile(r"/login\?next=%2Fqueues"))
        await expect(page.get_by_label("Password")).to_be_visible()


async def test_a_site_below_a_path_stays_there(browser: Browser, below: Site) -> None:
    assert below.address.endswith(PREFIX)
    async with visiting(browser, below.address) as visitor:
        page = await visitor.open("/dags/inner")
        await _enter(page, ADMIN, PASSWORD)
        await page.wait_for_url(f"{below.address}/dags/inner")
        await page.get_by_role("region", name="Latest run").get_by_role("link").first.click()
        await page.wait_for_url(re.compile(re.escape(f"{below.address}/dag-runs/inner/")))
        await expect(page.get_by_text("hello from below")).to_be_visible()
        for name in ("Dashboard", "Runs", "DAGs", "Queues", "System", "Users"):
            await page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()
            await visitor.settle()
            await expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
        assert visitor.complaints == []
        assert [sent.path for sent in visitor.sent if not sent.path.startswith(f"{PREFIX}/")] == []


async def test_without_users_nobody_is_asked_to_log_in(browser: Browser, open_to_all: Site) -> None:
    async with visiting(browser, open_to_all.address) as visitor:
        page = await visitor.open("/dags/free")
        await page.get_by_role("button", name="Start", exact=True).click()
        await page.get_by_role("dialog").get_by_role("button", name="Start", exact=True).click()
        await expect(page.get_by_role("region", name="Log lines").get_by_text("for everybody")).to_be_visible()
        for path in ("/", "/system", "/users", "/audit"):
            await visitor.open(path)
        assert visitor.complaints == []
        await expect(page.get_by_role("button", name="Log out")).to_have_count(0)

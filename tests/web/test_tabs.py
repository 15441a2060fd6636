"""Many pages of one browser: they share one event stream, at every kind of address."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright, expect

from tests.process.conftest import end
from tests.process.program import Program
from tests.waiting import wait_until
from tests.web.browser import QUIET, SETTLED, find_chromium, visiting
from tests.web.site import PASSWORD, SETTINGS, Site

NAME = "dags.test"
TABS = 8
HIDDEN_MILLISECONDS = 31_000
_HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
_FOLLOWED = (
    "steps:\n  - {name: count, command: \"sh -c 'echo begun; while [ ! -e %s ]; do sleep 0.1; done; echo more'\"}\n"
)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with a second name, which gives each user one stream."""
    settings = SETTINGS | {"allowed_hosts": NAME, "event_streams_per_caller": "1"}
    site = Site(Program(tmp_path_factory.mktemp("strict") / "home", settings=settings).start())
    try:
        site.add_people()
        site.save("switched", "schedule: '0 0 1 1 *'\nsteps:\n  - {name: one, command: 'true'}\n")
        yield site
    finally:
        site.client.close()
        end(site.program)


@pytest.fixture(scope="module")
async def naming() -> AsyncIterator[Browser]:
    """A browser to which the second name is that of this machine."""
    async with async_playwright() as playwright:
        rule = f"--host-resolver-rules=MAP {NAME} 127.0.0.1"
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=[*QUIET, rule])
        yield browser
        await browser.close()


@pytest.fixture
async def context(naming: Browser) -> AsyncIterator[BrowserContext]:
    opened = await naming.new_context()
    yield opened
    await opened.close()


async def open_tab(context: BrowserContext, address: str, *, clock: bool = False) -> Page:
    page = await context.new_page()
    if clock:
        await page.clock.install()
    await page.goto(address)
    await page.wait_for_function(SETTLED)
    return page


async def log_in(context: BrowserContext, origin: str, name: str, path: str = "/", *, clock: bool = False) -> Page:
    page = await context.new_page()
    if clock:
        await page.clock.install()
    await page.goto(f"{origin}/login?next={path}")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("button", name="Log out")).to_be_visible()
    return page


async def expect_live(*pages: Page) -> None:
    for page in pages:
        await expect(page.get_by_role("img", name="Live: changes appear at once")).to_be_visible()


async def has_room(site: Site, name: str) -> bool:
    """Whether a user has no stream, so that there is room for one."""
    bearer = {"Authorization": f"Bearer {site.tokens[name]}"}
    async with (
        httpx.AsyncClient() as client,
        client.stream("GET", f"{site.address}/api/v2/events", headers=bearer) as answer,
    ):
        return answer.status_code == httpx.codes.OK


async def hide(page: Page) -> None:
    await page.evaluate(_HIDE, True)
    await page.clock.fast_forward(HIDDEN_MILLISECONDS)


async def show(page: Page) -> None:
    await page.evaluate(_HIDE, False)


@pytest.mark.parametrize("host", ["127.0.0.1", NAME])
async def test_eight_pages_share_one_stream(strict: Site, context: BrowserContext, tmp_path: Path, host: str) -> None:
    origin = strict.address.replace("127.0.0.1", host)
    page = await log_in(context, origin, "admin")
    assert await page.evaluate("[isSecureContext, 'locks' in navigator]") == [host != NAME] * 2
    go = tmp_path / "go"
    runs = []
    for name in (f"first-{host[0]}", f"second-{host[0]}"):
        strict.save(name, _FOLLOWED % go)
        runs.append(f"/dag-runs/{name}/{strict.start(name)}")
    paths = ["/queues", "/workers", "/approvals", "/schedules", "/dags/switched", *runs]
    tabs = [page, *[await open_tab(context, origin + path) for path in paths]]
    assert len(tabs) == TABS
    await expect_live(*tabs)
    assert not await has_room(strict, "admin")  # all are served by the one stream that there may be
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="DAGs").click()
    await expect(page.get_by_role("heading", level=1, name="DAGs")).to_be_visible()
    strict.send("POST", "/dags/switched/suspend", {"suspend": host != NAME})
    name = "Resume schedule" if host != NAME else "Suspend schedule"
    await expect(tabs[5].get_by_role("button", name=name)).to_be_visible()
    go.touch()
    for tab in tabs[6:]:
        await expect(tab.get_by_role("region", name="Log lines").get_by_text("more", exact=True)).to_be_visible()
        await expect(tab.get_by_role("main").locator("header").get_by_role("status")).to_have_text("succeeded")


@pytest.mark.parametrize("shared", [True, False])
async def test_a_hidden_page_lets_go_and_comes_back_up_to_date(
    strict: Site, context: BrowserContext, *, shared: bool
) -> None:
    if not shared:
        await context.add_init_script("delete window.SharedWorker")
    page = await log_in(context, strict.address, "viewer", "/dags", clock=True)
    await expect_live(page)
    assert not await has_room(strict, "viewer")
    await hide(page)
    await wait_until(lambda: has_room(strict, "viewer"))
    name = f"late-{str(shared).lower()}"
    strict.save(name, "steps: []\n")
    await show(page)
    await expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
    await expect_live(page)


async def test_what_changes_between_the_first_load_and_the_stream_is_shown(strict: Site, browser: Browser) -> None:
    cookie = strict.cookies["admin"]
    async with visiting(browser, strict.address, cookie=cookie) as visitor:
        page, released = visitor.page, asyncio.Event()

        async def hold(route: Route) -> None:
            await released.wait()
            await route.continue_()

        await page.add_init_script("delete window.SharedWorker")  # whose requests the browser does not hold
        await page.route(re.compile("/api/v2/events"), hold)
        await visitor.open("/dags")
        strict.save("between", "steps: []\n")
        released.set()
        await expect(page.get_by_role("link", name="between", exact=True)).to_be_visible()


async def test_a_page_that_comes_back_to_a_stream_that_went_on_loads_its_data_again(
    strict: Site, context: BrowserContext
) -> None:
    page = await log_in(context, strict.address, "viewer", "/dags", clock=True)
    other = await open_tab(context, f"{strict.address}/dags")
    await expect_live(page, other)
    await hide(page)
    strict.save("meanwhile", "steps: []\n")
    await expect(other.get_by_role("link", name="meanwhile", exact=True)).to_be_visible()
    await expect(page.get_by_role("link", name="meanwhile", exact=True)).to_have_count(0)
    await show(page)
    await expect(page.get_by_role("link", name="meanwhile", exact=True)).to_be_visible()


async def test_the_icon_and_title_of_a_hidden_run_are_up_to_date(
    strict: Site, context: BrowserContext, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    strict.save("background", _FOLLOWED % go)
    page = await log_in(
        context, strict.address, "operator", f"/dag-runs/background/{strict.start('background')}", clock=True
    )
    await expect_live(page)
    await hide(page)
    go.touch()
    await expect(page).to_have_title(re.compile("^background · succeeded · "))


async def test_a_server_that_has_no_stream_left_is_not_called_silent(
    strict: Site, naming: Browser, context: BrowserContext
) -> None:
    page = await log_in(context, strict.address, "manager")
    await expect_live(page)
    async with visiting(naming, strict.address, cookie=strict.cookies["manager"]) as second:
        await second.page.clock.install()
        await second.open("/queues")
        await expect(second.page.get_by_role("img", name="Not live")).to_be_visible()
        await second.page.clock.fast_forward(60_000)
        await expect(second.page.get_by_text("The server does not answer.")).to_have_count(0)

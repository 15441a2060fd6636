"""The frame that a document has before any script runs, who is in it, and the place of a page in the history."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Route, expect

from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import Site

# Where the parts of bar and navigation are; the navigation of a phone is scrolled, so not where they are seen. The
# clock comes with the scripts, because only the browser knows its zone, and moves nothing.
_PLACES = """() => [...document.querySelectorAll(".bar > :not(.clock), #app > nav > *")].map((one) =>
    [one.tagName, one.innerText, one.offsetLeft, one.offsetTop, one.offsetWidth, one.offsetHeight])"""
_HAS_STYLES = "() => [...document.querySelectorAll('link[rel=stylesheet]')].every(({ sheet }) => sheet)"
MOST_SHIFT = 0.01  # a tenth of what counts as good
_SHIFTS = """new PerformanceObserver((list) => {
    // What a page has removed meanwhile is no node, and nothing that is of the frame is removed.
    const isOfFrame = ({ node }) => node && !document.querySelector("main")?.contains(node);
    for (const { value, sources } of list.getEntries())
        (window.shifts ??= []).push([value, sources.filter(isOfFrame).map(({ node }) => node.outerHTML ?? node.data)]);
}).observe({ type: "layout-shift", buffered: true })"""


async def open_without_scripts(visitor: Visitor, path: str) -> asyncio.Event:
    """Open a page whose scripts are held back until the event that is returned."""
    released = asyncio.Event()

    async def hold(route: Route) -> None:
        await released.wait()
        await route.continue_()

    await visitor.page.route("**/main.js", hold)
    await visitor.page.goto(visitor.address + path, wait_until="commit")
    await visitor.page.wait_for_selector("#app[data-frame] main", state="attached")
    await visitor.page.wait_for_function(_HAS_STYLES)
    return released


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("role", "path"), [("admin", "/users"), ("viewer", "/dags/etl")])
async def test_the_scripts_draw_the_frame_where_it_is(
    browser: Browser, site: Site, role: str, path: str, width: int
) -> None:
    async with visiting(browser, site.address, cookie=site.cookies[role], width=width) as visitor:
        released = await open_without_scripts(visitor, path)
        page = visitor.page
        link = page.locator("#app[data-frame] nav [aria-current=page]")
        await expect(link).to_have_text("Users" if role == "admin" else "DAGs")
        await expect(page.locator("#app[data-frame] .person")).to_contain_text(role)
        before = await page.evaluate(_PLACES)
        assert len(before) > 12
        released.set()
        await visitor.settle()
        assert await page.evaluate(_PLACES) == before
        assert visitor.complaints == []


@pytest.mark.parametrize("path", ["/", "/dags", "/dag-runs", "/dag-runs/etl/latest", "/queues", "/audit"])
async def test_the_frame_does_not_move_while_a_page_loads_and_the_page_hardly(
    browser: Browser, site: Site, path: str
) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["admin"]) as visitor:
        await visitor.page.add_init_script(_SHIFTS)
        released = await open_without_scripts(visitor, path)
        await visitor.page.evaluate("() => new Promise(requestAnimationFrame)")
        released.set()
        await visitor.settle()
        await expect(visitor.page.get_by_role("img", name="Live")).to_be_visible()
        shifts = await visitor.page.evaluate("window.shifts ?? []")
        assert [moved for _, of_frame in shifts for moved in of_frame] == []
        assert sum(value for value, _ in shifts) < MOST_SHIFT


async def test_the_document_has_the_user_whom_the_scripts_need_not_ask_for(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["viewer"]) as visitor:
        page = await visitor.open("/queues")
        await expect(page.get_by_role("link", name="viewer", exact=True)).to_be_visible()
        assert [sent.path for sent in visitor.asked() if "/auth/" in sent.path] == []


async def test_a_link_of_another_site_finds_the_user(browser: Browser, site: Site) -> None:
    """The browser sends no cookie with the request for the document then, but with those of its scripts."""
    async with visiting(browser, site.address, cookie=site.cookies["viewer"]) as visitor:
        page = visitor.page
        await page.goto(f"{site.address.replace('127.0.0.1', 'localhost')}/login")
        async with page.expect_response(f"{site.address}/queues") as answer:
            await page.evaluate("to => { location.href = to; }", f"{site.address}/queues")
        headers = await (await answer.value).request.all_headers()
        assert "cookie" not in headers
        await expect(page.get_by_role("heading", level=1, name="Queues")).to_be_visible()
        await expect(page.get_by_role("link", name="viewer", exact=True)).to_be_visible()


async def test_the_frame_has_the_chosen_theme_at_once(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["viewer"], theme="light") as visitor:
        await visitor.page.add_init_script("localStorage.setItem('dagbook.theme', 'dark')")
        released = await open_without_scripts(visitor, "/queues")
        assert await visitor.page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
        released.set()
        await visitor.settle()


async def test_who_has_no_session_sees_no_frame_before_the_login(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address) as visitor:
        released = await open_without_scripts(visitor, "/queues")
        await expect(visitor.page.locator("#app")).to_be_hidden()
        released.set()
        await expect(visitor.page.get_by_label("Password")).to_be_visible()
        assert visitor.complaints == []


async def _scroll_to(link: Locator) -> int:
    """Scroll a link into view, as a click on it does; returns how far the page is scrolled then."""
    await link.evaluate("one => one.scrollIntoView({ block: 'center' })")
    top: Any = await link.page.evaluate("Math.round(window.scrollY)")
    assert top > 100, "the link is seen without scrolling"
    return int(top)


async def test_the_way_back_and_a_reload_lead_to_where_a_list_was_left(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["admin"]) as visitor:
        page = visitor.page
        await page.set_viewport_size({"width": 1440, "height": 300})
        await visitor.open("/dags")
        link = page.get_by_role("link", name="sleeper", exact=True)
        top = await _scroll_to(link)
        await link.click()
        await expect(page.get_by_role("heading", level=1, name="sleeper")).to_be_visible()
        assert await page.evaluate("window.scrollY") == 0
        await page.go_back()
        await page.wait_for_function("top => Math.abs(window.scrollY - top) < 2", arg=top)
        await page.reload()
        await page.wait_for_function("top => Math.abs(window.scrollY - top) < 2", arg=top)
        await page.go_forward()
        await expect(page.get_by_role("heading", level=1, name="sleeper")).to_be_visible()
        await page.wait_for_function("() => window.scrollY === 0")


async def test_the_latest_run_is_asked_for_once_and_followed_in_one_stream(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["viewer"]) as visitor:
        await visitor.page.add_init_script("delete window.SharedWorker")  # in which the browser names no requests
        page = await visitor.open("/dag-runs/good/latest")
        await expect(page.get_by_text("3,000 lines")).to_be_visible()
        run_id = page.url.rpartition("/")[2].partition("?")[0]
        asked = [sent.path for sent in visitor.asked() if sent.path.endswith((f"/good/{run_id}", "/good/latest"))]
        assert asked == ["/api/v2/dag-runs/good/latest"]
        await expect(page.get_by_role("img", name="Live")).to_be_visible()
        streams = [sent.path for sent in visitor.sent if "/api/v2/events" in sent.path]
        assert len(streams) == 1
        assert run_id in streams[0]

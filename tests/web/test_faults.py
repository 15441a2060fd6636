"""What fails under a page: its server goes away, a script cannot be loaded, the page itself has a fault."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.process.conftest import end
from tests.process.program import Program
from tests.web.browser import Visitor, visiting
from tests.web.site import Site

ONE = "steps:\n  - {name: one, command: 'true'}\n"


@pytest.fixture
async def visitor(browser: Browser, site: Site) -> AsyncIterator[Visitor]:
    async with visiting(browser, site.address, cookie=site.cookies["admin"]) as opened:
        yield opened


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """A server that the test stops and starts again at its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    site = Site(Program(tmp_path / "home", settings={"port": port}).start())
    site.save("patient", ONE)
    try:
        yield site
    finally:
        site.client.close()
        end(site.program)


async def click_place(page: Page, name: str) -> None:
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()


async def leave_while_away(visitor: Visitor, own: Site) -> Page:
    """Open the list of DAGs, filter it, stop the server, and try to go to the runs."""
    page = await visitor.open("/dags?name=pat")
    await expect(page.get_by_role("img", name="Live")).to_be_visible()
    own.program.terminate()
    await click_place(page, "Runs")
    alert = page.get_by_role("alert").filter(has_text="/dag-runs could not be loaded.")
    await expect(alert).to_be_visible()
    await expect(page.get_by_role("heading", level=1, name="DAGs")).to_be_visible()
    await expect(page.get_by_role("link", name="patient", exact=True)).to_be_visible()
    await expect(page).to_have_url(re.compile(r"/dags\?name=pat$"))
    return page


async def test_a_page_stays_while_the_next_cannot_be_loaded_which_opens_when_the_server_is_back(
    browser: Browser, own: Site
) -> None:
    async with visiting(browser, own.address) as visitor:
        page = await leave_while_away(visitor, own)
        await page.get_by_role("button", name="Try again").click()  # it is still away
        await expect(page.get_by_text("could not be loaded")).to_be_visible()
        own.program.start()
        await expect(page.get_by_role("heading", level=1, name="Runs")).to_be_visible()
        await expect(page.get_by_text("could not be loaded")).to_have_count(0)
        await expect(page).to_have_url(re.compile("/dag-runs$"))


async def test_who_stays_on_the_page_is_left_there(browser: Browser, own: Site) -> None:
    async with visiting(browser, own.address) as visitor:
        page = await leave_while_away(visitor, own)
        await page.get_by_role("button", name="Stay here").click()
        own.program.start()
        await expect(page.get_by_role("img", name="Live")).to_be_visible()
        await expect(page.get_by_role("heading", level=1, name="DAGs")).to_be_visible()
        await click_place(page, "DAGs")
        await expect(page).to_have_url(re.compile("/dags$"))


@pytest.mark.parametrize("script", ["pages/queues.js", "parts/reorder.js"])
async def test_a_page_whose_script_fails_once_opens_with_try_again(visitor: Visitor, script: str) -> None:
    page = await visitor.open("/dags")
    await page.route(f"**/{script}", lambda route: route.abort(), times=1)
    await click_place(page, "Queues")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("heading", level=1, name="Queues")).to_be_visible()


async def test_the_first_page_whose_script_fails_says_so_in_the_frame(visitor: Visitor) -> None:
    await visitor.page.route("**/pages/queues.js", lambda route: route.abort())
    await visitor.page.goto(f"{visitor.address}/queues")
    await expect(visitor.page.get_by_role("alert")).to_contain_text("/queues could not be loaded.")
    await expect(visitor.page.get_by_role("img", name="Live")).to_be_visible()
    await visitor.page.unroute("**/pages/queues.js")
    await visitor.page.get_by_role("button", name="Try again").click()
    await expect(visitor.page.get_by_role("heading", level=1, name="Queues")).to_be_visible()


async def test_the_last_of_several_clicks_counts(visitor: Visitor) -> None:
    """The first page comes after the second was asked for."""
    page = await visitor.open("/dags")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    await page.route("**/pages/queues.js", hold)
    await click_place(page, "Queues")
    await expect(page.get_by_role("main")).to_have_attribute("aria-busy", "true")
    await click_place(page, "Workers")
    await expect(page.get_by_role("heading", level=1, name="Workers")).to_be_visible()
    async with page.expect_response("**/pages/queues.js") as answer:
        await held[0].continue_()
    await (await answer.value).finished()
    await click_place(page, "Queues")
    await expect(page.get_by_role("heading", level=1, name="Queues")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("heading", level=1, name="Workers")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("heading", level=1, name="DAGs")).to_be_visible()


async def test_a_fault_in_a_page_shows_in_its_place_and_leaves_the_frame(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.route("**/api/v2/dags?*", lambda route: route.fulfill(json={"dags": [{}], "errors": []}))
    await page.goto(f"{visitor.address}/dags")
    await expect(page.get_by_role("heading", level=1)).to_have_text("This page has a fault")
    await expect(page.get_by_role("alert")).to_have_count(1)
    await expect(page).to_have_title(re.compile("^Fault "))
    assert await visitor.find_barriers() == []
    await page.get_by_role("button", name="Copy the details").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert re.search(r"^Dagbook [^ ]+, /dags\n.*\nTypeError: .*\n", copied), copied
    assert "/pages/dags.js" in copied
    await click_place(page, "Queues")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Queues")
    await page.unroute("**/api/v2/dags?*")
    await page.go_back()
    await expect(page.get_by_role("link", name="etl", exact=True)).to_be_visible()  # it is another attempt

"""The box of all pages: what it finds while typing, what it offers to do, and the search behind it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import Site

FAILING = "params: CITY=Paris\nsteps:\n  - {name: one, command: \"sh -c 'echo stuck in the snow; exit 3'\"}\n"


@pytest.fixture(scope="module")
def boxed(site: Site) -> tuple[Site, str]:
    site.save("boxed", "schedule: '0 0 1 1 *'\n" + FAILING)
    return site, site.run("boxed", params="CITY=Reykjavik")


@pytest.fixture
async def visitor(browser: Browser, boxed: tuple[Site, str]) -> AsyncIterator[Visitor]:
    async with visiting(browser, boxed[0].address, cookie=boxed[0].cookies["admin"]) as opened:
        yield opened
        assert opened.complaints == []


def _options(page: Page) -> Locator:
    return page.get_by_role("dialog").get_by_role("option")


async def _ask(page: Page, text: str) -> Locator:
    """Open the box by its keys, and type."""
    await page.keyboard.press("Control+k")
    await expect(page.get_by_role("combobox", name="Search or go to")).to_be_focused()
    await page.keyboard.type(text)
    return _options(page)


@pytest.mark.always
async def test_a_name_typed_and_entered_at_once_opens_the_dag(visitor: Visitor) -> None:
    page = await visitor.open("/queues")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("boxed")  # without a pause, as those do who know the key
    await page.keyboard.press("Enter")  # before the server has answered
    await page.wait_for_url("**/dags/boxed")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.get_by_role("main")).to_be_focused()


async def test_pages_runs_and_parameters_are_found_while_typing(visitor: Visitor, boxed: tuple[Site, str]) -> None:
    page = await visitor.open("/workers")
    await _ask(page, "go to que")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/queues")
    options = await _ask(page, boxed[1][:13])
    await expect(options.first).to_contain_text("boxed")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/dag-runs/boxed/{boxed[1]}")
    await visitor.settle()
    options = await _ask(page, "Reykja")
    await expect(options.first).to_contain_text("CITY=Reykjavik")
    await expect(options.last).to_contain_text("Search errors and output for")
    await page.keyboard.press("ArrowUp")
    await expect(options.last).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/dag-runs/boxed/{boxed[1]}")


async def test_a_user_is_found_by_admins_only(browser: Browser, boxed: tuple[Site, str]) -> None:
    for role, titles in {"admin": ["operator"], "viewer": []}.items():
        async with visiting(browser, boxed[0].address, cookie=boxed[0].cookies[role]) as visitor:
            page = await visitor.open("/queues")
            options = await _ask(page, "operato")
            await expect(options).to_have_count(len(titles) + 1)
            if titles:
                await page.keyboard.press("Enter")
                await page.wait_for_url("**/users?q=operator")


async def test_a_dag_is_started_from_its_own_page_too(visitor: Visitor) -> None:
    page = await visitor.open("/dags/boxed")
    await _ask(page, "start boxed")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="Start boxed")).to_be_visible()


async def test_a_schedule_is_suspended_and_resumed(visitor: Visitor, boxed: tuple[Site, str]) -> None:
    page = await visitor.open("/dags/boxed")
    for verb, done in (("suspend", True), ("resume", False)):
        options = await _ask(page, f"{verb} boxe")
        await expect(options.first).to_have_text(f"{verb.title()} boxed")
        await page.keyboard.press("Enter")
        await expect(
            page.get_by_text(f"The schedule of boxed is {'suspended' if done else 'resumed'}.")
        ).to_be_visible()
        assert boxed[0].send("GET", "/dags/boxed")["suspended"] is done


async def test_what_somebody_may_never_do_is_not_offered(browser: Browser, boxed: tuple[Site, str]) -> None:
    async with visiting(browser, boxed[0].address, cookie=boxed[0].cookies["viewer"]) as visitor:
        page = await visitor.open("/queues")
        options = await _ask(page, "boxed")
        await expect(options.filter(has_text="Runs of boxed")).to_be_visible()
        await expect(options.filter(has_text=re.compile("^(Start|Suspend)"))).to_have_count(0)
        await page.keyboard.press("Escape")
        options = await _ask(page, "start boxed")
        await expect(options).to_have_text(
            ["Search errors and output for \N{LEFT DOUBLE QUOTATION MARK}start boxed\N{RIGHT DOUBLE QUOTATION MARK}"]
        )
        await page.keyboard.press("Escape")
        options = await _ask(page, "Audi")
        await expect(options).to_have_count(1)


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_box_keeps_its_size_and_gives_the_focus_back(
    browser: Browser, boxed: tuple[Site, str], width: int
) -> None:
    async with visiting(browser, boxed[0].address, cookie=boxed[0].cookies["admin"], width=width) as visitor:
        page = await visitor.open("/queues")
        button = page.get_by_role("button", name="Search or go to")
        await button.click()
        dialog = page.get_by_role("dialog", name="Search or go to")
        before = await dialog.bounding_box()
        await page.keyboard.type("boxed")
        await expect(_options(page).filter(has_text="Start boxed")).to_be_visible()
        assert await dialog.bounding_box() == before
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        for theme in ("light", "dark"):
            await page.emulate_media(color_scheme=theme)
            assert await visitor.find_barriers() == []
        await page.keyboard.press("Escape")
        await expect(button).to_be_focused()


async def test_the_box_does_not_open_over_a_dialog(visitor: Visitor) -> None:
    page = await visitor.open("/dags/boxed?start=1")
    await expect(page.get_by_role("dialog", name="Start boxed")).to_be_visible()
    await page.keyboard.press("Control+k")
    await expect(page.get_by_role("dialog")).to_have_count(1)


async def test_lines_of_output_are_searched_and_lead_to_their_place(visitor: Visitor, boxed: tuple[Site, str]) -> None:
    page = await visitor.open("/")
    options = await _ask(page, "in the snow")
    await expect(options).to_have_count(1)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/search?q=in+the+snow")
    found = page.get_by_role("region", name="Errors and output")
    await expect(found.get_by_role("status")).to_contain_text(re.compile(r"Searched [0-9]+ runs? back to .*: [1-9]"))
    row = found.get_by_role("row").filter(has_text="stdout 1")
    await expect(row.locator("mark")).to_have_text("in the snow")
    await row.get_by_role("link").click()
    await page.wait_for_url(f"**/dag-runs/boxed/{boxed[1]}?step=one&stream=stdout#L1")
    await expect(page.get_by_role("region", name="Log lines").get_by_text("stuck in the snow")).to_be_visible()

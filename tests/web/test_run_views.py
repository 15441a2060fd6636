"""Views of the list of runs that people keep, and the columns they add."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import Site


@pytest.fixture(scope="module")
def viewed(site: Site) -> Site:
    site.save("viewed", "params: ENV=dev WHO=nobody\nsteps:\n  - {name: one, command: 'true'}\n")
    site.run("viewed", params='ENV=prod WHO="Ada Lovelace"')
    return site


@pytest.fixture
async def visitor(browser: Browser, viewed: Site) -> AsyncIterator[Visitor]:
    async with visiting(browser, viewed.address, cookie=viewed.cookies["viewer"]) as opened:
        yield opened
        assert opened.complaints == []


async def _save(page: Page, name: str) -> None:
    await page.get_by_role("button", name="Save this view").click()
    await page.get_by_role("dialog").get_by_label("Name").fill(name)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_view_is_kept_found_again_and_forgotten(visitor: Visitor) -> None:
    page = await visitor.open("/dag-runs?name=viewed&status=4&columns=revision")
    await _save(page, "good ones")
    await visitor.open("/dag-runs")
    views = page.get_by_role("list", name="Saved views")
    await views.get_by_role("link", name="good ones").click()
    await expect(page).to_have_url(re.compile(r"/dag-runs\?name=viewed&status=4&columns=revision$"))
    await expect(page.get_by_role("columnheader", name="Revision")).to_be_visible()
    await expect(page.get_by_role("combobox", name="Status")).to_have_value("succeeded")
    await expect(views.get_by_role("link", name="good ones")).to_have_attribute("aria-current", "true")
    await page.get_by_role("button", name="Forget view good ones").click()
    await expect(views).to_have_count(0)
    await page.reload()
    await visitor.settle()
    await expect(views).to_have_count(0)


async def test_a_view_that_is_saved_again_under_its_name_is_replaced(visitor: Visitor) -> None:
    page = await visitor.open("/dag-runs?name=viewed")
    await _save(page, "mine")
    await visitor.open("/dag-runs?name=etl")
    await _save(page, "mine")
    link = page.get_by_role("list", name="Saved views").get_by_role("link")
    await expect(link).to_have_count(1)
    await expect(link).to_have_attribute("href", "/dag-runs?name=etl")


async def test_columns_are_added_and_are_in_the_address(visitor: Visitor) -> None:
    page = await visitor.open("/dag-runs?name=viewed")
    await page.get_by_text("More columns").click()
    await page.get_by_role("checkbox", name="Revision").check()
    await page.get_by_label("Parameter", exact=True).last.fill("WHO")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("columnheader", name="WHO")).to_be_visible()
    await expect(page.get_by_role("cell", name="Ada Lovelace", exact=True)).to_be_visible()
    await expect(page).to_have_url(re.compile(r"columns=revision%2Cparam%3AWHO"))
    await page.get_by_role("checkbox", name="parameter WHO").click()  # and it is gone
    await expect(page.get_by_role("columnheader", name="WHO")).to_have_count(0)


async def test_what_the_browser_kept_of_another_program_does_no_harm(visitor: Visitor) -> None:
    await visitor.page.add_init_script("localStorage.setItem('dagbook.views.runs', '{\"a\": 1}')")
    page = await visitor.open("/dag-runs?columns=nonsense,param:,constructor")
    await expect(page.get_by_role("table")).to_be_visible()
    await expect(page.get_by_role("list", name="Saved views")).to_have_count(0)


@pytest.mark.parametrize("width", WIDTHS)
async def test_they_can_be_used_by_everybody(browser: Browser, viewed: Site, width: int) -> None:
    async with visiting(browser, viewed.address, cookie=viewed.cookies["viewer"], width=width) as visitor:
        page = await visitor.open("/dag-runs?name=viewed&columns=queued,finished,revision,param:ENV")
        await _save(page, "with columns")
        await page.locator("details.columns summary").click()
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert await visitor.find_barriers() == []
        await page.emulate_media(color_scheme="dark")
        assert await visitor.find_barriers() == []

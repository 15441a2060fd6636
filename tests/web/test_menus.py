"""Menus of actions: opened and used with the mouse and with keys alone, on a desk and on a phone."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.web.browser import WIDTHS, visiting
from tests.web.site import Site

NAME = re.compile("^Actions of ")


async def _items(page: Page) -> list[str]:
    return await page.get_by_role("menuitem").all_inner_texts()


async def test_a_menu_is_used_with_keys_alone(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["admin"]) as visitor:
        page = await visitor.open("/users")
        button = page.get_by_role("button", name="Actions of viewer")
        await button.focus()
        assert await _items(page) == []
        await page.keyboard.press("ArrowDown")
        items = page.get_by_role("menuitem")
        await expect(items.first).to_be_focused()
        await expect(button).to_have_attribute("aria-expanded", "true")
        await page.keyboard.press("End")
        await expect(items.last).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(button).to_be_focused()
        await expect(items).to_have_count(0)
        await page.keyboard.press("Enter")
        await expect(items.first).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog", name="Edit viewer")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(button).to_be_focused()
        assert visitor.complaints == []


async def test_a_menu_that_is_shut_and_opened_at_once_takes_the_focus(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["admin"]) as visitor:
        page = await visitor.open("/users")
        button = page.get_by_role("button", name="Actions of viewer")
        await button.click()
        first = page.get_by_role("menuitem").first
        await expect(first).to_be_focused()
        await button.evaluate("button => { button.popoverTargetElement.hidePopover(); button.click() }")
        await expect(first).to_be_focused()
        assert visitor.complaints == []


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_menu_fits_the_window_and_closes(browser: Browser, site: Site, width: int) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["admin"], width=width) as visitor:
        page = await visitor.open("/dags")
        for button in (page.get_by_role("button", name=NAME).first, page.get_by_role("button", name=NAME).last):
            await button.click()
            menu = page.get_by_role("menu")
            await expect(menu).to_be_in_viewport(ratio=1)
            assert await visitor.find_barriers() == []
            await button.click()
            await expect(menu).to_have_count(0)
        await page.get_by_role("button", name=NAME).first.click()
        await page.get_by_role("heading", level=1).click()
        await expect(page.get_by_role("menu")).to_have_count(0)

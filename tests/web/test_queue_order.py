"""Runs that wait in a queue are put into another order, with the mouse and with the keyboard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import Site

NAMES = ("alpha", "beta", "gamma", "delta")
QUEUE = "ordered"


@pytest.fixture
def waiting(site: Site) -> Iterator[Site]:
    """Four runs that wait, in this order, in a queue that is paused."""
    site.send("POST", f"/queues/{QUEUE}/pause")
    for name in NAMES:
        body = {"name": name, "queue": QUEUE, "spec": "steps: [{name: one, command: 'true'}]\n"}
        site.send("POST", "/dag-runs/enqueue", body)
    yield site
    site.send("POST", f"/queues/{QUEUE}/clear", {"name": QUEUE})
    site.send("POST", f"/queues/{QUEUE}/resume")


@pytest.fixture
async def visitor(browser: Browser, waiting: Site) -> AsyncIterator[Visitor]:
    async with visiting(browser, waiting.address, cookie=waiting.cookies["operator"]) as opened:
        await opened.open("/queues")
        yield opened
        assert opened.complaints == []


def rows(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("region", name=f"Queue {QUEUE}").locator("tbody tr")


async def see(visitor: Visitor, *names: str) -> None:
    for index, name in enumerate(names):
        await expect(rows(visitor).nth(index)).to_contain_text(name)


async def drag(visitor: Visitor, name: str, onto: str) -> None:
    await rows(visitor).filter(has_text=name).drag_to(rows(visitor).filter(has_text=onto))


async def test_a_run_is_dragged_up_down_and_to_either_end(visitor: Visitor) -> None:
    await see(visitor, *NAMES)
    await drag(visitor, "delta", "beta")
    await see(visitor, "alpha", "delta", "beta", "gamma")
    await drag(visitor, "alpha", "gamma")
    await see(visitor, "delta", "beta", "gamma", "alpha")
    await drag(visitor, "gamma", "delta")
    await see(visitor, "gamma", "delta", "beta", "alpha")


async def test_the_menu_of_a_run_moves_it_and_keeps_the_focus(visitor: Visitor) -> None:
    page, up = visitor.page, visitor.page.get_by_role("menuitem", name="Move up")
    await see(visitor, *NAMES)
    await page.get_by_role("button", name="Actions of delta at position 4").focus()
    await page.keyboard.press("Enter")
    await expect(up).to_be_focused()
    await page.keyboard.press("Enter")
    await see(visitor, "alpha", "beta", "delta", "gamma")
    await expect(page.get_by_role("button", name="Actions of delta at position 3")).to_be_focused()
    await page.get_by_role("button", name="Actions of alpha at position 1").click()
    await expect(up).to_be_disabled()
    await expect(up).to_contain_text("It is the first")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Actions of gamma at position 4").click()
    await page.get_by_role("menuitem", name="Move to the front").click()
    await see(visitor, "gamma", "alpha", "beta", "delta")


async def test_the_reason_is_said_once(visitor: Visitor) -> None:
    queue = visitor.page.get_by_role("region", name=f"Queue {QUEUE}")
    await expect(queue.get_by_text(f"Queue {QUEUE} is paused")).to_have_count(1)


async def test_who_may_only_look_moves_nothing(browser: Browser, waiting: Site) -> None:
    async with visiting(browser, waiting.address, cookie=waiting.cookies["viewer"]) as visitor:
        page = await visitor.open("/queues")
        await expect(rows(visitor)).to_have_count(len(NAMES))
        await expect(rows(visitor).and_(page.locator("[draggable=true]"))).to_have_count(0)
        await expect(rows(visitor).get_by_role("button")).to_have_count(0)


@pytest.mark.parametrize("width", WIDTHS)
async def test_it_can_be_used_by_everybody(browser: Browser, waiting: Site, width: int) -> None:
    async with visiting(browser, waiting.address, cookie=waiting.cookies["operator"], width=width) as visitor:
        page = await visitor.open("/queues")
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert await visitor.find_barriers() == []
        await page.emulate_media(color_scheme="dark")
        assert await visitor.find_barriers() == []

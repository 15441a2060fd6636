"""What surrounds every page: keyboard help, the tab's title and icon, and paper."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from urllib.parse import unquote

import pytest
from playwright.async_api import Browser, Page, expect

from tests.process.waiting import wait_for
from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import Site


@pytest.fixture
async def visitor(browser: Browser, site: Site) -> AsyncIterator[Visitor]:
    async with visiting(browser, site.address, cookie=site.cookies["operator"]) as opened:
        yield opened
        assert opened.complaints == []


@pytest.fixture(scope="module")
def waiting(site: Site) -> Iterator[str]:
    """The path of a run that waits for an approval."""
    site.save("patient", "steps:\n  - {name: gate, type: hitl, config: {prompt: 'Go on?'}}\n")
    run_id = site.start("patient")

    def asks() -> bool:
        return "waiting" in site.send("GET", f"/dag-runs/patient/{run_id}")["dagRunDetails"]["nodes"][0]

    wait_for("the question", asks)
    yield f"/dag-runs/patient/{run_id}"
    site.send("POST", "/dags/patient/stop-all")


async def test_a_question_mark_lists_the_shortcuts_those_of_the_page_first(visitor: Visitor) -> None:
    page = await visitor.open("/dag-runs/etl/latest")
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    await expect(dialog).to_be_visible()
    titles = await dialog.get_by_role("heading", level=3).all_inner_texts()
    assert titles == ["Run this page", "Every page", "Lists", "Compare", "DAG"]
    await expect(dialog.get_by_role("region", name="Run")).to_contain_text("go to the next hit")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)


async def test_a_question_mark_in_a_field_is_a_question_mark(visitor: Visitor) -> None:
    page = await visitor.open("/queues")
    await page.keyboard.press("/")
    await page.keyboard.type("why?/")
    await expect(page.get_by_role("combobox", name="Filter queues")).to_have_value("why?/")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_keys_in_the_editor_of_a_definition_are_text(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["admin"]) as visitor:
        page = await visitor.open("/dags/etl/spec")
        editor = page.get_by_role("textbox", name="Definition of etl")
        await editor.click()
        await page.keyboard.press("Control+Home")
        await page.keyboard.type("#?/")
        await expect(editor).to_contain_text("#?/")
        await expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_shortcuts_have_a_button(browser: Browser, site: Site, width: int) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["viewer"], width=width) as visitor:
        page = await visitor.open("/queues")
        button = page.get_by_role("button", name="Keyboard shortcuts")
        await button.click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        assert await visitor.find_barriers() == []
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await page.get_by_role("button", name="Close").click()
        await expect(button).to_be_focused()


async def _icon(page: Page) -> str:
    return unquote(str(await page.locator('link[rel="icon"]').get_attribute("href")))


async def test_title_and_icon_of_the_tab_tell_the_state_of_a_run(visitor: Visitor, site: Site, waiting: str) -> None:
    running = site.send("GET", "/dag-runs?name=sleeper&status=1")["dagRuns"][0]["dagRunId"]
    paths = {
        "failed": "/dag-runs/etl/latest",
        "succeeded": "/dag-runs/good/latest",
        "running": f"/dag-runs/sleeper/{running}",
        "waiting for approval": waiting,
    }
    signs = set()
    for word, path in paths.items():
        page = await visitor.open(path)
        await expect(page).to_have_title(re.compile(rf" · {word} · .*Dagbook$"))
        signs.add(re.findall(r'<path d="([^"]+)"', await _icon(page))[0])
    assert len(signs) == len(paths)  # the sign tells them apart, not only the colour
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Queues").click()
    await visitor.settle()
    assert "icon.svg" in await _icon(page)


async def test_a_run_on_paper_has_its_log_in_full_width_and_no_navigation(visitor: Visitor) -> None:
    page = await visitor.open("/dag-runs/good/latest")
    await expect(page.get_by_text("3,000 lines")).to_be_visible()
    await page.emulate_media(media="print", color_scheme="dark")
    lines = page.get_by_role("region", name="Log lines")
    await expect(lines.get_by_text("500", exact=True).last).to_be_attached()
    await expect(page.get_by_text("Showing 1–500")).to_be_visible()  # noqa: RUF001 - a range
    for hidden in (page.get_by_role("navigation"), page.get_by_role("searchbox"), page.get_by_role("tablist")):
        await expect(hidden.first).to_be_hidden()
    box, main = await lines.bounding_box(), await page.get_by_role("main").bounding_box()
    assert box is not None
    assert main is not None
    assert box["width"] >= main["width"] - 10
    assert box["height"] > 500 * 10  # every printed line has its place
    style = "element => [getComputedStyle(element).color, getComputedStyle(element).backgroundColor]"
    assert await lines.evaluate(style) == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    await page.emulate_media(media="screen")
    await expect(lines.get_by_text("500", exact=True)).to_have_count(0)

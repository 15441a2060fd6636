"""The lists: one filter as text, which is the link, and keys that move in them and open and repeat a row."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import Site

LISTS = ("/dags", "/dag-runs", "/queues", "/schedules", "/schedules?tab=past", "/users", "/audit")


@pytest.fixture
async def visitor(browser: Browser, site: Site) -> AsyncIterator[Visitor]:
    async with visiting(browser, site.address, cookie=site.cookies["admin"]) as opened:
        yield opened
        assert opened.complaints == []


def _box(page: Page) -> Locator:
    return page.get_by_role("main").locator("input[role=combobox]")


def _offers(page: Page) -> Locator:
    return page.locator(".combobox").get_by_role("option")


async def test_a_filter_is_written_with_suggestions_by_keys_alone_and_is_the_link(visitor: Visitor) -> None:
    page = await visitor.open("/dag-runs")
    await page.keyboard.press("/")
    await expect(_box(page)).to_be_focused()
    await page.keyboard.type("stat")
    await expect(_offers(page)).to_have_text([re.compile("^status:")])
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(_box(page)).to_have_value("status:")
    await page.keyboard.type("fai")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(_offers(page)).to_have_count(0)
    await page.keyboard.type("etl")
    await page.wait_for_url(re.compile(r"/dag-runs\?q=status%3Afailed\+etl$"))
    rows = page.get_by_role("row").filter(has=page.get_by_role("cell"))
    await expect(rows.first).to_contain_text("etl")
    assert [await row.inner_text() for row in await rows.all() if "failed" not in await row.inner_text()] == []
    link = page.url
    await page.get_by_label("Status").select_option(label="any status")
    await page.wait_for_url(re.compile(r"/dag-runs\?q=etl$"))
    await page.go_back()
    await expect(_box(page)).to_have_value("status:failed etl")
    await page.goto(link)
    await expect(_box(page)).to_have_value("status:failed etl")
    await expect(page.get_by_label("Status")).to_have_value("failed")


async def test_what_is_typed_right_after_a_completion_is_behind_it(visitor: Visitor) -> None:
    page = await visitor.open("/dag-runs")
    await page.keyboard.press("/")
    await page.keyboard.type("stat")
    await expect(_offers(page)).to_have_count(1)
    await page.keyboard.press("ArrowDown")
    # As on a page that is busy: the next letter comes before any timer.
    await _box(page).evaluate(
        """async (box) => {
            box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
            while (box.value !== "status:") await null;
            document.execCommand("insertText", false, "f");
        }"""
    )
    await expect(_offers(page)).to_have_text([re.compile("^status:failed")])
    await page.keyboard.type("ai")
    await expect(_box(page)).to_have_value("status:fai")


async def test_what_is_wrong_with_a_filter_is_said_once_it_is_written(visitor: Visitor) -> None:
    page = await visitor.open("/dag-runs")
    note = page.locator(".filter-note")
    await _box(page).fill("statu:failed after:soon")
    await page.wait_for_timeout(600)  # longer than the pause after which a text applies
    await expect(note).not_to_contain_text("statu:")
    await page.keyboard.press("Enter")
    await expect(note).to_contain_text("statu: is no key of this list, which has status, tag, ")
    await expect(note).to_contain_text('after: "soon" is no time; write today')
    await page.get_by_role("button", name="Clear the filter").click()
    await expect(note).to_contain_text("Words are part of a name; keys: status, tag, ")
    await expect(page).to_have_url(re.compile(r"/dag-runs$"))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/dag-runs?status=2&name=etl&error=disk+is", 'etl status:failed error:"disk is"'),
        ("/dag-runs?status=failed&within=86400", "status:failed after:24h"),
        ("/dag-runs?param=DAY%3Dmonday&minDuration=1ms", "param:DAY=monday longer:1ms"),
        ("/dags?name=et&tag=nightly&status=2", "et status:failed tag:nightly"),
        (
            "/audit?action=dag.&object=etl&from=2020-01-01&to=2099-01-31",
            "etl kind:dag after:2020-01-01 before:2099-02-01",
        ),
    ],
)
async def test_links_of_earlier_versions_show_the_same(visitor: Visitor, path: str, text: str) -> None:
    page = await visitor.open(path)
    await expect(_box(page)).to_have_value(text)
    rows = page.get_by_role("row").filter(has=page.get_by_role("cell")).filter(has_text="etl")
    found = await rows.count() if "minDuration" not in path else 1
    assert found > 0
    await _box(page).press("Enter")
    await expect(page.locator(".filter-note.bad")).to_have_count(0)


async def test_tags_are_suggested_and_a_tag_of_a_row_is_added(visitor: Visitor) -> None:
    page = await visitor.open("/dags?q=t")
    await _box(page).press("End")
    await page.keyboard.type(" tag:sa")
    await _offers(page).filter(has_text="tag:sales").click()
    await page.wait_for_url(re.compile(r"\?q=t\+tag%3Asales"))
    await expect(page.get_by_role("row").filter(has=page.get_by_role("cell"))).to_have_count(1)
    await page.get_by_role("row").get_by_role("link", name="nightly").click()
    await expect(_box(page)).to_have_value("t tag:nightly")


@pytest.mark.parametrize(
    ("path", "text", "left", "gone"),
    [
        ("/users", "role:viewer", "viewer", "operator"),
        ("/queues", "slee", "sleeper", "nothing"),
        ("/schedules", "etl", "etl", "nothing"),
    ],
)
async def test_lists_that_are_loaded_whole_are_filtered_too(
    visitor: Visitor, path: str, text: str, left: str, gone: str
) -> None:
    page = await visitor.open(path)
    await _box(page).fill(text)
    await page.keyboard.press("Enter")
    main = page.get_by_role("main")
    await expect(main.locator("table, .queue").first.get_by_text(left, exact=True).first).to_be_visible()
    await expect(main.locator("table").first.get_by_text(gone, exact=True)).to_have_count(0)
    await _box(page).fill("no-such-thing")
    await page.keyboard.press("Enter")
    await expect(main.locator("table").first.get_by_text(left, exact=True)).to_have_count(0)
    await expect(main.get_by_role("heading", name="matches this filter")).to_be_visible()


@pytest.mark.parametrize("path", LISTS)
async def test_suggestions_move_nothing_and_fit_a_phone(browser: Browser, site: Site, path: str) -> None:
    for width in WIDTHS:
        async with visiting(browser, site.address, cookie=site.cookies["admin"], width=width) as visitor:
            page = await visitor.open(path)
            note = page.locator(".filter-note")
            before = await note.bounding_box()
            await page.keyboard.press("/")
            await expect(_box(page)).to_be_focused()
            assert await note.bounding_box() == before
            assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            assert await visitor.find_barriers() == []
            await page.keyboard.press("Escape")
            await expect(_offers(page)).to_have_count(0)
            await expect(_box(page)).to_be_focused()


async def test_rows_are_gone_through_opened_and_repeated_by_keys(visitor: Visitor, site: Site) -> None:
    site.save("again-by-keys", "steps:\n  - {name: one, command: 'false'}\n")
    for _ in range(2):
        site.run("again-by-keys")
    page = await visitor.open("/dag-runs?q=again-by-keys")
    links = page.get_by_role("row").locator("[data-open]")
    await expect(links).to_have_count(2)
    await page.keyboard.press("j")
    await expect(links.first).to_be_focused()
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(links.last).to_be_focused()
    await page.keyboard.press("k")
    await expect(links.first).to_be_focused()
    await page.keyboard.press("r")
    dialog = page.get_by_role("dialog", name="Retry 1 run?")
    await expect(dialog).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(links.first).to_be_focused()
    await page.keyboard.press("o")
    await page.wait_for_url(re.compile("/dag-runs/again-by-keys/"))


async def test_keys_of_rows_are_text_in_a_field_and_start_a_dag_in_the_list_of_dags(visitor: Visitor) -> None:
    page = await visitor.open("/dags?q=etl")
    await page.keyboard.press("/")
    await page.keyboard.press("End")
    await page.keyboard.type("jkor")
    await expect(_box(page)).to_have_value("etljkor")
    await page.get_by_role("button", name="Clear the filter").click()
    await expect(page.get_by_role("link", name="etl", exact=True)).to_be_visible()
    await page.get_by_role("link", name="etl", exact=True).focus()
    await page.keyboard.press("r")
    await expect(page.get_by_role("dialog", name="Start etl")).to_be_visible()


async def test_who_may_not_start_has_no_key_for_it(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["viewer"]) as visitor:
        for path in ("/dags?q=etl", "/dag-runs?q=etl"):
            page = await visitor.open(path)
            await page.keyboard.press("j")
            await page.keyboard.press("r")
            await page.keyboard.press("k")
            await expect(page.get_by_role("dialog")).to_have_count(0)
            await expect(page).to_have_url(re.compile(re.escape(path)))


@pytest.mark.parametrize("path", ["/queues", "/users", "/audit", "/schedules", "/sources"])
async def test_every_list_has_the_keys(visitor: Visitor, path: str) -> None:
    page = await visitor.open(path)
    await page.keyboard.press("j")
    focused = page.locator("main :is(tbody tr, li) :focus")
    await expect(focused).to_have_count(1)

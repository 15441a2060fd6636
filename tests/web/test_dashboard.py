"""The dashboard: one sentence with what needs attention, bars of runs that are links, and an inbox of failures."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Route, expect

from tests.process.conftest import end
from tests.process.program import Program
from tests.process.waiting import wait_for
from tests.web.aging import add_old_runs
from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import Site

FAILING = "steps:\n  - {name: one, command: 'false'}\n"
QUICK = "steps:\n  - {name: one, command: 'true'}\n"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server without users, of which nothing else takes notice."""
    opened = Site(Program(tmp_path_factory.mktemp("own") / "home", settings={"queues": "db=1"}).start())
    try:
        yield opened
    finally:
        opened.client.close()
        end(opened.program)


@pytest.fixture
async def visitor(browser: Browser, own: Site) -> AsyncIterator[Visitor]:
    async with visiting(browser, own.address) as opened:
        yield opened
        assert opened.complaints == []


def _sentence(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("region", name="Needs attention").get_by_role("status")


def _failures(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("region", name="Failures").get_by_role("row")


async def test_one_sentence_says_what_needs_attention_until_nothing_does(visitor: Visitor, own: Site) -> None:
    own.save("broken", FAILING)
    own.save("asks", "steps:\n  - {name: ask, type: hitl}\n")
    own.save("waits", f"queue: db\n{QUICK}")
    for _ in range(2):
        own.run("broken")
    asking = own.start("asks")
    own.send("POST", "/queues/db/pause")
    own.send("POST", "/dags/waits/enqueue", {})
    wait_for("an approval that is asked for", lambda: own.send("GET", "/approvals")["approvals"])
    page = await visitor.open("/")
    assert len(visitor.asked()) == len(set(visitor.asked())), "a request is sent twice"
    sentence = _sentence(visitor)
    await expect(sentence).to_have_text("1 DAG is failing, 1 waits for approval, queue db does not move.")
    queues = page.get_by_role("region", name="Queues")
    await expect(queues.get_by_text(re.compile("1 queued, the first .*: Queue db is paused since"))).to_be_visible()
    hrefs = [await link.get_attribute("href") for link in await sentence.get_by_role("link").all()]
    assert [href.partition("?")[0] for href in hrefs if href] == ["/dag-runs", "/approvals", "/queues"]
    row = _failures(visitor).filter(has_text="broken")
    await expect(row.get_by_role("link", name="2 failures")).to_be_visible()
    await row.get_by_role("button", name="Actions of broken").click()
    await page.get_by_role("menuitem", name="Mark as seen").click()
    await expect(row).to_have_count(0)
    await expect(sentence).to_have_text("1 waits for approval, queue db does not move.")
    own.send("POST", f"/dag-runs/asks/{asking}/steps/ask/approve", {})
    own.send("POST", "/queues/db/resume")
    await expect(sentence).to_have_text("Nothing needs attention.")
    await page.get_by_role("button", name="Show 1 more").click()
    await expect(row.get_by_role("button", name="Seen: broken")).to_have_count(0)
    own.run("broken")
    await expect(sentence).to_have_text("1 DAG is failing.")
    await visitor.open("/")
    await expect(row).to_contain_text("3 failures")


async def test_a_failure_is_retried_from_its_row_and_is_fixed_by_the_next_good_run(
    visitor: Visitor, own: Site, tmp_path: Path
) -> None:
    mended = tmp_path / "mended"
    own.save("mendable", f"steps:\n  - {{name: load, command: test -e {mended}}}\n")
    for _ in range(2):
        own.run("mendable")
    page = await visitor.open("/")
    row = _failures(visitor).filter(has_text="mendable")
    await expect(row).to_contain_text("load: exit status 1")
    await expect(row).to_contain_text("never")
    await row.get_by_role("link", name="mendable").focus()
    await page.keyboard.press("r")
    await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    mended.touch()
    await row.hover()
    await row.get_by_role("button", name="Retry mendable").click()
    await page.get_by_role("dialog").get_by_role("button", name="Retry", exact=True).click()
    await expect(row).to_contain_text("fixed")
    await expect(row.get_by_role("link", name="1 failure")).to_be_visible()
    await page.get_by_role("region", name="Runs").get_by_role("link", name=re.compile("[0-9]+ failed$")).last.click()
    await visitor.settle()
    await expect(page.get_by_role("row").filter(has_text="mendable")).to_have_count(1)


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_range_is_in_the_link_and_all_follows_it(browser: Browser, own: Site, width: int) -> None:
    if not own.send("GET", "/dags")["dags"]:
        own.save("some", QUICK)
    await add_old_runs(own, f"early-{width}", [width * 10_000 + number for number in range(3)], days_ago=3.2)
    await add_old_runs(own, f"bad-{width}", [width * 10_000 + 9], days_ago=3.2, status=2)
    async with visiting(browser, own.address, width=width) as visitor:
        page = await visitor.open("/")
        await expect(_failures(visitor).filter(has_text=f"bad-{width}")).to_have_count(0)
        await page.get_by_role("group", name="Time range").get_by_role("button", name="7 days").click()
        await expect(_failures(visitor).filter(has_text=f"bad-{width}")).to_have_count(1)
        await visitor.open("/?range=7d")
        await expect(_failures(visitor).filter(has_text=f"bad-{width}")).to_have_count(1)
        bars = page.get_by_role("group", name="Runs by day")
        piece = bars.get_by_role("link", name=re.compile("[0-9]+ succeeded$")).first
        box = await piece.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 3
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it scrolls sideways"
        assert await visitor.find_barriers() == []
        await page.emulate_media(color_scheme="dark")
        assert await visitor.find_barriers() == []
        await bars.get_by_role("link").last.focus()
        await page.keyboard.press("Home")
        await page.keyboard.press("Enter")
        await visitor.settle()
        await expect(page.get_by_role("row").filter(has_text=f"bad-{width}")).to_have_count(1)


async def test_files_with_problems_of_a_source_need_attention(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["viewer"]) as visitor:
        page = await visitor.open("/")
        await _sentence(visitor).get_by_role("link", name="2 files").click()
        await page.wait_for_url("**/sources/team")
        await expect(page.get_by_role("row").filter(has_text="line ")).to_have_count(2)


async def test_a_failure_is_counted_however_many_runs_came_after_it(visitor: Visitor, own: Site) -> None:
    await add_old_runs(own, "many", list(range(3_000_000, 3_000_501)), days_ago=0.3)
    await add_old_runs(own, "failed-first", [3_100_000], days_ago=0.6, status=2)
    page = await visitor.open("/")
    await expect(_failures(visitor).filter(has_text="failed-first")).to_have_count(1)
    runs = page.get_by_role("region", name="Runs", exact=True)
    await expect(runs.get_by_role("link", name=re.compile("50[1-9] succeeded$")).first).to_be_visible()


async def test_failures_of_which_some_were_not_read_say_since_when_they_count(visitor: Visitor, own: Site) -> None:
    if not own.send("GET", "/dags")["dags"]:
        own.save("some", QUICK)

    async def answer(route: Route) -> None:
        response = await route.fetch()
        await route.fulfill(response=response, json={**await response.json(), "failuresFrom": 1_000_000_000})

    await visitor.page.route("**/api/v2/overview*", answer)
    page = await visitor.open("/")
    await expect(page.get_by_role("region", name="Failures")).to_contain_text(re.compile("Counted since .*Sep"))

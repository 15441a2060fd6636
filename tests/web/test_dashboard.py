"""The dashboard: one sentence with what needs attention, and a day in which each run is visible."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, Locator, expect

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
    await expect(sentence).to_have_text("2 failed since yesterday, 1 waits for approval, queue db does not move.")
    await expect(page.get_by_text("1 run waits in db: the queue is paused")).to_be_visible()
    hrefs = [await link.get_attribute("href") for link in await sentence.get_by_role("link").all()]
    assert hrefs == ["/dag-runs?status=failed&within=86400", "/approvals", "/queues"]
    await page.get_by_role("button", name="Mark failures as seen").click()
    await expect(sentence).to_have_text("1 waits for approval, queue db does not move.")
    own.send("POST", f"/dag-runs/asks/{asking}/steps/ask/approve", {})
    own.send("POST", "/queues/db/resume")
    await expect(sentence).to_have_text("Nothing needs attention.")
    own.run("broken")
    await expect(sentence).to_have_text(re.compile(r"^1 failed since [0-9]{2}:[0-9]{2}\.$"))


@pytest.mark.parametrize("width", WIDTHS)
async def test_each_run_of_a_long_day_is_visible_and_failed_ones_differ_in_shape(
    browser: Browser, own: Site, width: int
) -> None:
    """Runs of a fraction of a second, on an axis of most of a day."""
    await add_old_runs(own, f"early-{width}", [width * 10_000], days_ago=0.7)
    await add_old_runs(own, f"bad-{width}", [width * 10_000 + 1], days_ago=0.2, status=2)
    async with visiting(browser, own.address, width=width) as visitor:
        page = await visitor.open("/")
        day = page.get_by_role("region", name="The last 24 hours")
        good = await day.get_by_role("link", name=f"early-{width}: succeeded").bounding_box()
        bad = await day.get_by_role("link", name=f"bad-{width}: failed").bounding_box()
        assert good
        assert bad
        assert min(good["width"], bad["width"]) >= 5
        assert bad["height"] > good["height"] * 1.3
        assert good["x"] < bad["x"]
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it scrolls sideways"
        assert await visitor.find_barriers() == []
        await page.emulate_media(color_scheme="dark")
        assert await visitor.find_barriers() == []


async def test_files_with_problems_of_a_source_need_attention(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["viewer"]) as visitor:
        page = await visitor.open("/")
        await _sentence(visitor).get_by_role("link", name="2 files").click()
        await page.wait_for_url("**/sources/team")
        await expect(page.get_by_role("row").filter(has_text="line ")).to_have_count(2)


async def test_runs_that_lie_close_together_are_one_bar_that_leads_to_their_list(visitor: Visitor, own: Site) -> None:
    await add_old_runs(own, "close", [4_000_001, 4_000_002, 4_000_003], days_ago=0.25)
    page = await visitor.open("/")
    bar = page.get_by_role("link", name=re.compile(r"^close: 3 runs, .*: 3 succeeded$"))
    await bar.focus()
    await page.keyboard.press("Enter")
    await visitor.settle()
    await expect(page.get_by_role("row").filter(has_text="close")).to_have_count(3)


async def test_a_failure_is_counted_however_many_runs_came_after_it(visitor: Visitor, own: Site) -> None:
    await add_old_runs(own, "many", list(range(3_000_000, 3_000_501)), days_ago=0.3)
    await add_old_runs(own, "failed-first", [3_100_000], days_ago=0.6, status=2)
    page = await visitor.open("/")
    rows = page.get_by_role("region", name="Needs attention").get_by_role("row")
    await expect(rows.filter(has_text="failed-first")).to_have_count(1)
    day = page.get_by_role("region", name="The last 24 hours")
    await expect(day.get_by_role("link", name="failed-first: failed")).to_be_visible()
    await expect(day.get_by_text("only failed runs are shown")).to_be_visible()

"""Batches in the browser: how far each one is while it goes on, what is done to it, and what roles are offered."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.process.conftest import end
from tests.process.waiting import wait_for
from tests.web import design
from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import Site, open_site

FIRST = datetime.now(UTC).date() - timedelta(days=20)
IDLE_SECONDS = 2
_numbers = itertools.count(1)


def day(number: int) -> str:
    return (FIRST + timedelta(days=number)).isoformat()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    opened = open_site(tmp_path_factory.mktemp("batches") / "home")
    try:
        opened.add_people()
        yield opened
    finally:
        opened.client.close()
        end(opened.program)


def _store(site: Site, command: str, schedule: str = "0 2 * * *") -> str:
    """Store a DAG; returns its name."""
    name = f"load-{next(_numbers)}"
    site.save(name, f"schedule: 'CRON_TZ=UTC {schedule}'\nsteps:\n  - {{name: one, command: '{command}'}}\n")
    return name


def _make(site: Site, dag: str, days: int, **options: Any) -> int:
    """Make a batch of the scheduled times of some days; returns its number."""
    body = {"action": "start", "dag": dag, "from": day(1), "to": day(days), **options}
    return int(site.send("POST", "/batches", body)["batchId"])


def _await(site: Site, batch: int, **counts: int) -> None:
    """Wait until so many items of a batch have these states."""
    path = f"/batches/{batch}"
    wait_for(f"{counts} of batch {batch}", lambda: counts.items() <= site.send("GET", path)["counts"].items())


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


@pytest.fixture
def failed(own: Site, marker: Path) -> int:
    """A batch of three days, of which the second has failed; it succeeds when the marker is there."""
    dag = _store(own, f"case $DAG_RUN_SCHEDULED_AT in {day(2)}*) test -e {marker};; esac")
    batch = _make(own, dag, 3, reason="lost rows")
    _await(own, batch, done=2, failed=1)
    return batch


@pytest.fixture
def begun(own: Site) -> Iterator[int]:
    """A batch of four days, whose runs do not end by themselves."""
    batch = _make(own, _store(own, "sleep 7200"), 4)
    _await(own, batch, begun=1)
    yield batch
    if "cancelledAt" not in own.send("GET", f"/batches/{batch}"):
        own.send("POST", f"/batches/{batch}/cancel", {"stopRuns": True})


def _visit(browser: Browser, site: Site, role: str, **more: Any) -> Any:
    return visiting(browser, site.address, cookie=site.cookies[role], **more)


async def _check_design(visitor: Visitor, path: str) -> Locator:
    """Open a page at all widths, look at its design, and at its barriers in both themes; returns its content."""
    await design.observe(visitor.context)
    for width in WIDTHS:
        await visitor.page.set_viewport_size({"width": width, "height": WIDTHS[width]})
        page = await visitor.open(path)
        assert (await design.measure(page)).problems() == []
    for theme in ("light", "dark"):
        await visitor.page.emulate_media(color_scheme=theme)
        assert await visitor.find_barriers() == []
    return visitor.page.get_by_role("main")


async def test_without_batches_the_page_says_how_to_make_one(browser: Browser, site: Site) -> None:
    async with _visit(browser, site, "viewer") as visitor:
        main = await _check_design(visitor, "/batches")
        await expect(main).to_contain_text("No batches")
        await expect(main).to_contain_text("dagbook backfill DAG --from DAY --to DAY")
        here = visitor.page.get_by_role("navigation", name="Pages").locator("[aria-current=page]")
        await expect(here).to_have_text("Batches")
        assert visitor.complaints == []


async def test_batches_are_followed_while_they_go_on_and_nothing_is_asked_meanwhile(
    browser: Browser, own: Site, begun: int
) -> None:
    async with _visit(browser, own, "viewer") as visitor:
        main = await _check_design(visitor, "/batches")
        row = main.locator("tbody tr").filter(has=visitor.page.get_by_role("link", name=f"{begun} Backfill"))
        await expect(row).to_contain_text("1 begun, 3 planned")
        await expect(row).to_contain_text(f"missing and failed times, {day(1)} to {day(4)}")
        await expect(row).to_contain_text("by admin")
        before = len(visitor.asked())
        await asyncio.sleep(IDLE_SECONDS)
        assert len(visitor.asked()) == before
        own.send("POST", f"/batches/{begun}/pause")
        await expect(row).to_contain_text("paused")
        other = _make(own, _store(own, "true"), 2)
        ended = main.locator("tbody tr").filter(has=visitor.page.get_by_role("link", name=f"{other} Backfill"))
        await expect(ended).to_contain_text("2 done")
        await expect(ended.get_by_text("ended", exact=True)).to_be_visible()
        await visitor.page.keyboard.press("j")
        await visitor.page.keyboard.press("o")
        await expect(visitor.page.get_by_role("heading", level=1)).to_have_text(f"Batch {other}")
        assert visitor.complaints == []


async def test_what_has_failed_says_why_leads_to_its_run_and_is_retried(
    browser: Browser, own: Site, failed: int, marker: Path
) -> None:
    async with _visit(browser, own, "operator") as visitor:
        main = await _check_design(visitor, f"/batches/{failed}")
        page, rows = visitor.page, main.locator("tbody tr")
        await expect(rows).to_have_count(3)
        await expect(main.locator("dl")).to_contain_text("2 done, 1 failed")
        await expect(main.locator("dl")).to_contain_text("lost rows")
        await page.get_by_role("combobox", name="State").select_option("left out")
        await expect(main).to_contain_text("No item is left out")
        await page.get_by_role("combobox", name="State").select_option("failed")
        await expect(rows).to_have_count(1)
        await expect(rows).to_contain_text("failed")
        await rows.get_by_role("link").click()
        await expect(main.locator("dl.run-facts")).to_contain_text(f"batch {failed} of admin: lost rows")
        await main.get_by_role("link", name=f"batch {failed}").click()
        await expect(rows).to_have_count(3)
        marker.touch()
        await main.get_by_role("button", name="Retry 1 failed").click()
        await expect(main.locator("dl")).to_contain_text("3 done")
        await expect(rows.get_by_text("done", exact=True)).to_have_count(3)
        await expect(main.get_by_role("button", name=re.compile("^Retry"))).to_have_count(0)
        assert visitor.complaints == []


@pytest.mark.parametrize("choice", ["finish", "stop"])
async def test_a_batch_is_paused_resumed_and_cancelled(browser: Browser, own: Site, begun: int, choice: str) -> None:
    async with _visit(browser, own, "operator") as visitor:
        page = await visitor.open(f"/batches/{begun}")
        main = page.get_by_role("main")
        await main.get_by_role("button", name="Pause").click()
        await expect(main.locator("dl")).to_contain_text("by operator")
        await main.get_by_role("button", name="Resume").click()
        await expect(main.locator("dl").get_by_text("open", exact=True)).to_be_visible()
        await main.get_by_role("button", name="Cancel").click()
        dialog = page.get_by_role("dialog", name=f"Cancel batch {begun}")
        await expect(dialog).to_contain_text("3 items will be left out, for good.")
        await dialog.get_by_role("radio", name=choice).check()
        assert await visitor.find_barriers() == []
        await dialog.get_by_role("button", name="Cancel batch").click()
        await expect(main.locator("dl").get_by_text("cancelled", exact=True)).to_be_visible()
        left = "1 begun, 3 left out" if choice == "finish" else "1 failed, 3 left out"
        await expect(main.locator("dl")).to_contain_text(left)
        await expect(main.locator("tbody tr").get_by_text("the batch was cancelled")).to_have_count(3)
        for name in ("Pause", "Resume", "Cancel"):
            await expect(main.get_by_role("button", name=name)).to_have_count(0)
        assert visitor.complaints == []
    for run in own.send("GET", "/dag-runs?status=1")["dagRuns"]:
        own.send("POST", f"/dag-runs/{run['name']}/{run['dagRunId']}/stop")


async def test_many_items_come_in_pages(browser: Browser, own: Site) -> None:
    dag = _store(own, "true", schedule="0 * * * *")
    own.send("POST", f"/queues/{dag}/pause")
    batch = _make(own, dag, 5)
    async with _visit(browser, own, "operator", width=390) as visitor:
        page = await visitor.open(f"/batches/{batch}")
        rows = page.get_by_role("main").locator("tbody tr")
        await expect(rows).to_have_count(100)
        await page.get_by_role("button", name="Next").click()
        await expect(rows).to_have_count(20)
        await expect(page.get_by_role("button", name="Next")).to_be_disabled()
        await page.get_by_role("button", name="First").click()
        await expect(rows).to_have_count(100)
        assert visitor.complaints == []
    own.send("POST", f"/batches/{batch}/cancel", {"stopRuns": True})


async def test_who_may_not_run_a_dag_is_offered_nothing_for_its_batches(
    browser: Browser, own: Site, failed: int, begun: int
) -> None:
    async with _visit(browser, own, "viewer") as visitor:
        for batch in (failed, begun):
            page = await visitor.open(f"/batches/{batch}")
            await expect(page.get_by_role("heading", level=1)).to_have_text(f"Batch {batch}")
            main = page.get_by_role("main")
            await expect(main.get_by_role("button", name=re.compile("^(Retry|Pause|Resume|Cancel)"))).to_have_count(0)
        assert visitor.complaints == []
        await visitor.open("/batches/4711")
        await expect(visitor.page.get_by_role("main")).to_contain_text("There is no such batch")

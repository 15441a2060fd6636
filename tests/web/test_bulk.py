"""Many runs at once in the browser: those that match or were selected, the preview of what is done, and its batch."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.process.conftest import end
from tests.web import design
from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import Site, open_site

FAILS = "steps:\n  - {name: one, command: 'false'}\n"
WORKS = "steps:\n  - {name: one, command: 'true'}\n"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    opened = open_site(tmp_path_factory.mktemp("bulk") / "home")
    try:
        opened.add_people()
        yield opened
    finally:
        opened.client.close()
        end(opened.program)


def _failed(site: Site, name: str, count: int) -> list[str]:
    """Store a DAG with so many failed runs; returns their ids, oldest first."""
    site.save(name, FAILS)
    return [site.run(name) for _ in range(count)]


def _works(site: Site, name: str) -> None:
    site.send("PUT", f"/dags/{name}/spec", {"spec": WORKS})


async def _ask(page: Page, menu: str, action: str) -> Locator:
    """Choose an action for many runs; returns its dialog."""
    await page.get_by_role("button", name=menu).click()
    await page.get_by_role("menuitem", name=action).click()
    return page.get_by_role("dialog")


async def test_all_runs_that_match_are_done_again_without_one_that_was_taken_out(browser: Browser, own: Site) -> None:
    ids = _failed(own, "load", 3)
    _works(own, "load")
    async with visiting(browser, own.address, cookie=own.cookies["operator"]) as visitor:
        page = await visitor.open("/dag-runs?q=load status:failed")
        dialog = await _ask(page, "Actions of all runs that match", "Do again…")
        await expect(dialog).to_contain_text("3 runs found: 3 failed. 3 runs will be replaced by new ones.")
        await dialog.get_by_role("checkbox", name=f"Include run {ids[1]}").uncheck()
        await expect(dialog).to_contain_text("1 run left out.")
        assert await visitor.find_barriers() == []
        await dialog.get_by_label("Reason").fill("lost the last row")
        await dialog.get_by_role("button", name="Do again 2 runs").click()
        await page.wait_for_url(re.compile(r"/batches/\d+$"))
        facts = page.get_by_role("main").locator("dl")
        await expect(facts).to_contain_text("2 done")
        await expect(facts).to_contain_text("lost the last row")
        await visitor.open("/dag-runs?q=load status:failed")
        await expect(page.get_by_role("main").locator("tbody tr")).to_have_count(1)
        assert visitor.complaints == []
    runs = own.send("GET", "/dag-runs?name=load&status=2&replaced=true")["dagRuns"]
    assert {run["dagRunId"] for run in runs if "replacedBy" in run} == {ids[0], ids[2]}


async def test_runs_that_match_since_the_preview_are_shown_before_anything_is_done(browser: Browser, own: Site) -> None:
    _failed(own, "grows", 1)
    async with visiting(browser, own.address, cookie=own.cookies["operator"]) as visitor:
        page = await visitor.open("/dag-runs?q=grows")
        dialog = await _ask(page, "Actions of all runs that match", "Retry…")
        await expect(dialog.get_by_role("button", name="Retry 1 run")).to_be_enabled()
        own.run("grows")
        await dialog.get_by_role("button", name="Retry 1 run").click()
        await expect(dialog).to_contain_text("there are 2 items now, not 1")
        _works(own, "grows")
        await dialog.get_by_role("button", name="Retry 2 runs").click()
        await expect(page.get_by_role("main").locator("dl")).to_contain_text("2 done")


async def test_selected_runs_are_stopped_and_no_others(browser: Browser, own: Site) -> None:
    own.save("sleeper", "maxActiveRuns: 5\nsteps:\n  - {name: one, command: sleep 600}\n")
    first, second = own.start("sleeper"), own.start("sleeper")
    async with visiting(browser, own.address, cookie=own.cookies["operator"]) as visitor:
        page = await visitor.open("/dag-runs?q=sleeper status:running")
        await page.get_by_role("checkbox", name=f"Select run {first}").check()
        dialog = await _ask(page, "Actions of the selected runs", "Stop…")
        await dialog.get_by_role("button", name="Stop 1 run").click()
        await expect(page.get_by_role("main").locator("dl")).to_contain_text("1 done")
        assert visitor.complaints == []
    assert own.status("sleeper", second) == "running"
    own.send("POST", f"/dag-runs/sleeper/{second}/stop")


async def test_runs_of_a_revision_are_done_again_from_its_row(browser: Browser, own: Site) -> None:
    _failed(own, "wrong", 1)
    _works(own, "wrong")
    async with visiting(browser, own.address, cookie=own.cookies["operator"]) as visitor:
        page = await visitor.open("/dags/wrong/revisions")
        await page.get_by_role("button", name="Do runs of revision 1 again").click()
        dialog = page.get_by_role("dialog", name="Do again: runs of wrong")
        await expect(dialog).to_contain_text("1 run will be replaced by new ones with revision 2.")
        await dialog.get_by_role("button", name="Do again 1 run").click()
        assert await dialog.get_by_label("Reason").evaluate("field => field.validity.valueMissing")
        await dialog.get_by_label("Reason").fill("wrong text")
        await dialog.get_by_role("button", name="Do again 1 run").click()
        await expect(page.get_by_role("main").locator("dl")).to_contain_text("1 done")
        assert visitor.complaints == []


async def test_a_filter_is_needed_and_a_viewer_is_offered_nothing(browser: Browser, own: Site) -> None:
    _failed(own, "seen", 1)
    everything = "Actions of all runs that match"
    async with visiting(browser, own.address, cookie=own.cookies["operator"]) as visitor:
        page = await visitor.open("/dag-runs")
        await expect(page.get_by_role("main").locator("tbody tr").first).to_be_visible()
        await expect(page.get_by_role("button", name=everything)).to_have_count(0)
        await visitor.open("/dag-runs?q=seen")
        await page.get_by_role("button", name=everything).click()
        await expect(page.get_by_role("menuitem", name="Retry…")).to_be_visible()
        await expect(page.get_by_role("menuitem", name="Delete…")).to_have_count(0)
    async with visiting(browser, own.address, cookie=own.cookies["viewer"]) as visitor:
        page = await visitor.open("/dag-runs?q=seen")
        await expect(page.get_by_role("main").locator("tbody tr").first).to_be_visible()
        await expect(page.get_by_role("button", name=everything)).to_have_count(0)


async def test_the_preview_fits_all_widths(browser: Browser, own: Site) -> None:
    ids = _failed(own, "wide", 2)
    async with visiting(browser, own.address, cookie=own.cookies["admin"]) as visitor:
        await design.observe(visitor.context)
        for width in WIDTHS:
            await _check_preview(visitor, width, ids)


async def _check_preview(visitor: Visitor, width: int, ids: list[str]) -> None:
    await visitor.page.set_viewport_size({"width": width, "height": WIDTHS[width]})
    page = await visitor.open("/dag-runs?q=wide")
    dialog = await _ask(page, "Actions of all runs that match", "Delete…")
    await expect(dialog.get_by_role("checkbox", name=f"Include run {ids[0]}")).to_be_visible()
    assert (await design.measure(page)).problems() == []
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme)
        assert await visitor.find_barriers() == []

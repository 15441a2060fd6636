"""How long a DAG takes and how its last weeks went, by mouse, by keys and by words."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from tests.web.aging import add_old_runs, add_start
from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import Site

NAME = "charted"


@pytest.fixture(scope="module")
async def charted(site: Site) -> Site:
    """A DAG with three runs of now, one of them failed, and some of three days ago."""
    site.save(NAME, "params: EXIT=0\nsteps:\n  - {name: one, command: 'sh -c \"exit ${EXIT}\"'}\n")
    await add_old_runs(site, NAME, [5_000_001, 5_000_002], days_ago=3, status=2)
    await add_old_runs(site, NAME, [5_000_003], days_ago=3)
    for status in ("0", "1", "0"):
        site.run(NAME, params=f"EXIT={status}")
    return site


@pytest.fixture
async def visitor(browser: Browser, charted: Site) -> AsyncIterator[Visitor]:
    async with visiting(browser, charted.address, cookie=charted.cookies["viewer"]) as opened:
        yield opened
        assert opened.complaints == []


async def test_durations_have_a_median_and_a_point_for_each_run_with_a_shape_for_failures(visitor: Visitor) -> None:
    page = await visitor.open(f"/dags/{NAME}")
    durations = page.get_by_role("region", name="Duration")
    await expect(durations.get_by_text(re.compile(r"Median [0-9.]+ m?s, 95% under [0-9.]+ m?s"))).to_be_visible()
    points = durations.get_by_role("group", name="Durations of the last 6 runs, the newest last").get_by_role("link")
    words = [str(await one.get_attribute("aria-label")).partition(",")[0] for one in await points.all()]
    assert sorted(words[:3]) == ["failed", "failed", "succeeded"]
    assert words[3:] == ["succeeded", "failed", "succeeded"]
    shapes = [await one.locator("svg").count() for one in await points.all()]
    assert shapes == [int(word == "failed") for word in words]
    await expect(durations.get_by_role("link", name="3 failed")).to_have_attribute(
        "href", f"/dag-runs?name={NAME}&status=2"
    )
    await points.last.focus()
    await page.keyboard.press("ArrowLeft")
    await expect(points.nth(4)).to_be_focused()
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(rf"/dag-runs/{NAME}/"))
    await expect(page.get_by_role("main").locator("header").get_by_role("status")).to_have_text("failed")


async def test_a_day_of_the_map_leads_to_its_runs_by_keys_alone(visitor: Visitor) -> None:
    page = await visitor.open(f"/dags/{NAME}")
    assert len(visitor.asked()) == len(set(visitor.asked())), "a request is sent twice"
    weeks = page.get_by_role("region", name="The last weeks")
    failed = weeks.get_by_role("row").filter(has_text="failed").get_by_role("link")
    await expect(failed).to_have_count(2)
    assert [str(await one.get_attribute("aria-label")).partition(": ")[2] for one in await failed.all()] == [
        "2 failed",
        "1 failed",
    ]
    await failed.last.focus()
    await page.keyboard.press("Home")
    await expect(failed.first).to_be_focused()
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(r"/dag-runs\?name=charted&status=2&fromDate=[0-9]+&toDate=[0-9]+$"))
    await visitor.settle()
    await expect(page.get_by_role("row").filter(has_text=NAME)).to_have_count(2)
    box = page.get_by_role("combobox", name="Filter runs")
    await expect(box).to_have_value(re.compile(rf"^{NAME} status:failed after:[0-9-]+ before:[0-9-]+$"))
    await box.press("Home")
    await page.keyboard.press("Delete")  # another name, and the same day
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(rf"/dag-runs\?q={NAME[1:]}\+status%3Afailed\+after"))
    await expect(page.get_by_role("row").filter(has_text=NAME)).to_have_count(2)
    await page.get_by_label("When").select_option(label="any time")
    await expect(box).to_have_value(f"{NAME[1:]} status:failed")
    await expect(page.get_by_role("row").filter(has_text=NAME)).to_have_count(3)
    await page.get_by_role("button", name="Clear the filter").click()
    await page.wait_for_url(re.compile(r"/dag-runs$"))
    await expect(page.get_by_role("button", name="Clear the filter")).to_have_count(0)


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_overview_fits_and_is_readable(browser: Browser, charted: Site, width: int) -> None:
    async with visiting(browser, charted.address, cookie=charted.cookies["viewer"], width=width) as visitor:
        page = await visitor.open(f"/dags/{NAME}")
        square = page.get_by_role("region", name="The last weeks").get_by_role("link").last
        box = await square.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 5
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it scrolls sideways"
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            assert await visitor.find_barriers() == []


async def test_the_chosen_tab_is_in_sight_on_a_phone(browser: Browser, charted: Site) -> None:
    async with visiting(browser, charted.address, cookie=charted.cookies["viewer"], width=390) as visitor:
        page = await visitor.open(f"/dags/{NAME}/schedule")
        await expect(page.get_by_role("tab", name="Schedule", selected=True)).to_be_in_viewport(ratio=0.95)


async def test_a_past_start_leads_to_its_run(visitor: Visitor, charted: Site) -> None:
    run_id = charted.send("GET", f"/dags/{NAME}/dag-runs")["dagRuns"][0]["dagRunId"]
    await add_start(charted, NAME, run_id)
    page = await visitor.open(f"/dags/{NAME}/schedule")
    await page.get_by_role("row").filter(has_text="start").get_by_role("link", name="started").click()
    await page.wait_for_url(f"**/dag-runs/{NAME}/{run_id}")


async def test_on_a_phone_the_grid_shows_the_newest_runs_and_the_page_stays_as_wide_as_the_window(
    browser: Browser, site: Site
) -> None:
    spec = "steps:\n  - {name: %s, command: 'true'}\n"
    site.save("gridded", spec % "before")
    site.run("gridded")
    site.send("PUT", "/dags/gridded/spec", {"spec": spec % "the-step-that-came-later"})
    newest = [site.run("gridded") for _ in range(11)][-1]
    async with visiting(browser, site.address, cookie=site.cookies["viewer"], width=390) as visitor:
        page = await visitor.open("/dags/gridded")
        grid = page.locator("table.grid")
        box = await grid.get_by_role("link", name=f"Run {newest}").bounding_box()
        assert box is not None
        assert 0 < box["x"] < 390
        assert await grid.evaluate("grid => grid.parentElement.scrollLeft > 0"), "the grid fits, so this tests nothing"
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it scrolls sideways"


async def test_a_run_without_a_revision_is_not_the_first_of_one(visitor: Visitor, site: Site) -> None:
    site.save("unrevised", "steps:\n  - {name: one, command: 'true'}\n")
    site.run("unrevised")
    site.send("POST", "/dag-runs", {"name": "unrevised", "spec": "steps:\n  - {name: one, command: 'false'}\n"})
    page = await visitor.open("/dags/unrevised")
    heads = page.locator("table.grid").get_by_role("link", name="Run ")
    await expect(heads).to_have_count(2)
    assert [
        label
        for label in [await head.get_attribute("aria-label") for head in await heads.all()]
        if "of rev" in str(label)
    ] == []


async def test_a_step_that_never_ran_is_not_called_aborted(visitor: Visitor) -> None:
    page = await visitor.open("/dags/etl")
    await expect(page.locator("table.grid").get_by_role("link", name="report: ").last).to_have_accessible_name(
        "report: not run"
    )

"""The page of a run: its facts in three lines, and panes that fill the window."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import Site

LONG_NAME = "check-the-orders-against-the-schema-v2"
SPEC = f"""\
type: graph
steps:
  - name: {LONG_NAME}
    command: seq 5
  - name: fails
    depends: {LONG_NAME}
    command: sh -c 'seq 3; echo no price >&2; exit 3'
  - name: after
    depends: fails
    command: echo never
  - name: many
    command: seq 500
  - name: retried
    command: 'false'
    continueOn: {{failure: true}}
    retryPolicy: {{limit: 1, intervalSec: 0}}
"""


@pytest.fixture(scope="module")
def path(site: Site) -> str:
    site.save("paged", SPEC)
    return f"/dag-runs/paged/{site.run('paged')}"


@pytest.fixture
async def visitor(browser: Browser, site: Site) -> AsyncIterator[Visitor]:
    async with visiting(browser, site.address, cookie=site.cookies["operator"]) as opened:
        yield opened
        assert opened.complaints == []


def _row(page: Page, step: str) -> Locator:
    return page.locator("ol.steps > li").filter(has=page.get_by_role("button", name=step, exact=True))


async def _bottom(found: Locator) -> float:
    box = await found.bounding_box()
    assert box is not None
    return box["y"] + box["height"]


async def test_the_panes_fill_the_window_whatever_there_is_to_show(visitor: Visitor, path: str) -> None:
    page = await visitor.open(f"{path}?step={LONG_NAME}")
    panes = page.locator(".run-panes > .pane")
    await expect(panes).to_have_count(2)
    for width, height in ((1440, 900), (900, 600), (2560, 1300)):
        await page.set_viewport_size({"width": width, "height": height})
        for pane in await panes.all():
            assert height - 30 <= await _bottom(pane) <= height, (width, height)
        assert await page.evaluate("document.documentElement.scrollHeight <= window.innerHeight")
    header = page.locator(".run-header")
    assert (await header.evaluate("header => header.clientHeight")) <= 3 * 32
    await _row(page, "many").get_by_role("button").click()
    lines = page.get_by_role("region", name="Log lines")
    await expect(page.get_by_text("500 lines")).to_be_visible()
    await page.get_by_role("textbox", name="Go to line").fill("400")
    await page.keyboard.press("Enter")
    await expect(lines.get_by_role("link", name="Link to line 400", exact=True)).to_be_in_viewport()


@pytest.mark.parametrize("width", WIDTHS)
async def test_names_of_steps_are_whole_at_any_width(browser: Browser, site: Site, path: str, width: int) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["viewer"], width=width) as visitor:
        page = await visitor.open(path)
        name = _row(page, LONG_NAME).get_by_role("button")
        await expect(name).to_be_visible()
        assert await name.evaluate("element => element.scrollWidth <= element.clientWidth")
        await page.get_by_role("tab", name="Timeline").click()
        name = page.locator(".timeline .step-name").filter(has_text=LONG_NAME)
        assert await name.evaluate("element => element.scrollWidth <= element.clientWidth")


async def test_a_step_says_that_it_was_retried_or_why_it_did_not_run(visitor: Visitor, path: str) -> None:
    page = await visitor.open(path)
    await expect(_row(page, "retried")).to_contain_text("1 retry")
    await expect(_row(page, "after")).to_contain_text("not run: a step it depends on failed")
    await expect(_row(page, "after")).not_to_contain_text("aborted")
    await _row(page, "after").get_by_role("button").click()
    await expect(page.get_by_role("heading", name="This step did not run")).to_be_visible()


async def test_the_error_of_a_step_shows_once(visitor: Visitor, path: str) -> None:
    page = await visitor.open(path)
    await expect(page.locator(".why")).to_contain_text("exit status 3 \N{EN DASH} no price")
    await expect(page.get_by_role("region", name="Log lines").get_by_text("no price")).to_be_visible()
    await expect(page.locator(".step-error")).to_have_count(0)
    await expect(page.get_by_text("exit status 3")).to_have_count(1)


async def test_the_median_shows_once_enough_runs_have_succeeded(visitor: Visitor, site: Site) -> None:
    site.save("steady-state", "steps:\n  - {name: one, command: 'true'}\n")
    runs = [site.run("steady-state") for _ in range(2)]
    page = await visitor.open(f"/dag-runs/steady-state/{runs[0]}")
    await expect(page.locator(".took")).to_be_visible()
    await expect(page.get_by_text("usually")).to_have_count(0)
    site.run("steady-state")
    await page.reload()
    await expect(page.get_by_text("usually")).to_be_visible()


async def test_the_runs_before_and_after_are_one_click_away(visitor: Visitor, site: Site) -> None:
    site.save("in-a-row", "steps:\n  - {name: one, command: 'true'}\n")
    first, second, third = (site.run("in-a-row") for _ in range(3))
    page = await visitor.open(f"/dag-runs/in-a-row/{second}")
    await page.get_by_role("link", name="Previous run: succeeded").click()
    await page.wait_for_url(f"**/dag-runs/in-a-row/{first}")
    await expect(page.get_by_role("link", name="Previous run")).to_have_count(0)
    await page.get_by_role("link", name="Next run").click()
    await page.wait_for_url(f"**/{second}")
    await page.get_by_role("link", name="Next run").click()
    await page.wait_for_url(f"**/{third}")
    await expect(page.get_by_role("link", name="Next run")).to_have_count(0)


async def test_events_are_sentences_that_lead_to_their_steps(visitor: Visitor, path: str) -> None:
    page = await visitor.open(f"{path}?view=events")
    events = page.get_by_role("list", name="Events").get_by_role("listitem")
    await expect(events.filter(has_text=f"{LONG_NAME} succeeded")).to_have_count(1)
    await expect(events.filter(has_text="retried failed and will be retried")).to_contain_text("retry 1")
    failed = events.filter(has_text="fails failed")
    await expect(failed).to_contain_text("exit status 3")
    await events.filter(has_text="after did not run").get_by_role("link").click()
    await expect(page.get_by_role("region", name="Step after")).to_be_visible()
    await expect(page.get_by_role("tab", name="Events")).to_have_attribute("aria-selected", "true")


async def test_the_params_of_sub_runs_are_whole_on_a_phone(browser: Browser, site: Site) -> None:
    site.save(
        "fan-out",
        "steps:\n  - {name: each, call: one, parallel: [the-first-item-of-the-list, another]}\n"
        "---\nname: one\nsteps:\n  - {name: work, command: echo $1}\n",
    )
    run_id = site.run("fan-out")
    async with visiting(browser, site.address, cookie=site.cookies["viewer"], width=390) as visitor:
        page = await visitor.open(f"/dag-runs/fan-out/{run_id}")
        await page.get_by_role("button", name="Sub-runs of each").click()
        params = page.get_by_text("the-first-item-of-the-list")
        await expect(params.first).to_be_visible()
        assert await params.first.evaluate("element => element.scrollWidth <= element.clientWidth")
        await page.get_by_role("button", name="Steps of sub-run").first.click()
        await expect(page.get_by_role("button", name="work", exact=True)).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


async def test_a_run_says_from_whose_outputs_it_began(visitor: Visitor, site: Site) -> None:
    step = "steps: [{name: count, command: echo 1, output: LAST_ID}]\n"
    site.save("continued", "params: [{SINCE: '${DAG_LAST_OUTPUTS.lastId}'}]\n" + step)
    first, second = site.run("continued"), site.run("continued")
    page = await visitor.open(f"/dag-runs/continued/{second}")
    facts = page.locator(".run-facts")
    await expect(facts).to_contain_text("from the outputs of run")
    await facts.get_by_title(first).click()
    await expect(page).to_have_url(re.compile(f"/dag-runs/continued/{first}"))
    await expect(facts).not_to_contain_text("from the outputs of run")

"""The output of all steps of a run in one stream, in the order of time."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import Site

SPEC = (
    "steps:\n"
    "  - {name: in/out, command: \"sh -c 'echo begin; echo careful >&2'\"}\n"
    "  - {name: count, command: seq 300000}\n"
    "  - {name: last, command: echo the end}\n"
)
MOST_IN_DOCUMENT = 200


@pytest.fixture(scope="module")
def path(site: Site) -> str:
    site.save("talker", SPEC)
    return f"/dag-runs/talker/{site.run('talker')}?output=all"


@pytest.fixture
async def visitor(browser: Browser, site: Site) -> AsyncIterator[Visitor]:
    async with visiting(browser, site.address, cookie=site.cookies["viewer"]) as opened:
        yield opened
        assert opened.complaints == []


def lines(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("region", name="Lines of all steps")


async def test_it_is_one_click_from_the_output_of_a_step(visitor: Visitor, path: str) -> None:
    page = await visitor.open(path.partition("?")[0])
    await page.get_by_role("button", name="Show all output").click()
    await expect(lines(visitor).locator(".log-head").first).to_have_text("in/out")
    await expect(lines(visitor).locator(".log-line").nth(0)).to_contain_text("begin")
    await expect(lines(visitor).locator(".log-line.err")).to_contain_text("careful")
    await expect(lines(visitor).locator(".log-head")).to_have_text(["in/out", "count"])
    await page.get_by_role("button", name="Show one step").click()
    await expect(page.get_by_role("region", name="Log lines")).to_be_visible()


async def test_the_end_of_much_output_is_one_click_away_and_the_way_back_has_every_line(
    visitor: Visitor, path: str
) -> None:
    page = await visitor.open(path)
    await page.get_by_role("button", name="Go to the end").click()
    await expect(lines(visitor).get_by_text("the end")).to_be_in_viewport()
    await expect(lines(visitor).locator(".log-text").get_by_text("300000", exact=True)).to_be_in_viewport()
    before = await lines(visitor).evaluate("box => box.scrollHeight")
    await lines(visitor).press("Home")  # the first of the lines that are here, which brings those before them
    await page.wait_for_function(
        "([box, height]) => box.scrollHeight > height", arg=[await lines(visitor).element_handle(), before]
    )
    shown = [
        int(text) for text in await lines(visitor).locator(".log-text").all_inner_texts() if text.strip().isdigit()
    ]
    assert shown == list(range(shown[0], shown[0] + len(shown)))
    assert 0 < len(shown) <= MOST_IN_DOCUMENT


async def test_a_line_leads_to_itself_in_the_output_of_its_step(visitor: Visitor, path: str) -> None:
    page = await visitor.open(path)
    await lines(visitor).get_by_role("link", name="in/out, stderr, line 1", exact=True).click()
    await expect(page.get_by_role("region", name="Log lines").locator(".linked")).to_contain_text("careful")


async def test_sub_runs_are_part_of_it_also_of_its_search(visitor: Visitor, site: Site) -> None:
    site.save(
        "calling-all",
        "steps:\n  - {name: each, call: called, parallel: [a, b]}\n  - {name: own, command: echo at home}\n"
        "---\nname: called\nsteps:\n  - {name: work, command: echo work on $1}\n",
    )
    page = await visitor.open(f"/dag-runs/calling-all/{site.run('calling-all')}?output=all")
    heads = lines(visitor).locator(".log-head")
    named = "called \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} work"
    await expect(heads).to_have_text([named, named, "own"])
    await expect(lines(visitor).locator(".log-line")).to_have_count(3)
    await page.get_by_role("searchbox", name="Search this log").fill("work on b")
    await page.get_by_role("searchbox", name="Search this log").press("Enter")
    await expect(page.get_by_role("status").filter(has_text="1 of 1")).to_be_visible()
    await expect(lines(visitor).locator(".hit")).to_contain_text("work on b")
    await lines(visitor).locator(".hit .log-number").click()
    await expect(page.get_by_role("region", name="Log lines").locator(".linked")).to_contain_text("work on b")


async def test_groups_and_tries_of_each_step_fold_also_where_steps_alternate(
    visitor: Visitor, site: Site, tmp_path: Path
) -> None:
    told = f"echo ::group::Build; echo x >> {tmp_path}/n; seq 2; sleep 0.3; test $(wc -l < {tmp_path}/n) -ge 2"
    other = "for n in 1 2 3 4; do echo other $n; sleep 0.2; done"
    site.save(
        "folding",
        "type: graph\nsteps:\n"
        f"  - {{name: flaky, command: \"sh -c '{told}'\", retryPolicy: {{limit: 2, intervalSec: 0}}}}\n"
        f"  - {{name: other, command: \"sh -c '{other}'\"}}\n"
        "  - {name: each, call: part, depends: [flaky, other]}\n"
        "---\nname: part\nsteps:\n"
        "  - {name: work, command: \"sh -c 'echo ::group::Test; echo inside; echo ::endgroup::; echo end'\"}\n",
    )
    page = await visitor.open(f"/dag-runs/folding/{site.run('folding')}?output=all")
    shown = lines(visitor).locator(".log-line")
    await expect(shown).to_have_count(3 + 3 + 4 + 4)
    tries = lines(visitor).locator(".log-head.try")
    await expect(tries).to_have_text(
        [re.compile("^Try 1 of 2 · failed with exit code 1 · "), re.compile("^Try 2 of 2 · succeeded · ")]
    )
    await page.get_by_role("button", name="Fold Try 1 of 2 of flaky").click()
    await expect(shown).to_have_count(3 + 4 + 4)
    await page.get_by_role("button", name="Fold Build of flaky").click()
    await expect(shown).to_have_count(1 + 4 + 4)
    await page.get_by_role("button", name="Fold Test of work").click()
    await expect(shown).to_have_count(1 + 4 + 2)
    await expect(shown.filter(has_text="other")).to_have_count(4)
    await page.get_by_role("searchbox", name="Search this log").fill("inside")
    await page.get_by_role("searchbox", name="Search this log").press("Enter")
    await expect(lines(visitor).locator(".hit")).to_contain_text("inside")
    await page.get_by_role("button", name="Unfold groups").click()
    await expect(shown).to_have_count(3 + 4 + 4)
    await page.get_by_role("button", name="Fold groups").click()
    await page.get_by_role("button", name="Unfold Try 1 of 2 of flaky").click()
    await expect(shown).to_have_count(1 + 1 + 4 + 2)
    assert await visitor.find_barriers() == []


async def test_a_hit_that_is_far_away_is_found(visitor: Visitor, path: str) -> None:
    page = await visitor.open(path)
    await page.get_by_role("searchbox", name="Search this log").fill("250000")
    await page.get_by_role("searchbox", name="Search this log").press("Enter")
    await expect(lines(visitor).locator(".hit")).to_have_text("250000250000")
    await expect(lines(visitor).locator(".hit")).to_be_in_viewport()


async def test_lines_of_a_run_under_way_come_as_they_are_written(visitor: Visitor, site: Site, tmp_path: Path) -> None:
    go = tmp_path / "go"
    site.save(
        "steady",
        f"steps:\n  - {{name: wait, command: \"sh -c 'echo ready; until test -e {go}; do sleep 0.1; done'\"}}\n"
        "  - {name: after, command: echo at last}\n",
    )
    run_id = site.start("steady")
    await visitor.open(f"/dag-runs/steady/{run_id}?output=all")
    await expect(lines(visitor).get_by_text("ready")).to_be_visible()
    go.touch()
    await expect(lines(visitor).get_by_text("at last")).to_be_visible()
    await expect(lines(visitor).get_by_text("ready")).to_have_count(1)


@pytest.mark.parametrize("width", WIDTHS)
async def test_it_can_be_used_by_everybody(browser: Browser, site: Site, path: str, width: int) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["viewer"], width=width) as visitor:
        page = await visitor.open(path)
        await expect(lines(visitor).get_by_text("careful")).to_be_visible()
        assert len(visitor.asked()) == len(set(visitor.asked())), "a request is sent twice"
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert await visitor.find_barriers() == []
        await page.emulate_media(color_scheme="dark")
        assert await visitor.find_barriers() == []

"""The run page as a workbench: panes of the user's widths, much at once, nothing that moves, and ways to run again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect

from tests.process.waiting import wait_for
from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import Site
from tests.web.test_failed_runs import NESTED

STEPS, SUB_RUNS, FAILED = 500, 2000, 7
MOST_ROWS = 250
SLEEPING = "maxActiveRuns: 1\nparams: WHO=nobody HOW=well\nsteps:\n  - {name: wait, command: sleep 600}\n"
FEW_ROWS = "most => document.querySelectorAll('ol.steps > li').length <= most"
# Rows near the edge of the pane come and go until it has settled, so that one may be gone before it has the focus.
FOCUSED = """name => {
    const found = [...document.querySelectorAll(".step-name")].find((button) => button.textContent === name);
    found?.focus();
    return found !== undefined && document.activeElement === found;
}"""
# What has moved since the page was opened, without the user: the score of the browser.
SHIFTS = """() => new Promise((resolve) => {
    new PerformanceObserver((list) => resolve(list.getEntries().map(({ value, hadRecentInput, sources }) =>
        hadRecentInput ? "" : `${value} ${sources.map(({ node }) => node?.className ?? node?.nodeName)}`)))
        .observe({ type: "layout-shift", buffered: true });
    setTimeout(() => resolve([]), 300);
})"""


@pytest.fixture(scope="module")
def mill(site: Site) -> str:
    """A run that the tests below make larger in the browser, for it takes long to run as many steps."""
    site.save("mill", "steps:\n  - {name: each, call: one, parallel: [a, b]}\n---\nname: one\nsteps: [echo $1]\n")
    return site.run("mill")


@pytest.fixture
async def visitor(browser: Browser, site: Site) -> AsyncIterator[Visitor]:
    async with visiting(browser, site.address, cookie=site.cookies["operator"]) as opened:
        yield opened
        assert opened.complaints == []


async def _enlarge(page: Page, run_id: str, change: Any) -> None:
    """Let the page of a run see a larger one."""

    async def answer(route: Route) -> None:
        response = await route.fetch()
        body = await response.json()
        change(body)
        await route.fulfill(response=response, body=json.dumps(body))

    await page.route(f"**/api/v2/dag-runs/mill/{run_id}", answer)
    await page.route(f"**/api/v2/dag-runs/mill/{run_id}/sub-dag-runs", answer)


def _many_steps(body: dict[str, Any]) -> None:
    if run := body.get("dagRunDetails"):
        [node] = run["nodes"]
        del node["subRuns"]
        run["nodes"] = [
            node | {"step": {"name": f"s{number}"}, "status": 2 if number == STEPS - 3 else 4}
            for number in range(STEPS)
        ]
        run["status"] = 2


def _many_sub_runs(body: dict[str, Any]) -> None:
    if run := body.get("dagRunDetails"):
        run["nodes"][0]["subRuns"] = [
            {"dagRunId": f"id{number}", "params": f"item {number}"} for number in range(SUB_RUNS)
        ]
    if known := body.get("subRuns"):
        body["subRuns"] = [
            known[0]
            | {"dagRunId": f"id{number}", "params": f"item {number}", "error": "no room"}
            | {"status": 3 if number >= SUB_RUNS - FAILED else 4}
            for number in range(SUB_RUNS)
        ]


async def _width(pane: Locator) -> float:
    box = await pane.bounding_box()
    assert box is not None
    return box["width"]


async def test_panes_have_the_width_that_the_user_gives_them(visitor: Visitor, mill: str) -> None:
    page = await visitor.open(f"/dag-runs/mill/{mill}")
    steps = page.get_by_role("region", name="Steps of the run")
    bar = page.get_by_role("separator", name="Width of the steps")
    before = await _width(steps)
    await bar.focus()
    for _ in range(5):
        await page.keyboard.press("ArrowRight")
    await expect(bar).to_have_attribute("aria-valuenow", "42")
    wider = await _width(steps)
    assert wider > before + 80
    box = await bar.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 4, 500)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 204, 500, steps=4)
    await page.mouse.up()
    assert abs(await _width(steps) - wider - 200) < 15
    kept = await _width(steps)
    await page.reload()
    await visitor.settle()
    assert abs(await _width(steps) - kept) < 2
    await bar.dblclick()
    await expect(bar).to_have_attribute("aria-valuenow", "32")


@pytest.mark.parametrize("width", WIDTHS)
async def test_five_hundred_steps_are_few_elements_and_every_one_is_reached(
    browser: Browser, site: Site, mill: str, width: int
) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["viewer"], width=width) as visitor:
        await _enlarge(visitor.page, mill, _many_steps)
        page = await visitor.open(f"/dag-runs/mill/{mill}")
        rows = page.locator("ol.steps > li")
        await expect(page.locator(".step.chosen")).to_contain_text(f"s{STEPS - 3}")  # the failed one is in sight
        await page.wait_for_function(FEW_ROWS, arg=MOST_ROWS)
        if width > 900:
            await expect(page.locator(".step.chosen")).to_be_in_viewport()
            assert await page.evaluate("document.documentElement.scrollHeight <= window.innerHeight")
        await page.get_by_role("searchbox", name="Filter steps by name").fill("s123")
        await expect(rows).to_have_count(1)
        await page.get_by_role("searchbox", name="Filter steps by name").fill("")
        await page.get_by_role("group", name="Show steps that are").get_by_role("button", name="1 failed").click()
        await expect(rows).to_have_count(1)
        pane = page.locator(".run-left .pane-scroll")
        await page.get_by_role("button", name=f"{STEPS} in all").click()
        await page.wait_for_function("pane => pane.scrollTop > 0", arg=await pane.element_handle())  # to the chosen one
        await pane.evaluate("pane => (pane.scrollTop = 0)")
        await page.wait_for_function(FOCUSED, arg="s45")
        for number in range(46, 56):  # from the first part of the list into the second
            await expect(page.get_by_role("button", name=f"s{number}", exact=True)).to_be_attached()
            await page.keyboard.press("ArrowDown")
            await expect(page.get_by_role("button", name=f"s{number}", exact=True)).to_be_focused()
        await pane.evaluate("pane => (pane.scrollTop = pane.scrollHeight)")
        await expect(page.get_by_role("button", name=f"s{STEPS - 1}", exact=True)).to_be_attached()
        await page.keyboard.press("ArrowDown")  # the focus is where it was, not lost with the rows out of sight
        await expect(page.get_by_role("button", name="s56", exact=True)).to_be_focused()
        await page.wait_for_function(FEW_ROWS, arg=MOST_ROWS)


async def test_two_thousand_sub_runs_are_on_one_screen(visitor: Visitor, mill: str) -> None:
    await _enlarge(visitor.page, mill, _many_sub_runs)
    page = await visitor.open(f"/dag-runs/mill/{mill}")
    cells = page.get_by_role("listbox").get_by_role("option")
    await expect(cells).to_have_count(SUB_RUNS)
    await expect(cells.first).to_be_in_viewport(ratio=1)
    await expect(cells.last).to_be_in_viewport(ratio=1)
    assert await page.evaluate("document.documentElement.scrollHeight <= window.innerHeight")
    counts = page.get_by_role("group", name="Show sub-runs that are")
    await counts.get_by_role("button", name=f"{FAILED} aborted").click()
    await expect(cells).to_have_count(FAILED)
    listed = page.get_by_role("list", name="Sub-runs of the step").get_by_role("listitem")
    await expect(listed).to_have_count(FAILED)
    await expect(listed.first).to_contain_text("no room")


@pytest.mark.parametrize("width", WIDTHS)
async def test_nothing_moves_while_a_failed_run_opens(browser: Browser, site: Site, width: int) -> None:
    name = f"still-{width}"
    site.save(name, NESTED)
    run_id = site.run(name)
    async with visiting(browser, site.address, cookie=site.cookies["operator"], width=width) as visitor:
        page = await visitor.open(f"/dag-runs/{name}/{run_id}")
        await expect(page.get_by_role("region", name="Step resize").get_by_text("size of second")).to_be_visible()
        await expect(page.locator(".last-good")).to_contain_text("never")
        assert await page.evaluate(SHIFTS) == []
        await page.get_by_role("button", name="Details").click()
        assert await visitor.find_barriers() == []
        await page.emulate_media(color_scheme="dark")
        assert await visitor.find_barriers() == []


async def test_the_ways_to_run_again_say_what_has_changed(visitor: Visitor, site: Site) -> None:
    spec = "params: WHO=nobody\nsteps:\n  - {name: load, command: 'true'}\n  - {name: send, command: 'false'}\n"
    site.save("revised", spec)
    run_id = site.run("revised", params='WHO="Ada Lovelace"')
    site.send("PUT", "/dags/revised/spec", {"spec": spec.replace("'false'", "'echo sent to ${WHO}'")})
    page = await visitor.open(f"/dag-runs/revised/{run_id}")
    await page.get_by_role("button", name="Retry", exact=True).click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("This run has revision 1; the current one is 2, which changes send.")
    await dialog.get_by_role("button", name="Cancel").click()
    await page.get_by_role("button", name="Other ways to run again").click()
    items = page.get_by_role("menuitem")
    await expect(items).to_contain_text(
        ["Retry", "Retry from send", "Retry only send", "Run again", "Run again as it was", "Edit status of send"]
    )
    await expect(items.nth(0)).to_contain_text("with revision 1")
    await expect(items.nth(3)).to_contain_text("revision 2, the current one")
    await items.nth(3).click()
    await expect(dialog.get_by_label("WHO")).to_have_value("Ada Lovelace")
    await dialog.get_by_label("WHO").fill("Grace Hopper")
    await dialog.get_by_role("button", name="Start", exact=True).click()
    await page.get_by_role("button", name="send", exact=True).click()
    await expect(page.get_by_role("region", name="Step send").get_by_text("sent to Grace Hopper")).to_be_visible()


async def test_a_start_that_is_refused_is_enqueued_in_the_same_dialog(visitor: Visitor, site: Site) -> None:
    site.save("alone", SLEEPING)
    running = site.start("alone")
    page = await visitor.open("/dags/alone?start=1")
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("this DAG allows one at a time")
    await dialog.get_by_role("button", name="Start", exact=True).click()
    await dialog.get_by_role("alert").get_by_role("button", name="Enqueue").click()
    await expect(page.locator(".run-header").get_by_role("status")).to_have_text("queued")
    waiting = page.url.rpartition("/")[2].partition("?")[0]
    visitor.complaints[:] = [text for text in visitor.complaints if "409" not in text]
    site.send("GET", f"/dag-runs/alone/{waiting}/dequeue")
    site.send("POST", f"/dag-runs/alone/{running}/stop", {})


async def test_the_details_say_who_decided_and_stay_open(visitor: Visitor, site: Site) -> None:
    site.save(
        "decided",
        "steps:\n  - {name: gate, type: hitl, config: {prompt: Ship it?, input: [TICKET], required: [TICKET]}}\n"
        "  - {name: ship, command: 'echo shipped ${TICKET}'}\n",
    )
    run_id = site.start("decided")
    wait_for("the question", lambda: site.send("GET", "/approvals")["approvals"])
    site.send("POST", f"/dag-runs/decided/{run_id}/steps/gate/approve", {"inputs": {"TICKET": "OPS-7"}})
    page = await visitor.open(f"/dag-runs/decided/{run_id}?step=gate")
    await expect(page.locator("ol.steps > li").first).to_contain_text("approved by admin")
    await page.get_by_role("button", name="Details").click()
    details = page.get_by_role("region", name="Details of gate")
    await expect(details).to_contain_text("admin")
    await expect(details).to_contain_text("OPS-7")
    await page.get_by_role("button", name="ship", exact=True).click()
    await page.reload()
    await expect(page.get_by_role("region", name="Details of ship")).to_contain_text("echo shipped")
    await page.get_by_role("button", name="Details").click()
    await expect(page.get_by_role("separator")).to_have_count(1)


async def test_the_details_have_each_try_and_what_it_ran_with(visitor: Visitor, site: Site) -> None:
    site.save(
        "detailed",
        "params: DAY=monday\nenv: [{DATA: not-for-operators}]\nsteps:\n"
        "  - name: use\n    command: sh -c 'echo ${DAY}; echo none >&2; exit 3'\n"
        "    retryPolicy: {limit: 1, intervalSec: 0}\n",
    )
    page = await visitor.open(f"/dag-runs/detailed/{site.run('detailed')}")
    await page.get_by_role("button", name="Details").click()
    details = page.get_by_role("region", name="Details of use")
    tries = details.get_by_role("region", name="2 tries").get_by_role("listitem")
    await expect(tries).to_have_count(2)
    await expect(tries.first).to_contain_text("exit 3")
    await expect(details.get_by_role("region", name="As it ran")).to_contain_text("echo monday; echo none >&2; exit 3")
    await expect(details.get_by_role("region", name="Parameters and run variables")).to_contain_text("DAYmonday")
    await expect(details.get_by_role("region", name="Environment")).to_contain_text("DATA")
    await expect(details).not_to_contain_text("not-for-operators")

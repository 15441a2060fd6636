"""A graph is readable however many steps it has, and every step can be found and reached."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import Site

STEPS, CHAINS = 240, 12
SMALLEST = 0.75  # scale at which a graph opens
HANDLED = (
    "type: graph\nsteps:\n  - {name: first, command: 'true'}\n"
    "  - {name: each, call: child, parallel: [a, b, c], depends: first}\n"
    "  - {name: last, command: 'true', depends: each}\n"
    "handlerOn:\n  exit: {command: 'true'}\n"
    "---\nname: child\nsteps:\n  - {name: work, command: 'true'}\n"
)


@pytest.fixture(scope="module")
def drawn(site: Site) -> Site:
    def line(index: int) -> str:
        above = f", depends: s{index - CHAINS}" if index >= CHAINS else ""
        return f"  - {{name: s{index}, command: 'true'{above}}}\n"

    site.save("many-steps", "type: graph\nsteps:\n" + "".join(map(line, range(STEPS))))
    site.save("handled", HANDLED)
    site.run("handled")
    return site


@pytest.fixture
async def visitor(browser: Browser, drawn: Site) -> AsyncIterator[Visitor]:
    async with visiting(browser, drawn.address, cookie=drawn.cookies["viewer"]) as opened:
        yield opened
        assert opened.complaints == []


async def _scale(page: Page) -> float:
    layer = page.get_by_role("group", name="Graph of the steps")
    return float(await layer.evaluate("layer => Number(layer.style.zoom)"))


async def test_a_large_graph_opens_readable_and_has_a_map_and_a_search(visitor: Visitor) -> None:
    page = await visitor.open("/dags/many-steps/graph")
    graph = page.get_by_role("group", name="Graph of the steps")
    await expect(graph.get_by_role("button")).to_have_count(STEPS)
    assert SMALLEST <= await _scale(page) <= 1
    names = [await box.inner_text() for box in await graph.get_by_role("button").all()]
    assert names == [f"s{index}" for index in range(STEPS)]
    script = "boxes => boxes.map((box) => [parseFloat(box.style.top), parseFloat(box.style.left)])"
    places = await graph.get_by_role("button").evaluate_all(script)
    assert places[:CHAINS] == sorted(places[:CHAINS]), "the first layer is not in the order of the definition"
    await expect(page.locator(".graph-map")).to_be_visible()
    last = graph.get_by_role("button", name=f"s{STEPS - 1}", exact=True)
    await page.get_by_label("Find a step").fill(f"s{STEPS - 1}")
    await expect(last).to_be_in_viewport(ratio=0.9)
    await page.get_by_role("button", name="Fit").click()
    assert await _scale(page) < SMALLEST
    await expect(graph.get_by_role("button").first).to_be_in_viewport()
    await expect(last).to_be_in_viewport()


async def test_arrow_keys_keep_the_step_in_sight(visitor: Visitor) -> None:
    page = await visitor.open("/dags/many-steps/graph")
    graph = page.get_by_role("group", name="Graph of the steps")
    await graph.get_by_role("button", name="s0", exact=True).focus()
    forward = "ArrowDown" if await _is_vertical(page) else "ArrowRight"
    for _ in range(STEPS // CHAINS - 1):
        await page.keyboard.press(forward)
    end = graph.get_by_role("button", name=f"s{STEPS - CHAINS}", exact=True)
    await expect(end).to_be_focused()
    await expect(end).to_be_in_viewport(ratio=0.9)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name=f"s{STEPS - CHAINS}")).to_be_visible()


async def _is_vertical(page: Page) -> bool:
    first, below = [page.get_by_role("button", name=name, exact=True) for name in ("s0", f"s{CHAINS}")]
    script = "box => parseFloat(box.style.top)"
    return float(await below.evaluate(script)) > float(await first.evaluate(script))


async def test_a_run_shows_durations_counts_and_handlers(visitor: Visitor) -> None:
    page = await visitor.open("/dag-runs/handled/latest?view=graph")
    graph = page.get_by_role("group", name="Graph of the steps")
    each = graph.get_by_role("button", name="each: succeeded")
    await expect(each).to_contain_text("3 \u00d7 child")
    await expect(each.locator(".number")).to_be_visible()
    await expect(graph.get_by_role("button", name="onExit: succeeded, on exit")).to_be_visible()
    assert await _scale(page) == 1


async def test_the_critical_path_is_shown_in_graph_and_timeline(visitor: Visitor, drawn: Site) -> None:
    drawn.save(
        "critical",
        "type: graph\nsteps:\n  - {name: fetch, command: sleep 0.3}\n"
        "  - {name: short, command: 'true', depends: fetch}\n"
        "  - {name: long, command: sleep 0.6, depends: fetch}\n"
        "  - {name: end, command: 'true', depends: [short, long]}\n",
    )
    page = await visitor.open(f"/dag-runs/critical/{drawn.run('critical')}?view=graph")
    graph = page.get_by_role("group", name="Graph of the steps")
    on_path = graph.get_by_role("button", name="on the critical path")
    await expect(on_path).to_have_count(3)
    await expect(graph.get_by_role("button", name="short: succeeded", exact=True)).to_be_visible()
    drawn_heads = "group => group.querySelector('.head').getAttribute('d').split('M').length - 1"
    assert await graph.locator("g.critical").evaluate(drawn_heads) == 2
    said = page.get_by_role("group", name="Critical path")
    await expect(said).to_contain_text(re.compile(r"3 steps, [\d.]+ m?s of [\d.]+ m?s"))
    assert await visitor.find_barriers() == []
    await said.get_by_role("button", name="long").click()
    await expect(graph.get_by_role("button", name="long: succeeded")).to_have_attribute("aria-pressed", "true")
    await page.get_by_role("tab", name="Timeline").click()
    rows = page.locator(".timeline ol.steps > li")
    await expect(rows).to_have_count(4)
    await expect(rows.get_by_role("button", name="on the critical path")).to_have_count(3)
    await page.get_by_label("Only these steps").check()
    await expect(rows).to_have_count(3)
    await expect(rows.filter(has_text="short")).to_have_count(0)
    assert await visitor.find_barriers() == []


async def test_the_path_of_five_hundred_steps_is_one_line_and_stays_in_sight(visitor: Visitor, drawn: Site) -> None:
    run_id = drawn.run("handled")
    await visitor.page.route(f"**/api/v2/dag-runs/handled/{run_id}", _lengthen)
    page = await visitor.open(f"/dag-runs/handled/{run_id}?view=graph")
    graph = page.get_by_role("group", name="Graph of the steps")
    await expect(graph.get_by_role("button")).to_have_count(500)
    await expect(graph.get_by_role("button", name="on the critical path")).to_have_count(125)
    said = page.get_by_role("group", name="Critical path")
    await expect(said).to_contain_text("125 steps, 2 m 06 s of 2 m 06 s")
    await said.get_by_role("button", name="s300").click()
    await expect(graph.get_by_role("button", name="s300: succeeded")).to_be_in_viewport()
    assert await page.locator(".graph-map path.critical").get_attribute("d")
    await page.get_by_role("tab", name="Timeline").click()
    await page.locator(".run-left .pane-scroll").evaluate("pane => (pane.scrollTop = pane.scrollHeight)")
    await expect(said).to_be_in_viewport()
    await page.get_by_label("Only these steps").check()
    await page.get_by_role("searchbox", name="Filter steps by name").fill("s30")
    await expect(page.locator(".timeline ol.steps > li")).to_have_count(3)  # s300, s304 and s308
    visitor.complaints[:] = [text for text in visitor.complaints if "404" not in text]  # the server has no such steps


async def _lengthen(route: Route) -> None:
    """Let the page see a run of four chains of 125 steps, of which the first takes longest, and in that s300."""
    response = await route.fetch()
    body = await response.json()
    run = body["dagRunDetails"]
    run |= {"startedAtMillis": 0, "finishedAtMillis": 126_000}
    del run["onExit"]
    node = {key: value for key, value in run["nodes"][0].items() if key != "subRuns"}
    run["nodes"] = [
        node
        | {
            "step": {"name": f"s{index}", "depends": [f"s{index - 4}"] if index >= 4 else []},
            "startedAtMillis": (index // 4 + (index > 303)) * 1000,
            "finishedAtMillis": (index // 4 + 1 + (index >= 300)) * 1000 - (500 if index % 4 else 0),
        }
        for index in range(500)
    ]
    await route.fulfill(response=response, body=json.dumps(body))


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_graph_reaches_to_the_bottom_of_the_window_and_fills_it_on_request(
    browser: Browser, drawn: Site, width: int
) -> None:
    async with visiting(browser, drawn.address, cookie=drawn.cookies["viewer"], width=width) as visitor:
        page = await visitor.open("/dags/handled/graph")
        frame = page.locator(".graph-frame")
        await page.get_by_role("group", name="Graph of the steps").get_by_role("button", name="first").wait_for()
        box = await frame.bounding_box()
        assert box
        assert WIDTHS[width] - 40 <= box["y"] + box["height"] or width < 1000
        await page.get_by_role("button", name="Expand").click()
        wide = await frame.bounding_box()
        assert wide
        assert (wide["x"], wide["width"]) == (0, width)
        assert wide["y"] + wide["height"] == WIDTHS[width]
        await page.keyboard.press("Escape")
        assert await frame.bounding_box() == box
        assert visitor.complaints == []
        assert await visitor.find_barriers() == []

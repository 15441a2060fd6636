"""What people come for most often, each by keys alone: no click, and no address that is typed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.process.waiting import wait_for
from tests.web.browser import Visitor, visiting
from tests.web.site import Site

MOST_TABS = 150
FAILING = "sh -c 'echo out of tea >&2; exit 3'"


@pytest.fixture
async def visitor(browser: Browser, site: Site) -> AsyncIterator[Visitor]:
    """Somebody at the dashboard, who cannot use a mouse."""
    async with visiting(browser, site.address, cookie=site.cookies["admin"]) as opened:
        await opened.open("/")
        yield opened
        assert opened.complaints == []


async def _go(visitor: Visitor, text: str) -> Page:
    """Open the box, type, and take what it offers first."""
    await visitor.page.keyboard.press("Control+k")
    await expect(visitor.page.get_by_role("combobox", name="Search or go to")).to_be_focused()
    await visitor.page.keyboard.type(text)
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.page.get_by_role("dialog", name="Search or go to")).to_have_count(0)
    return await visitor.settle()


async def _tab_to(page: Page, name: str) -> None:
    """Press Tab until the name of what has the focus begins so."""
    for _ in range(MOST_TABS):
        await page.keyboard.press("Tab")
        found = await page.evaluate(
            "[document.activeElement.ariaLabel, document.activeElement.shadowRoot?.activeElement?.ariaLabel,"
            " document.activeElement.textContent].map((text) => text?.trim())"
        )
        if any(text and text.startswith(name) for text in found):
            return
    raise AssertionError(f"no way by Tab to {name}")


async def _use(page: Page, name: str) -> None:
    await _tab_to(page, name)
    await page.keyboard.press("Enter")


@pytest.mark.parametrize("depth", ["a step", "a sub-run", "before the first step"])
async def test_to_the_reason_of_a_failure(visitor: Visitor, site: Site, depth: str) -> None:
    name = f"tea-{len(depth)}"
    spec = f'steps:\n  - {{name: brew, command: "{FAILING}"}}\n'
    if depth == "a sub-run":
        spec = f"steps:\n  - {{name: each, call: cup, parallel: [a, b]}}\n---\nname: cup\n{spec}"
    if depth == "before the first step":
        spec = f"preconditions:\n  - {{condition: 'false', expected: 'true'}}\n{spec}"
    site.save(name, spec)
    site.run(name)
    page = await _go(visitor, f"runs of {name}")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(f"/dag-runs/{name}/"))
    if depth == "before the first step":
        await expect(page.locator(".why")).to_contain_text("precondition")
    else:
        await expect(page.get_by_role("region", name="Log lines").get_by_text("out of tea")).to_be_visible()


async def test_to_why_a_run_waits(visitor: Visitor) -> None:
    page = await _go(visitor, "queues")
    await expect(page.locator(".queue .reason").first).to_be_visible()


async def test_to_a_start_with_parameters(visitor: Visitor, site: Site) -> None:
    site.save("polite", "params: WHO=nobody\nsteps:\n  - {name: greet, command: 'echo good day ${WHO}'}\n")
    page = await _go(visitor, "start polite")
    await expect(page.get_by_role("dialog").get_by_label("WHO")).to_be_focused()
    await page.keyboard.press("Control+a")
    await page.keyboard.type("Grace")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("region", name="Log lines").get_by_text("good day Grace")).to_be_visible()


async def test_to_a_retry_from_a_step(visitor: Visitor, site: Site) -> None:
    site.save("cold", f'steps:\n  - {{name: boil, command: "true"}}\n  - {{name: pour, command: "{FAILING}"}}\n')
    run_id = site.run("cold")
    page = await _go(visitor, run_id[:20])
    await _use(page, "Other ways to run again")
    await expect(page.get_by_role("menuitem").first).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="Retry from step pour?")).to_be_visible()
    await _use(page, "Retry from here")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert site.send("GET", f"/dag-runs/cold/{run_id}")["dagRunDetails"]["name"] == "cold"


async def test_to_a_comparison(visitor: Visitor, site: Site) -> None:
    site.save("mixed", "params: CODE=0\nsteps:\n  - {name: one, command: 'exit ${CODE}', shell: sh}\n")
    for code in "01":
        site.run("mixed", params=f"CODE={code}")
    page = await _go(visitor, "runs of mixed")
    await page.keyboard.press("j")
    await page.keyboard.press("o")
    await page.wait_for_url(re.compile("/dag-runs/mixed/"))
    await visitor.settle()
    await _use(page, "Compare")
    await expect(page.get_by_role("region", name="Parameters")).to_contain_text("differs")


async def test_to_a_definition_with_a_mistake(visitor: Visitor, site: Site) -> None:
    site.save("typed", "steps:\n  - {name: one, command: 'true'}\n")
    page = await _go(visitor, "definition of typed")
    await expect(page.get_by_role("textbox", name="Definition of typed")).to_be_visible()
    await _tab_to(page, "Definition of typed")
    await page.keyboard.press("Control+End")
    await page.keyboard.type("stepz: []\n")
    await expect(page.get_by_role("button", name=re.compile("line 3"))).to_be_visible()
    await page.keyboard.press("Control+z")


async def test_to_an_approval(visitor: Visitor, site: Site) -> None:
    site.save("asking", "steps:\n  - {name: gate, type: hitl, config: {prompt: 'One sugar?'}}\n")
    run_id = site.start("asking")
    wait_for(
        "the question", lambda: any(one["dagRunId"] == run_id for one in site.send("GET", "/approvals")["approvals"])
    )
    page = await _go(visitor, "approvals")
    card = page.get_by_role("article").filter(has_text="One sugar?")
    for _ in range(MOST_TABS):
        await page.keyboard.press("j")
        if await card.locator(":focus").count():
            break
    await _use(page, "Approve")
    await _use(page, "Approve")  # in the dialog
    wait_for("the approval", lambda: site.status("asking", run_id) == "succeeded")


async def test_to_rights_for_a_colleague(visitor: Visitor) -> None:
    page = await _go(visitor, "access")
    await _use(page, "Give access")
    await expect(page.get_by_role("dialog").get_by_label("User or group")).to_be_focused()


async def test_to_who_changed_a_schedule(visitor: Visitor, site: Site) -> None:
    spec = "schedule: 0 {} * * *\nsteps:\n  - echo one\n"
    site.save("moved", spec.format(6))
    site.send("PUT", "/dags/moved/spec", {"spec": spec.format(5)})
    page = await _go(visitor, "audit")
    await page.keyboard.press("/")
    await page.keyboard.type("kind:dag moved")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("row").filter(has_text="schedule 0 6")).to_have_count(1)
    await _use(page, "revision 1 \N{RIGHTWARDS ARROW} 2")
    await expect(page.get_by_role("dialog")).to_contain_text("+schedule: 0 5 * * *")

"""Approvals in the browser: the inbox, and the step of a run that asks."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, expect

from tests.web.browser import Visitor, visiting
from tests.web.site import Site

SPEC = """
steps:
  - {name: gate, type: hitl, config: {prompt: "Ship to production?", input: [TICKET], required: [TICKET]}}
  - {name: ship, command: 'echo "${TICKET}"'}
"""


@pytest.fixture
def asking(site: Site) -> Iterator[str]:
    """The id of a run that waits for an approval."""
    site.save("asking", SPEC)
    yield site.start("asking")
    site.send("POST", "/dags/asking/stop-all")
    site.send("DELETE", "/dags/asking")


@pytest.fixture
async def visitor(browser: Browser, site: Site, asking: str) -> AsyncIterator[Visitor]:  # noqa: ARG001 - it has begun
    async with visiting(browser, site.address, cookie=site.browse("operator")) as opened:
        yield opened


async def test_an_operator_approves_in_the_inbox_with_what_is_asked_for(
    visitor: Visitor, site: Site, asking: str
) -> None:
    page = await visitor.open("/approvals")
    card = page.get_by_role("article", name="Approval of gate of asking")
    await expect(card).to_contain_text("Ship to production?")
    await expect(card).to_contain_text("ship can run.")
    badge = page.get_by_role("navigation").get_by_title(re.compile("for you to decide"))
    waiting = len(site.send("GET", "/approvals")["approvals"])
    await expect(badge).to_have_text(str(waiting))
    await card.get_by_role("button", name="Approve").click()
    dialog = page.get_by_role("dialog", name="Approve the step “gate”?")
    await dialog.get_by_label("TICKET").fill("OPS-7")
    await dialog.get_by_role("button", name="Approve").click()
    await expect(card).to_have_count(0)
    await expect(badge).to_have_text(str(waiting - 1)) if waiting > 1 else await expect(badge).to_have_count(0)
    decided = page.get_by_role("row").filter(has_text="approved by operator")
    await expect(decided.first).to_contain_text("TICKET=OPS-7")
    page = await visitor.open(f"/dag-runs/asking/{asking}")
    await expect(page.get_by_role("main").get_by_text("succeeded").first).to_be_visible()
    details = site.send("GET", f"/dag-runs/asking/{asking}")["dagRunDetails"]
    assert details["nodes"][0]["approvedBy"] == "operator"


async def test_the_run_says_what_it_waits_for_and_is_rejected_with_a_reason(visitor: Visitor, asking: str) -> None:
    page = await visitor.open(f"/dag-runs/asking/{asking}?step=gate")
    main = page.get_by_role("main")
    await expect(main.locator("header")).to_contain_text("gatewaits for approval")
    await expect(main.get_by_role("listitem").filter(has_text="gate")).to_contain_text("waiting for approval")
    card = page.get_by_role("region", name="Approval of gate")
    await expect(card.get_by_text("Ship to production?")).to_be_visible()
    await card.get_by_role("button", name="Reject").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Reason").fill("Friday")
    await dialog.get_by_role("button", name="Reject").click()
    await expect(main.get_by_text("rejected by operator: Friday").first).to_be_visible()

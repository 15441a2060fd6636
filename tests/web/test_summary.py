"""The summary of a step on top of the page of its run."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.async_api import Browser, expect

from tests.web.browser import visiting
from tests.web.site import Site
from tests.web.test_workbench import SHIFTS

REPORT = """
steps:
  - name: quiet
    command: 'true'
  - name: report
    script: |
      cat > $DAG_SUMMARY <<'END'
      # Orders

      **3** of 5 rows, see [the rules](https://wiki.example.org/orders):

      | table | rows |
      |---|--:|
      | orders | 1200 |

      - `a.csv`
      - b.csv
      END
"""


@pytest.fixture(scope="module")
def reporting(site: Site) -> str:
    site.save("reporting", REPORT)
    return f"/dag-runs/reporting/{site.run('reporting')}"


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_summary_is_shown_on_top_and_moves_no_pane(
    browser: Browser, site: Site, reporting: str, width: int, theme: Literal["light", "dark"]
) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["viewer"], width=width, theme=theme) as visitor:
        page = await visitor.open(reporting)
        summary = page.get_by_role("region", name="Summary")
        await expect(summary.get_by_role("heading", name="Orders", level=2)).to_be_visible()
        await expect(summary.get_by_role("cell", name="1200")).to_be_visible()
        link = summary.get_by_role("link", name="the rules")
        assert await link.get_attribute("rel") == "noopener noreferrer nofollow"
        assert await link.get_attribute("target") == "_blank"
        await visitor.settle()
        moved = " ".join(await page.evaluate(SHIFTS))
        assert "pane" not in moved
        assert "summary" not in moved
        assert visitor.complaints == []
        assert await visitor.find_barriers() == []
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await summary.get_by_role("button", name="Show all").click()
        await expect(summary.get_by_text("b.csv")).to_be_in_viewport()


async def test_a_run_without_a_summary_asks_for_none(browser: Browser, site: Site) -> None:
    site.save("silent", "steps: [{name: a, command: 'true'}]\n")
    run_id = site.run("silent")
    async with visiting(browser, site.address, cookie=site.cookies["viewer"]) as visitor:
        page = await visitor.open(f"/dag-runs/silent/{run_id}")
        await visitor.settle()
        await expect(page.get_by_role("region", name="Summary")).to_have_count(0)
        assert not [sent for sent in visitor.asked() if "summary" in str(sent)]

"""What starts next: a line for each DAG, however often it starts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, expect

from tests.web.browser import WIDTHS, visiting
from tests.web.site import Site

SCHEDULES = {
    "minutely": ("* * * * *", "every minute"),
    "often": ("*/5 * * * *", "every 5 minutes"),
    "hourly": ("15 * * * *", "every hour at :15"),
    "weekly": ("30 4 * * 1", "every Monday at 04:30"),
    "rarely": ("0 0 29 2 *", "0 0 29 2 *"),
}


@pytest.fixture(scope="module")
def scheduled(site: Site) -> Iterator[Site]:
    for name, (expression, _) in SCHEDULES.items():
        site.save(name, f"schedule: '{expression}'\nsteps:\n  - {{name: one, command: 'true'}}\n")
        site.send("POST", f"/dags/{name}/suspend", {"suspend": True})
    yield site
    for name in SCHEDULES:
        site.send("DELETE", f"/dags/{name}")


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_dag_that_starts_every_minute_is_one_line_of_many(
    browser: Browser, scheduled: Site, width: int
) -> None:
    async with visiting(browser, scheduled.address, cookie=scheduled.cookies["viewer"], width=width) as visitor:
        page = await visitor.open("/schedules")
        rows = page.get_by_role("row") if width > 1000 else page.locator("tbody tr")
        for name, (_, words) in SCHEDULES.items():
            row = rows.filter(has=page.get_by_role("link", name=name, exact=True))
            await expect(row).to_have_count(1)
            await expect(row).to_contain_text(words)
        await expect(rows.filter(has_text="minutely").locator("time")).to_have_count(3)
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert visitor.complaints == []
        assert await visitor.find_barriers() == []
        await page.emulate_media(color_scheme="dark")
        assert await visitor.find_barriers() == []

"""What starts next: a line for each DAG, however often it starts."""

from __future__ import annotations

import re
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
    "rarely": ("0 0 29 2 *", "on the 29th of February at 00:00"),
}

ACTIVE = "rarely"  # it does not start during the tests, the others are suspended


@pytest.fixture(scope="module")
def scheduled(site: Site) -> Iterator[Site]:
    for name, (expression, _) in SCHEDULES.items():
        site.save(name, f"schedule: '{expression}'\nsteps:\n  - {{name: one, command: 'true'}}\n")
        if name != ACTIVE:
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
            await expect(row.locator("time")).to_have_count(3 if name == ACTIVE else 0)
            await expect(row.get_by_text("suspended")).to_have_count(0 if name == ACTIVE else 1)
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert visitor.complaints == []
        assert await visitor.find_barriers() == []
        await page.emulate_media(color_scheme="dark")
        assert await visitor.find_barriers() == []


async def test_all_times_of_a_page_are_in_one_zone_that_can_be_changed(browser: Browser, scheduled: Site) -> None:
    cookie = scheduled.cookies["viewer"]
    async with visiting(browser, scheduled.address, cookie=cookie, zone="Asia/Tokyo") as visitor:
        page = await visitor.open(f"/dags/{ACTIVE}/schedule")
        first = page.get_by_role("main").locator(".starts time").first
        server = await page.evaluate("JSON.parse(document.querySelector('meta[name=dagbook]').content).zone")
        assert server in ("UTC", "Etc/UTC"), "the zone of this server has to be another one than that of the browser"
        choice = page.get_by_role("banner").get_by_role("combobox", name="Time zone of all times")
        await expect(choice).to_have_value("Asia/Tokyo")
        await expect(page.get_by_text("schedules count in UTC.")).to_be_visible()
        await expect(page.get_by_text("on the 29th of February at 00:00")).to_be_visible()
        await expect(first).to_contain_text("09:00")
        await choice.select_option(label="UTC (server)")
        await expect(first).to_contain_text("00:00")
        page = await visitor.open("/schedules")
        await expect(choice).to_have_value("UTC")
        await expect(page.get_by_role("row").filter(has_text=ACTIVE).locator("time").first).to_contain_text("00:00")
        note = page.get_by_role("main").get_by_role("combobox", name="Time zone of all times")
        await note.select_option(label="Asia/Tokyo (yours)")
        await expect(page.get_by_role("row").filter(has_text=ACTIVE).locator("time").first).to_contain_text("09:00")
        assert visitor.complaints == []


async def test_times_without_a_run_are_selected_by_a_drag_and_run_by_a_batch(browser: Browser, scheduled: Site) -> None:
    scheduled.save("daily", "schedule: 'CRON_TZ=UTC 0 2 * * *'\nsteps:\n  - {name: one, command: 'true'}\n")
    async with visiting(browser, scheduled.address, cookie=scheduled.cookies["operator"]) as visitor:
        page = await visitor.open("/dags/daily/schedule")
        cells = page.get_by_role("button", name=re.compile("02:00: missing$"))
        await expect(page.get_by_role("button", name=re.compile(r"^Run \d+ missing$"))).to_be_visible()
        await cells.nth(0).hover()
        await page.mouse.down()
        await cells.nth(1).hover()
        await page.mouse.up()
        await page.get_by_role("button", name="Run 2 missing").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog.get_by_role("status")).to_contain_text("2 runs will start")
        await dialog.get_by_role("button", name="Start").click()
        await expect(page.get_by_text(re.compile(r"Batch \d+ has begun"))).to_be_visible()
        await expect(page.get_by_role("button", name="Run 2 missing")).to_have_count(0)
        assert visitor.complaints == []
        assert await visitor.find_barriers() == []
    scheduled.send("DELETE", "/dags/daily")

"""Every page, for those who may most and least (some for all), on a desk and on a phone, in both themes."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from playwright.async_api import Browser
from playwright.async_api import TimeoutError as PlaywrightTimeout

from dagbook.web import files
from dagbook.web.pages import PATHS
from tests.web.browser import WIDTHS, visiting
from tests.web.site import Site

PAGES = {
    "dashboard": "/",
    "dags": "/dags",
    "dags-none": "/dags?name=nothing-of-that-name",
    "dag": "/dags/etl",
    "dag-graph": "/dags/hostile/graph",
    "dag-spec": "/dags/etl/spec",
    "dag-revisions": "/dags/good/revisions",
    "dag-schedule": "/dags/etl/schedule",
    "approvals": "/approvals",
    "dag-alerts": "/dags/etl/alerts",
    "dag-triggers": "/dags/good/triggers",
    "batches": "/batches",
    "triggers": "/triggers",
    "trigger": "/triggers/push",
    "alerts": "/alerts",
    "alerts-messages": "/alerts?tab=messages",
    "queues": "/queues",
    "schedules": "/schedules",
    "schedules-past": "/schedules?tab=past",
    "workers": "/workers",
    "sources": "/sources",
    "source": "/sources/team",
    "dag-of-source": "/dags/sourced",
    "search": "/search?q=echo",
    "search-empty": "/search",
    "system": "/system",
    "users": "/users",
    "access": "/access",
    "access of a DAG": "/dags/etl/access",
    "account": "/account",
    "tokens": "/tokens",
    "audit": "/audit",
    "cli-login": "/cli-login?port=40000&host=here",
    "run-failed": "/dag-runs/etl/latest",
    "run-graph": "/dag-runs/hostile/latest?view=graph",
    "run-gantt": "/dag-runs/hostile/latest?view=gantt",
    "run-events": "/dag-runs/etl/latest?view=events",
    "run-spec": "/dag-runs/etl/latest?view=spec",
    "run-calling": "/dag-runs/caller/latest",
    "run-running": "/dag-runs/sleeper/latest",
    "runs": "/dag-runs",
    "runs-filtered": "/dag-runs?status=2&name=etl",
    "runs-none": "/dag-runs?name=nothing-of-that-name",
    "compare": "/compare?run=good/latest",
    "compare-none": "/compare?run=etl/latest",
    "compare-what": "/compare",
    "missing": "/nothing/here",
}
# A page that is not there is a real 404, which browsers put into their console.
_EXPECTED = {"missing": r"error: Failed to load resource: the server responded with a status of 404 .*/nothing/here"}


# Pages that show something else to somebody between those who may most and least.
_BY_RIGHT = (
    *("dags", "dag", "dag-spec", "dag-revisions", "dag-alerts"),
    *("run-failed", "run-running", "runs", "queues", "alerts", "trigger"),
)
_CONNECTED_MILLISECONDS = 10_000
_SEEN = [(name, role) for name in PAGES for role in ("admin", "viewer")]
_SEEN += [(name, role) for name in _BY_RIGHT for role in ("manager", "operator")]


@pytest.mark.parametrize(("name", "role"), _SEEN)
async def test_a_page_shows_without_a_complaint(browser: Browser, site: Site, name: str, role: str) -> None:
    """Some come with a phone and some to a desk; the page bears that they turn to the other."""
    widths = sorted(WIDTHS, reverse=role in ("admin", "operator"))
    async with visiting(browser, site.address, cookie=site.cookies[role], width=widths[0]) as visitor:
        page = await visitor.open(PAGES[name])
        assert len(visitor.asked()) == len(set(visitor.asked())), "a request is sent twice"
        for width in widths:
            await page.set_viewport_size({"width": width, "height": WIDTHS[width]})
            assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (
                "it scrolls sideways"
            )
        assert [text for text in visitor.complaints if not re.match(_EXPECTED.get(name, "$"), text)] == []


# Pages that follow no changes.
_STILL = ("search-empty", "system", "users", "access", "account", "tokens", "audit", "cli-login", "missing")


@pytest.mark.parametrize("names", [_STILL, pytest.param(tuple(PAGES), marks=pytest.mark.full)], ids=["still", "all"])
async def test_no_page_says_that_a_server_that_answers_is_away(
    browser: Browser, site: Site, names: tuple[str, ...]
) -> None:
    wrong = []
    async with visiting(browser, site.address, cookie=site.cookies["admin"]) as visitor:
        await visitor.page.clock.install()
        for name in names:
            page = await visitor.open(PAGES[name])
            try:
                await page.get_by_role("img", name="Live: ").wait_for(timeout=_CONNECTED_MILLISECONDS)
            except PlaywrightTimeout:
                wrong.append(f"{name}: is not live")
            await page.clock.fast_forward(60_000)
            wrong += [f"{name}: {text}" for text in await page.locator(".stale").all_inner_texts()]
    assert wrong == []


@pytest.mark.parametrize("hour", [1, 13])
async def test_the_last_day_fits_a_phone_at_any_hour(browser: Browser, site: Site, hour: int) -> None:
    ahead = (hour - datetime.now(UTC).hour + 12) % 24 - 12
    zone = f"Etc/GMT{-ahead:+d}"  # their signs are the other way round
    async with visiting(browser, site.address, cookie=site.cookies["viewer"], width=390, zone=zone) as visitor:
        page = await visitor.open(PAGES["dashboard"])
        ticks = await page.locator(".bar-place > span:not(:empty)").all_inner_texts()
        assert [re.fullmatch(r"[0-9]{2}:[0-9]{2}", tick) for tick in ticks].count(None) == 0 < len(ticks)
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it scrolls sideways"


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_can_be_used_by_everybody(browser: Browser, site: Site, name: str) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["admin"]) as visitor:
        page = await visitor.open(PAGES[name])
        assert await visitor.find_barriers() == []
        await page.emulate_media(color_scheme="dark")
        assert await visitor.find_barriers() == []


async def test_a_page_that_is_not_there_is_a_real_404(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["viewer"]) as visitor:
        answer = await visitor.page.goto(f"{site.address}/nothing/here")
        assert answer is not None
        assert answer.status == 404
        await visitor.settle()
        assert await visitor.page.get_by_role("heading", name="There is no such page").is_visible()


def test_the_server_serves_the_addresses_that_the_scripts_know() -> None:
    text = files.read("lib/routes.js").content.decode()
    known = set(re.findall(r'^  \["([^"]+)"', text, re.MULTILINE))
    served = {re.sub(r"\{(\w+):str\}", lambda match: f":{_camel(match[1])}", path) for path in PATHS}
    assert known == served


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)

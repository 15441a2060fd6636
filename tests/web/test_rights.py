"""What a role may never do has no button and no item in a menu."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.web.browser import visiting
from tests.web.site import Site

RUN = (
    r"Start|Stop|Retry|Run again|Edit status|Remove.* from the queue|Resume|Suspend|Pause|Move|Clear$|Mark run"
    r"|Acknowledge|Resend|Replay"
)
WRITE = r"Save|Rename|Delete|New DAG|Restore|Add rule|Add webhook|Send (a )?test"
ADMIN = r"Add user|Add channel|Clean up|Examine|Reset the password|Remove(?!.* from the queue)"
FORBIDDEN = {"viewer": f"^({RUN}|{WRITE}|{ADMIN})", "operator": f"^({WRITE}|{ADMIN})", "manager": f"^({ADMIN})"}
_MENUS = 3  # of a page: those of a list are alike
PAGES = (
    "/",
    "/dags",
    "/dags/etl",
    "/dags/etl/spec",
    "/dags/good/revisions",
    "/dags/etl/schedule",
    "/dags/etl/alerts",
    "/dag-runs",
    "/dag-runs/etl/latest",
    "/dag-runs/sleeper/latest",
    "/queues",
    "/alerts",
    "/triggers",
    "/dags/good/triggers",
    "/system",
    "/users",
    "/audit",
)


async def _offered(page: Page) -> list[str]:
    """Return the names of the buttons of a page, and of the items of its first menus."""
    main = page.get_by_role("main")
    buttons = await main.get_by_role("button").all()
    names = [await button.get_attribute("aria-label") or await button.inner_text() for button in buttons]
    for menu in (await main.locator("[aria-haspopup=menu]").all())[:_MENUS]:
        await menu.click()
        names += await page.get_by_role("menuitem").all_inner_texts()
        await page.keyboard.press("Escape")
    return names


@pytest.mark.parametrize("role", FORBIDDEN)
async def test_nothing_is_there_that_the_role_may_not_use(browser: Browser, site: Site, role: str) -> None:
    async with visiting(browser, site.address, cookie=site.cookies[role]) as visitor:
        running = site.send("GET", "/dag-runs?name=sleeper&status=1")["dagRuns"][0]["dagRunId"]
        for path in (*PAGES, f"/dag-runs/sleeper/{running}"):
            page = await visitor.open(path)
            wrong = [name for name in await _offered(page) if re.match(FORBIDDEN[role], name)]
            assert wrong == [], f"{path}: for a {role}"
        assert visitor.complaints == []


async def test_the_pattern_of_buttons_finds_those_of_an_admin(browser: Browser, site: Site) -> None:
    """So that a renamed button does not make the test above look at nothing."""
    running = site.send("GET", "/dag-runs?name=sleeper&status=1")["dagRuns"][0]["dagRunId"]
    waiting = site.send("POST", "/dags/sleeper/enqueue", {})["dagRunId"]  # other tests may have let earlier ones go
    wanted = {
        "/dags": ["New DAG", "Start etl"],
        "/dags/etl": ["Start", "Suspend schedule"],
        "/dags/good/revisions": ["Restore revision 1"],
        "/dag-runs/etl/latest": ["Retry"],
        f"/dag-runs/sleeper/{waiting}": ["Remove from the queue"],
        f"/dag-runs/sleeper/{running}": ["Stop"],
        "/queues": ["Pause"],
        "/alerts": ["Add rule", "Add channel"],
        "/dags/etl/alerts": ["Add rule", "Send test"],
        "/dags/good/triggers": ["Add webhook"],
        "/users": ["Add user"],
    }
    async with visiting(browser, site.address, cookie=site.cookies["admin"]) as visitor:
        for path, names in wanted.items():
            page = await visitor.open(path)
            for name in names:
                button = page.get_by_role("main").get_by_role("button", name=name, exact=True).first
                await expect(button).to_be_enabled()
                assert re.match(FORBIDDEN["viewer"], name)


async def test_an_operator_starts_runs_but_writes_nothing(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["operator"]) as visitor:
        page = await visitor.open("/dags/etl")
        await expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()
        await page.get_by_role("button", name="More actions").click()
        await expect(page.get_by_role("menuitem")).to_have_text(["Stop all runs"])


async def test_what_a_viewer_may_never_do_with_a_dag_is_not_there(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["viewer"]) as visitor:
        page = await visitor.open("/dags/etl")
        await expect(page.get_by_role("main").locator("header").get_by_role("button")).to_have_count(0)


@pytest.mark.parametrize("path", ["/users", "/audit"])
async def test_a_page_for_admins_tells_others_so(browser: Browser, site: Site, path: str) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["manager"]) as visitor:
        page = await visitor.open(path)
        await expect(page.get_by_text(re.compile("Only admins can"))).to_be_visible()
        await expect(page.get_by_role("navigation", name="Pages").get_by_role("link", name="Users")).to_have_count(0)
        assert visitor.complaints == []

"""Rights per DAG in the browser: the day of a user with grants, and how an admin gives them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.web.browser import Visitor, visiting
from tests.web.site import PASSWORD, Site

NAME = "granted"
LONG = "steps:\n  - {name: wait, command: echo ready; sleep 600}\n"


@pytest.fixture
def granted(site: Site) -> Iterator[Site]:
    """A user who may operate the DAGs of one name, and sees no others."""
    site.save("own-quick", "steps:\n  - {name: one, command: echo hello from one}\n")
    site.save("own-long", LONG)
    body = {"username": NAME, "password": PASSWORD, "role": "viewer", "scope": "granted"}
    user = site.send("POST", "/users", body)["user"]["id"]
    site.send("POST", "/grants", {"userId": user, "role": "operator", "pattern": "own-*"})
    yield site
    site.send("DELETE", f"/users/{user}")
    for name in ("own-quick", "own-long"):
        site.send("POST", f"/dags/{name}/stop-all")
        site.send("DELETE", f"/dags/{name}")


@pytest.fixture
async def visitor(browser: Browser, granted: Site) -> AsyncIterator[Visitor]:
    async with visiting(browser, granted.address, cookie=granted.browse(NAME)) as opened:
        yield opened


async def start(page: Page) -> None:
    await page.get_by_role("button", name="Start", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="Start", exact=True).click()
    await page.wait_for_url(re.compile("/dag-runs/"))


async def test_the_day_of_a_user_with_grants(visitor: Visitor) -> None:
    page = await visitor.open("/dags")
    main = page.get_by_role("main")
    await expect(main.get_by_role("link", name="own-quick", exact=True)).to_be_visible()
    await expect(main.get_by_role("link", name="etl", exact=True)).to_have_count(0)
    await main.get_by_role("link", name="own-quick", exact=True).click()
    await page.get_by_role("button", name="More actions").click()
    await expect(page.get_by_role("menuitem")).to_have_text(["Stop all runs"])
    await page.keyboard.press("Escape")
    await start(page)
    await expect(main.get_by_text("succeeded").first).to_be_visible()
    page = await visitor.open("/dags/own-long")
    await start(page)
    await expect(main.get_by_text("running").first).to_be_visible()
    await page.get_by_role("button", name="Stop", exact=True).click()
    dialog = page.get_by_role("dialog")
    if await dialog.count():
        await dialog.get_by_role("button", name=re.compile("Stop")).click()
    await expect(main.get_by_text("aborted").first).to_be_visible()


async def test_a_dag_that_is_not_theirs_is_not_there(visitor: Visitor) -> None:
    page = await visitor.open("/dags/etl")
    await expect(page.get_by_text("There is no such DAG")).to_be_visible()
    await expect(page.get_by_role("navigation", name="Pages").get_by_role("link", name="Access")).to_have_count(0)
    page = await visitor.open("/queues")
    await expect(page.get_by_role("main").get_by_text("sleeper")).to_have_count(0)


async def test_an_admin_gives_a_group_a_role_and_sees_what_a_member_sees(browser: Browser, granted: Site) -> None:
    async with visiting(browser, granted.address, cookie=granted.browse("admin")) as visitor:
        page = await visitor.open("/access")
        dialog = page.get_by_role("dialog")
        await page.get_by_role("button", name="Add group").first.click()
        await dialog.get_by_label("Name").fill("night shift")
        await dialog.get_by_role("button", name="Add").click()
        await page.get_by_role("button", name="Actions of night shift").click()
        await page.get_by_role("menuitem", name="Members…").click()
        await dialog.get_by_label("User").select_option(label=NAME)
        await dialog.get_by_role("button", name="Add").click()
        await expect(dialog.get_by_role("button", name=f"Remove {NAME} from night shift")).to_be_visible()
        await dialog.get_by_role("button", name="Cancel").click()
        await page.get_by_role("button", name="Give access").click()
        await dialog.get_by_label("User or group").select_option(label="group night shift (1 member)")
        await dialog.get_by_role("radio", name=re.compile("^manager")).check()
        await dialog.get_by_role("radio", name="tag").check()
        await dialog.get_by_label("Name or tag").fill("sales")
        await dialog.get_by_role("button", name="Give access").click()
        await expect(page.get_by_role("button", name="Actions of the grant of group night shift")).to_be_visible()
        await page.get_by_role("combobox", name="User").select_option(label=NAME)
        row = page.get_by_role("row", name=re.compile("^etl manager"))
        await expect(row).to_be_visible()
        page = await visitor.open("/dags/etl/access")
        await expect(page.get_by_role("row", name=re.compile("group night shift manager"))).to_be_visible()
        await page.get_by_role("button", name="Add", exact=True).click()
        await expect(dialog.get_by_label("Name or tag")).to_have_count(0)
        await dialog.get_by_label("User or group").select_option(label=NAME)
        await dialog.get_by_role("button", name="Give access").click()
        await expect(page.get_by_role("row", name=re.compile(f"^{NAME} viewer name etl"))).to_be_visible()
        page = await visitor.open("/access")
        await page.get_by_role("button", name="Actions of night shift").click()
        await page.get_by_role("menuitem", name="Remove…").click()
        await dialog.get_by_role("button", name="Remove", exact=True).click()
        await expect(page.get_by_role("button", name="Actions of the grant of group night shift")).to_have_count(0)
        assert visitor.complaints == []

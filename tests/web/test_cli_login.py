"""The page that allows a token to ``dagbook login``, with the command that waits for it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from playwright.async_api import Browser, expect

from tests.conftest import ROOT
from tests.waiting import PATIENCE_SECONDS
from tests.web.browser import visiting
from tests.web.site import PASSWORD, Site


@asynccontextmanager
async def _logging_in(site: Site, home: Path) -> AsyncIterator[tuple[Process, str]]:
    """Run the command with a browser that is this test's; gives the path of the page that it opens."""
    browser = home / "browser"
    browser.write_text("#!/bin/sh\n")
    browser.chmod(0o700)
    env = {name: text for name, text in os.environ.items() if not name.startswith("DAGBOOK_")}
    env |= {
        "BROWSER": str(browser),
        "DAGBOOK_HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "PYTHONPATH": f"{ROOT}/app",
    }
    words = ("-m", "dagbook", "login", site.address, "--profile", "site")
    process = await asyncio.create_subprocess_exec(sys.executable, *words, env=env, stdout=PIPE, stderr=PIPE)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = (await process.stderr.readline()).decode()
        yield process, line.rpartition(" open ")[2].strip().removeprefix(site.address)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _told(process: Process) -> tuple[int | None, str, str]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_who_is_not_logged_in_does_so_first_and_then_allows_a_token(
    browser: Browser, site: Site, tmp_path: Path
) -> None:
    async with _logging_in(site, tmp_path) as (process, path), visiting(browser, site.address) as visitor:
        page = await visitor.open(path)
        await page.get_by_label("Name").fill("operator")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Log in").click()
        await expect(page.get_by_role("heading", name=re.compile("^Allow the command line on "))).to_be_visible()
        await page.get_by_role("button", name="Allow").click()
        await expect(page.get_by_text("This page can be closed")).to_be_visible()
        assert "dbk_" not in page.url
        status, out, err = await _told(process)
        assert visitor.complaints == []
    assert (status, out.startswith(f"logged in at {site.address} as operator, ")) == (0, True), err
    assert "token: dbk_" in (tmp_path / "dagbook" / "profiles.yaml").read_text()
    site.cookies["operator"] = site.browse("operator")


async def test_a_refusal_reaches_the_command(browser: Browser, site: Site, tmp_path: Path) -> None:
    cookie = site.cookies["viewer"]
    async with (
        _logging_in(site, tmp_path) as (process, path),
        visiting(browser, site.address, cookie=cookie) as visitor,
    ):
        page = await visitor.open(path)
        await page.get_by_role("button", name="Refuse").click()
        await expect(page.get_by_text("This page can be closed")).to_be_visible()
        status, out, err = await _told(process)
    assert (status, out) == (1, "")
    assert "the token was refused in the browser" in err


async def test_an_admin_may_allow_the_rights_of_an_admin_for_a_month(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, cookie=site.browse("admin")) as visitor:  # tokens need a recent login
        page = await visitor.open("/cli-login?host=here")
        options = page.get_by_label("Token expires").get_by_role("option")
        await expect(options).to_have_count(5)
        await page.get_by_label("also manage users").check()
        await expect(options).to_have_text(["in a day", "in 30 days"])
        await page.get_by_role("button", name="Allow").click()
        token = await page.get_by_text(re.compile("^dbk_")).text_content()
        assert visitor.complaints == []
    headers = {"Authorization": f"Bearer {token}"}
    assert site.client.get("/users", headers=headers).status_code == 200
    made = site.client.get("/tokens").json()["tokens"][-1]
    assert made["scopes"] == ["admin", "read", "run", "write"]
    lasts = datetime.fromisoformat(made["expiresAt"]) - datetime.fromisoformat(made["createdAt"])
    assert timedelta(days=29) < lasts < timedelta(days=31)


async def test_without_a_command_that_waits_the_token_is_shown(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, cookie=site.browse("manager")) as visitor:
        page = await visitor.open("/cli-login?host=far%20away")
        await expect(page.get_by_role("heading", name="Allow the command line on far away?")).to_be_visible()
        await expect(page.get_by_role("button", name="Refuse")).to_have_count(0)
        await page.get_by_role("button", name="Allow").click()
        await expect(page.get_by_text(re.compile("^dbk_"))).to_be_visible()

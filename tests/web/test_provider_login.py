"""A login at a provider in the browser: the account is made, and its group gives it rights."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from tests.app.provider import Provider, providing
from tests.app.test_oidc import settings_for
from tests.process.conftest import end
from tests.process.program import Program
from tests.web.browser import visiting
from tests.web.site import SETTINGS, Site


def free_port() -> int:
    """Return a port that the server will listen on: the provider has to know its address before it starts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
async def beside(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Site, Provider]]:
    """A server with local users and a provider."""
    async with providing() as provider:
        port = str(free_port())
        of_provider = settings_for(provider, auth_oidc_client_url=f"http://127.0.0.1:{port}", auth_mode="builtin")
        settings = {**of_provider, **SETTINGS, "port": port, "auth_oidc_default_scope": "granted"}
        program = Program(tmp_path_factory.mktemp("beside") / "home", settings=settings)
        # The server asks the provider, which this loop serves, while it starts.
        site = Site(await asyncio.to_thread(program.start))
        try:
            site.add_people()
            yield site, provider
        finally:
            site.client.close()
            await asyncio.to_thread(end, program)


async def test_a_member_by_claim_logs_in_and_sees_what_the_group_is_granted(
    browser: Browser, beside: tuple[Site, Provider]
) -> None:
    site, provider = beside
    site.save("etl-load", "steps:\n  - {name: one, command: echo hello}\n")
    site.save("pay-slips", "steps:\n  - {name: one, command: echo hello}\n")
    group = site.send("POST", "/groups", {"name": "night shift", "claim": "groups=night"})["id"]
    site.send("POST", "/grants", {"groupId": group, "role": "operator", "pattern": "etl-*"})
    provider.account |= {"preferred_username": "ann", "groups": ["night"]}
    async with visiting(browser, site.address) as visitor:
        page = await visitor.open("/dags")
        await page.get_by_role("link", name="Log in with").click()
        await expect(page.get_by_role("button", name="Log out")).to_be_visible()
        main = page.get_by_role("main")
        await expect(main.get_by_role("link", name="etl-load", exact=True)).to_be_visible()
        await expect(main.get_by_role("link", name="pay-slips", exact=True)).to_have_count(0)
        await main.get_by_role("link", name="etl-load", exact=True).click()
        await expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()
        provider.account["groups"] = []
        await page.get_by_role("button", name="Log out").click()
        await page.get_by_role("link", name="Log in with").click()
        await expect(page.get_by_role("button", name="Log out")).to_be_visible()
        page = await visitor.open("/dags")
        await expect(page.get_by_role("main").get_by_text("You have access to no DAG")).to_be_visible()

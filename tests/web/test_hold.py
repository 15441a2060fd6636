"""What every page says of a restored database, of a snapshot, and while everything is paused."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.app.program import CommandLine
from tests.web.browser import visiting


@pytest.mark.full
async def test_pages_say_that_a_place_is_held_until_it_is_resumed_and_that_a_snapshot_cannot_be_changed(
    browser: Browser, tmp_path: Path
) -> None:
    home, other, backup, snapshot = (tmp_path / name for name in ("home", "other", "backup", "incident"))
    home.mkdir()
    other.mkdir()
    old, new = CommandLine(home), CommandLine(other)
    assert (await old.run("exec", "--name", "lost", "--", "false")).status == 1
    assert (await old.run("backup", backup)).status == 0
    assert (await old.run("snapshot", snapshot)).status == 0
    assert (await new.run("restore", backup)).status == 0
    async with new.server() as address, visiting(browser, address.rstrip("/")) as visitor:
        page = await visitor.open("/")
        held = page.get_by_text("was restored from a backup and is held")
        await expect(held).to_be_visible()
        assert (await new.run("resume")).status == 0
        await expect(held).to_be_hidden(timeout=30_000)
    async with new.server("--snapshot", snapshot) as address, visiting(browser, address.rstrip("/")) as visitor:
        page = await visitor.open("/dag-runs")
        await expect(page.get_by_text("This is the snapshot incident")).to_be_visible()
        await expect(page.get_by_text("lost").first).to_be_visible()


@pytest.mark.full
async def test_pages_say_that_everything_is_paused_as_long_as_it_is(browser: Browser, tmp_path: Path) -> None:
    commands = CommandLine(tmp_path)
    async with commands.server() as address, visiting(browser, address.rstrip("/")) as visitor:
        page = await visitor.open("/dags")
        line = page.get_by_text("move of the database")
        await expect(page.get_by_role("heading", name="DAGs").first).to_be_visible()
        assert (await commands.run("pause", "--reason", "move of the database", "--until", "06:00")).status == 0
        await expect(line).to_be_visible(timeout=30_000)
        await page.reload()
        await expect(line).to_contain_text("Everything is paused by")
        assert (await commands.run("unpause")).status == 0
        await expect(line).to_be_hidden(timeout=30_000)

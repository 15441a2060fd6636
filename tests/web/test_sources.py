"""Sources in the web UI: what is wrong with them, and that their DAGs are changed elsewhere."""

from __future__ import annotations

import re

from playwright.async_api import Browser, expect

from tests.web.browser import visiting
from tests.web.site import Site


async def test_a_source_shows_its_problems_with_lines_and_leads_to_its_dags(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["viewer"]) as visitor:
        page = await visitor.open("/sources")
        await page.get_by_role("link", name="team", exact=True).click()
        main = page.get_by_role("main")
        broken = main.get_by_role("row").filter(has_text="sourced.yaml")
        await expect(broken).to_contain_text("line 3")
        await expect(broken).to_contain_text("comand")
        await expect(main.get_by_role("row").filter(has_text="removed.yaml")).to_contain_text("removed")
        await expect(main.get_by_role("button", name="Sync now")).to_have_count(0)
        await broken.get_by_role("link", name="sourced").click()
        notice = main.get_by_role("region", name="Source of the DAG")
        await expect(notice).to_contain_text("The file has problems")
        await expect(notice.get_by_role("link", name="team")).to_have_attribute("href", re.compile("/sources/team$"))
        assert visitor.complaints == []


async def test_a_dag_of_a_source_cannot_be_changed_here(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, cookie=site.cookies["admin"]) as visitor:
        page = await visitor.open("/dags/sourced/spec")
        main = page.get_by_role("main")
        save = main.get_by_role("button", name="Save", exact=True)
        await expect(save).to_be_disabled()
        assert "comes from the source team" in (await save.get_attribute("title") or "")
        await main.get_by_role("button", name="More actions").click()
        for name in ("Rename", "Delete"):
            item = page.get_by_role("menuitem", name=name)
            await expect(item).to_be_disabled()
            await expect(item).to_contain_text("comes from the source team")
        page = await visitor.open("/dags/removed")
        await main.get_by_role("button", name="More actions").click()
        await expect(page.get_by_role("menuitem", name="Delete")).to_be_enabled()
        await expect(main.get_by_role("region", name="Source of the DAG")).to_contain_text("was suspended")


async def test_an_admin_adds_syncs_and_removes_a_source(browser: Browser, site: Site) -> None:
    folder = site.program.home / "added"
    folder.mkdir()
    async with visiting(browser, site.address, cookie=site.cookies["admin"]) as visitor:
        page = await visitor.open("/sources")
        await page.get_by_role("button", name="Add source").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_role("textbox", name="Name", exact=True).fill("added")
        await dialog.get_by_role("textbox", name="Place").fill(str(folder))
        await dialog.get_by_role("button", name="Add", exact=True).click()
        main = page.get_by_role("main")
        await expect(main.get_by_role("heading", name="added", level=1)).to_be_visible()
        (folder / "added-dag.yaml").write_text("steps:\n  - name: one\n    command: 'true'\n")
        await main.get_by_role("button", name="Sync now").click()
        await expect(main.get_by_role("link", name="added-dag")).to_be_visible()
        await main.get_by_role("button", name="Remove").click()
        await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        await expect(main.get_by_role("heading", name="Sources", level=1)).to_be_visible()
        await expect(main.get_by_role("link", name="added", exact=True)).to_have_count(0)
        # The change of the files may load the page once more before the answer to the removal leads away from it.
        assert [text for text in visitor.complaints if "404" not in text or "sources/added" not in text] == []

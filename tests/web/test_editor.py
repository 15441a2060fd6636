"""The editor of definitions: a text that was not saved is not lost, and one sees when it would start."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import Site

DRAFT = "Object.entries(localStorage).find(([key]) => /^dagbook[.]draft[.].*[.]drafted$/.test(key))?.[1]"
SPEC = "steps:\n  - {name: one, command: 'true'}\n"


@pytest.fixture
def drafted(site: Site) -> Iterator[Site]:
    site.save("drafted", SPEC)
    yield site
    site.send("DELETE", "/dags/drafted")


@pytest.fixture
async def visitor(browser: Browser, drafted: Site) -> AsyncIterator[Visitor]:
    async with visiting(browser, drafted.address, cookie=drafted.cookies["manager"]) as opened:
        opened.page.on("dialog", lambda dialog: dialog.accept())  # a page with changes asks before it goes
        yield opened
        assert opened.complaints == []


def editor(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Definition of drafted")


async def type_more(page: Page, text: str) -> None:
    await editor(page).click()
    await page.keyboard.press("Control+End")
    await page.keyboard.type(text)


async def leave_with(visitor: Visitor, text: str) -> Page:
    """Type something that is kept, and come back."""
    page = await visitor.open("/dags/drafted/spec")
    await type_more(page, text)
    await page.wait_for_function(f"text => ({DRAFT} ?? '').includes(text)", arg=text)
    return await visitor.open("/dags/drafted/spec")


async def test_a_text_with_mistakes_is_offered_again(visitor: Visitor) -> None:
    page = await leave_with(visitor, "broken: [")
    await expect(editor(page)).not_to_contain_text("broken: [")
    await page.get_by_role("button", name="Restore draft").click()
    await expect(editor(page)).to_contain_text("broken: [")
    await expect(page.get_by_role("button", name="Save", exact=True)).to_be_disabled()
    await page.get_by_role("button", name="Discard").click()
    await page.get_by_role("dialog").get_by_role("button", name="Discard changes").click()
    await expect(editor(page)).not_to_contain_text("broken: [")
    await page.wait_for_function(f"() => {DRAFT} === undefined")


async def test_a_draft_that_is_thrown_away_does_not_come_back(visitor: Visitor) -> None:
    page = await leave_with(visitor, "description: x")
    await page.get_by_role("button", name="Discard draft").click()
    await page.wait_for_function(f"() => {DRAFT} === undefined")
    await visitor.open("/dags/drafted/spec")
    await expect(editor(page)).to_be_visible()
    await expect(page.get_by_role("button", name="Discard draft")).to_have_count(0)


async def test_a_draft_does_not_replace_what_was_typed_without_a_question(visitor: Visitor) -> None:
    page = await leave_with(visitor, "description: older")
    await type_more(page, "description: newer")
    await page.get_by_role("button", name="Restore draft").click()
    question = page.get_by_role("dialog", name="Replace what you have typed?")
    await question.get_by_role("button", name="Cancel").click()
    await expect(editor(page)).to_contain_text("description: newer")
    await page.get_by_role("button", name="Restore draft").click()
    await question.get_by_role("button", name="Restore the draft").click()
    await expect(editor(page)).to_contain_text("description: older")
    await expect(editor(page)).not_to_contain_text("description: newer")


async def test_a_mistake_keeps_the_last_good_graph_and_starts(visitor: Visitor) -> None:
    page = await visitor.open("/dags/drafted/spec")
    await type_more(page, "schedule: '0 3 * * *'\n")
    starts = page.get_by_role("region", name="Next starts of this text").get_by_role("listitem")
    await expect(starts).to_have_count(5)
    await page.keyboard.type("broken: [")
    await expect(page.get_by_text("This is what the text was before the problems.")).to_be_visible()
    await expect(starts).to_have_count(5)
    await expect(page.get_by_role("group", name="Graph of the steps").get_by_role("button", name="one")).to_be_visible()
    assert visitor.complaints == []
    assert await visitor.find_barriers() == []
    visitor.complaints.clear()  # of the checker's own style


async def test_keys_are_completed_and_explained_from_the_schema_which_comes_when_it_is_needed(visitor: Visitor) -> None:
    page = await visitor.open("/dags/drafted/spec")
    await expect(editor(page)).to_be_visible()
    assert not [sent for sent in visitor.asked() if "schemas/dag" in sent.path]
    await type_more(page, "descr")
    await page.get_by_role("option", name="description").click()
    await expect(editor(page)).to_contain_text("description: ")
    await editor(page).get_by_text("steps", exact=True).hover()
    await expect(page.get_by_text(re.compile("^steps: "))).to_be_visible()
    assert len([sent for sent in visitor.asked() if "schemas/dag" in sent.path]) == 1


async def test_a_save_shows_what_changes(visitor: Visitor) -> None:
    page = await visitor.open("/dags/drafted/spec")
    await type_more(page, "description: mine")
    await page.get_by_role("button", name="Save", exact=True).click()
    changes = page.get_by_role("dialog").get_by_role("region", name="Changes")
    await expect(changes).to_contain_text("Changes since revision 1")
    await expect(changes.locator(".added")).to_have_text("+description: mine\n")


async def test_a_draft_tells_that_another_revision_was_saved_since(visitor: Visitor, drafted: Site) -> None:
    await leave_with(visitor, "description: mine")
    drafted.send("PUT", "/dags/drafted/spec", {"spec": SPEC + "description: theirs\n"})
    page = await visitor.open("/dags/drafted/spec")
    await expect(page.get_by_text("Another revision was saved since then.")).to_be_visible()


async def test_who_saves_over_a_newer_revision_is_warned_first(visitor: Visitor, drafted: Site) -> None:
    page = await visitor.open("/dags/drafted/spec")
    await type_more(page, "description: mine")
    drafted.send("PUT", "/dags/drafted/spec", {"spec": SPEC + "description: theirs\n"})
    await page.get_by_role("button", name="Save", exact=True).click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Save", exact=True).click()
    await expect(dialog.get_by_text("Another revision was saved")).to_be_visible()
    assert drafted.send("GET", "/dags/drafted/spec")["spec"].endswith("theirs\n")
    # what the browser says of the refusal is no complaint
    visitor.complaints[:] = [text for text in visitor.complaints if "412" not in text]


async def test_the_next_five_starts_show_while_one_types(visitor: Visitor) -> None:
    page = await visitor.open("/dags/drafted/spec")
    starts = page.get_by_role("region", name="Next starts of this text")
    await expect(starts).to_have_count(0)
    await type_more(page, "schedule: '0 3 * * *'")
    await expect(starts.get_by_role("listitem")).to_have_count(5)
    await expect(starts.get_by_role("listitem").first).to_contain_text("03:00")


@pytest.mark.parametrize("width", WIDTHS)
async def test_it_can_be_used_by_everybody(browser: Browser, drafted: Site, width: int) -> None:
    async with visiting(browser, drafted.address, cookie=drafted.cookies["manager"], width=width) as visitor:
        visitor.page.on("dialog", lambda dialog: dialog.accept())
        page = await leave_with(visitor, "schedule: '0 3 * * *'")
        await expect(page.get_by_role("button", name="Restore draft")).to_be_visible()
        assert await visitor.find_barriers() == []
        await page.get_by_role("button", name="Restore draft").click()
        await expect(page.get_by_role("region", name="Next starts of this text")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await page.emulate_media(color_scheme="dark")
        assert await visitor.find_barriers() == []


@pytest.mark.parametrize("role", ["manager", "viewer"])
async def test_a_definition_that_scrolls_is_reached_by_keys(browser: Browser, site: Site, role: str) -> None:
    steps = "".join(f"  - {{name: s{number}, command: 'echo {'x' * 200}'}}\n" for number in range(80))
    if role == "manager":
        site.save("scrolling", f"steps:\n{steps}")
    async with visiting(browser, site.address, cookie=site.cookies[role]) as visitor:
        page = await visitor.open("/dags/scrolling/spec")
        await expect(page.get_by_role("textbox", name="Definition of scrolling")).to_be_visible()
        assert await visitor.find_barriers() == []

"""Names and texts that look like code, or like words of a program, are shown as they are and do nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from playwright.async_api import Browser, Dialog, expect

from tests.web.browser import Visitor, visiting
from tests.web.site import HOSTILE, Site

LONGEST = "l" * 40  # what the format allows
DAGS = ("end", "graph", "constructor", "__proto__", LONGEST)
MARKUP = "<img src=x onerror=alert(1)>"
FAILING = 'echo \\"$0\\"; echo \\"$0\\" >&2; exit 1'


@pytest.fixture(scope="module")
def hostile_dags(site: Site) -> Site:
    """DAGs of such names, with such texts wherever one may write some, each with a failed run."""
    for name in DAGS:
        site.save(
            name,
            f"description: '{MARKUP}'\ntags: ['{LONGEST}']\nparams: WHAT=\"{MARKUP}\"\n"
            f"steps:\n  - name: '{MARKUP}'\n    command: \"sh -c '{FAILING}' '{MARKUP}'\"\n",
        )
        site.run(name)
    return site


@pytest.fixture
async def visitor(browser: Browser, hostile_dags: Site) -> AsyncIterator[Visitor]:
    """Somebody for whom nothing that was written may ever have run."""
    async with visiting(browser, hostile_dags.address, token=hostile_dags.tokens["admin"]) as opened:
        dialogs: list[str] = []

        async def note(dialog: Dialog) -> None:
            dialogs.append(dialog.message)
            await dialog.dismiss()

        opened.page.on("dialog", note)
        yield opened
        assert dialogs == []
        assert opened.complaints == []
        assert await opened.page.locator("img").count() == 0


async def _fits(visitor: Visitor) -> bool:
    return bool(await visitor.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.mark.parametrize("path", ["/", "/dags?name=%s", "/dag-runs?name=%s", "/search?q=%s"])
@pytest.mark.parametrize("name", DAGS)
async def test_a_list_shows_the_name_as_it_is(visitor: Visitor, path: str, name: str) -> None:
    page = await visitor.open(path.replace("%s", name))
    await expect(page.get_by_role("main").get_by_role("link", name=name, exact=True).first).to_be_visible()
    assert await _fits(visitor)


@pytest.mark.parametrize("tab", ["", "/graph", "/spec", "/revisions", "/schedule"])
@pytest.mark.parametrize("name", DAGS)
async def test_the_page_of_a_dag_shows_its_texts_as_they_are(visitor: Visitor, tab: str, name: str) -> None:
    page = await visitor.open(f"/dags/{name}{tab}")
    await expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    await expect(page.get_by_text(MARKUP).first).to_be_visible()
    assert await _fits(visitor)


@pytest.mark.parametrize("view", ["steps", "graph", "gantt", "events", "spec"])
async def test_a_run_shows_its_texts_as_they_are(visitor: Visitor, view: str) -> None:
    page = await visitor.open(f"/dag-runs/{LONGEST}/latest?view={view}")
    await expect(page.get_by_role("heading", name=MARKUP)).to_be_visible()
    await expect(page.get_by_role("region", name="Log lines").get_by_text(MARKUP)).to_be_visible()
    assert await _fits(visitor)


@pytest.mark.parametrize("name", [name for name in HOSTILE if "/" not in name])
async def test_a_step_of_any_name_is_a_box_that_leads_to_its_output(visitor: Visitor, name: str) -> None:
    page = await visitor.open("/dag-runs/hostile/latest?view=graph")
    boxes = page.get_by_role("group", name="Graph of the steps").get_by_role("button")
    await expect(boxes).to_have_count(len(HOSTILE))
    await boxes.nth(HOSTILE.index(name)).click()
    await expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    await expect(page.get_by_role("region", name="Log lines").get_by_text("hello")).to_be_visible()


@pytest.mark.xfail(strict=True, reason="the API has step names in its paths, and takes an escaped slash for a slash")
async def test_the_output_of_a_step_with_a_slash_in_its_name_is_found(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address, token=site.tokens["admin"]) as visitor:
        async with visitor.page.expect_response(lambda answer: "/log?" in answer.url) as log:
            await visitor.open("/dag-runs/hostile/latest?step=%3Cscript%3Ealert(1)%3C%2Fscript%3E")
        assert (await log.value).status == httpx.codes.OK


async def test_a_search_for_markup_marks_it_as_text(visitor: Visitor) -> None:
    page = await visitor.open("/search?q=%3Cimg+src")
    await expect(page.get_by_role("main").locator("mark").first).to_have_text("<img src")

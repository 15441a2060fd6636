"""Names and texts that look like code, or like words of a program, are shown as they are and do nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml
from playwright.async_api import Browser, Dialog, expect

from tests.web.browser import Visitor, visiting
from tests.web.site import HOSTILE, Site

LONGEST = "l" * 40  # what the format allows
DAGS = ("end", "graph", "constructor", "__proto__", LONGEST)
MARKUP = "<img src=x onerror=alert(1)>"
# Ways out of the places where a page could put a text, and what would then run: a hundred payloads (promises S11).
_WAYS_OUT = ("", "'>", '">', "</title>", "</textarea>", "</script>", "-->", "]]>", "</style>", "&lt;/b&gt;")
_SCRIPTS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<details open ontoggle=alert(1)>x</details>",
    "<input autofocus onfocus=alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    "<math><mtext><style><img src=x onerror=alert(1)></style></mtext></math>",
    "<object data=javascript:alert(1)></object>",
    "onmouseover=alert(1) x=",
)
SCRIPTS = [f"{way}{script}" for way in _WAYS_OUT for script in _SCRIPTS]
LIVE = (
    "img, script:not([src]), iframe, object, svg[onload], details[ontoggle], [onerror], [onfocus], [href^=javascript]"
)
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
    async with visiting(browser, hostile_dags.address, cookie=hostile_dags.cookies["admin"]) as opened:
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


@pytest.mark.parametrize("tab", ["", "/graph", "/spec", "/revisions", "/schedule", "/triggers", "/alerts"])
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
    await expect(page.get_by_role("region", name="Log lines").get_by_text(MARKUP).first).to_be_visible()
    assert await _fits(visitor)


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_step_of_any_name_is_a_box_that_leads_to_its_output(visitor: Visitor, name: str) -> None:
    page = await visitor.open("/dag-runs/hostile/latest?view=graph")
    boxes = page.get_by_role("group", name="Graph of the steps").get_by_role("button")
    await expect(boxes).to_have_count(len(HOSTILE))
    await boxes.nth(HOSTILE.index(name)).click()
    await expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    await expect(page.get_by_role("region", name="Log lines").get_by_text("hello")).to_be_visible()


@pytest.mark.parametrize("name", ["in/out //", ".."])
async def test_the_output_of_a_step_is_downloaded_and_its_status_set(
    browser: Browser, hostile_dags: Site, name: str
) -> None:
    async with visiting(browser, hostile_dags.address, cookie=hostile_dags.cookies["admin"]) as visitor:
        page = await visitor.open(f"/dag-runs/hostile/latest?{urlencode({'step': name})}")
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download this log").click()
        assert Path(await (await download.value).path()).read_text() == "hello\n"
        await page.get_by_role("button", name="Other ways to run again").click()
        await page.get_by_role("menuitem", name="Edit status").click()
        await page.get_by_role("dialog").get_by_role("button", name="Save status").click()
        await expect(page.get_by_role("dialog")).to_have_count(0)
        assert visitor.complaints == []


async def test_a_search_for_markup_marks_it_as_text(visitor: Visitor) -> None:
    page = await visitor.open("/search?q=%3Cimg+src")
    await expect(page.get_by_role("main").locator("mark").first).to_have_text("<img src")


@pytest.fixture(scope="module")
def scripted(hostile_dags: Site) -> Site:
    """A DAG with a hundred payloads in descriptions, params, logs and errors, and those that fit in names and tags."""
    steps = [
        {"name": f"{number} {script}"[:40], "description": script, "script": f"cat <<'END'\n{script}\nEND\nexit 1\n"}
        | {"continueOn": {"failure": True}}
        for number, script in enumerate(SCRIPTS)
    ]
    summary = "\n\n".join(f"{script} [{script}]({script}) ![{script}]({script}) <{script}>" for script in SCRIPTS)
    steps.append({"name": "summary", "script": f"cat > $DAG_SUMMARY <<'END'\n{summary}\nEND\n"})
    tags = [script for script in SCRIPTS if len(script) <= 40 and "," not in script]
    params = [{f"P{number}": script} for number, script in enumerate(SCRIPTS)]
    definition = {"description": "\n".join(SCRIPTS), "tags": tags, "params": params, "type": "graph", "steps": steps}
    hostile_dags.save("scripted", yaml.safe_dump(definition))
    hostile_dags.run("scripted")
    return hostile_dags


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize(
    "path",
    [
        "/dags/scripted",
        "/dags/scripted/graph",
        "/dags/scripted/spec",
        "/dag-runs?name=scripted",
        *(f"/dag-runs/scripted/latest?view={view}" for view in ("steps", "graph", "gantt", "events", "spec", "output")),
        "/search?q=alert",
    ],
)
async def test_a_hundred_scripts_are_texts_on_every_page(visitor: Visitor, path: str) -> None:
    assert len(set(SCRIPTS)) == 100
    page = await visitor.open(path)
    await expect(page.get_by_role("main").get_by_text("alert(1)").first).to_be_visible()
    await visitor.settle()
    assert await page.locator(f"main :is({LIVE})").count() == 0


@pytest.mark.usefixtures("scripted")
async def test_a_summary_of_a_hundred_scripts_is_text(visitor: Visitor) -> None:
    page = await visitor.open("/dag-runs/scripted/latest")
    summary = page.get_by_role("region", name="Summary")
    await expect(summary.get_by_text("alert(1)").first).to_be_visible()
    await summary.get_by_role("button", name="Show all").click()
    assert await summary.locator(f":is(a, {LIVE})").count() == 0

"""What people do that is in nobody's plan: texts left unsaved, two at once, back and forth, keys alone."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
from playwright.async_api import Browser, Dialog, Locator, Route, expect

from tests.process.conftest import end
from tests.process.program import Program
from tests.process.waiting import wait_for
from tests.waiting import wait_until
from tests.web.aging import add_old_runs
from tests.web.browser import Visitor, visiting
from tests.web.site import PASSWORD, Site

SLEEPING = "steps:\n  - {name: wait, command: sleep 600}\n"
_numbers = count(1)
_CHANGES_DURING_A_LOAD = 100  # they take longer than a page waits for more of them
ONE = "steps:\n  - {name: one, command: 'true'}\n"


@pytest.fixture
async def visitor(browser: Browser, site: Site) -> AsyncIterator[Visitor]:
    async with visiting(browser, site.address, cookie=site.cookies["admin"]) as opened:
        yield opened
        refused = re.compile(r"error: Failed to load resource: the server responded with a status of 4\d\d")
        assert [text for text in opened.complaints if not refused.match(text)] == []


def _state(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("main").locator("header").get_by_role("status")


async def test_the_page_of_the_latest_run_names_it_and_acts_on_it(visitor: Visitor, site: Site) -> None:
    site.save("recent", SLEEPING)
    run_id = site.start("recent")
    page = await visitor.open("/dag-runs/recent/latest?view=gantt#L2")
    await page.wait_for_url(re.compile(re.escape(f"/dag-runs/recent/{run_id}?view=gantt#L2")))
    await page.get_by_role("button", name="Stop", exact=True).click()
    await page.get_by_role("button", name="Stop the run").click()
    await expect(_state(visitor)).to_have_text("aborted")
    assert site.status("recent", run_id) == "aborted"


async def test_runs_of_other_days_are_listed_too(visitor: Visitor, site: Site) -> None:
    await add_old_runs(site, "yearly", [2_000_001], days_ago=200)
    page = await visitor.open("/dag-runs?name=yearly")
    await expect(page.get_by_role("table").get_by_role("link", name="yearly")).to_be_visible()


@pytest.fixture
async def editing(visitor: Visitor, site: Site) -> Visitor:
    """Somebody who came to a definition through its DAG's page, and has changed its text."""
    name = f"text-{next(_numbers)}"
    site.save(name, ONE)
    page = await visitor.open(f"/dags/{name}")
    await page.get_by_role("tab", name="Definition").click()
    await page.get_by_role("textbox", name=f"Definition of {name}").click()
    await page.keyboard.press("Control+End")
    await page.keyboard.type("description: mine\n")
    await expect(page.get_by_text("Not saved")).to_be_visible()
    return visitor


@pytest.mark.parametrize("way", ["a link", "a tab", "back"])
async def test_a_text_that_is_not_saved_is_not_left_without_a_question(editing: Visitor, way: str) -> None:
    page = editing.page
    here = page.url
    asked: list[str] = []

    async def stay(dialog: Dialog) -> None:
        asked.append(dialog.message)
        await dialog.dismiss()

    page.on("dialog", stay)
    async with page.expect_event("dialog"):
        if way == "a link":
            await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Queues").click()
        elif way == "a tab":
            await page.get_by_role("tab", name="Graph").click()
        else:
            await page.evaluate("history.back()")
    assert asked == ["What you have changed here is not saved. Leave it?"]
    await page.wait_for_url(here)
    await expect(page.get_by_text("Not saved")).to_be_visible()


async def test_who_saves_over_a_newer_revision_is_told_once_and_loses_nothing(editing: Visitor, site: Site) -> None:
    page = editing.page
    name = page.url.split("/")[-2]
    site.send("PUT", f"/dags/{name}/spec", {"spec": ONE + "description: theirs\n"})
    await page.get_by_role("button", name="Save", exact=True).click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Save", exact=True).click()
    await expect(dialog.get_by_role("alert")).to_have_count(1)
    await expect(dialog.get_by_role("alert")).to_contain_text("Another revision was saved")
    async with page.context.expect_page() as beside:
        await dialog.get_by_role("link", name="Compare it").click()
    await expect((await beside.value).get_by_text("current", exact=True)).to_be_visible()
    await dialog.get_by_role("button", name="Overwrite the newer revision").click()
    await expect(page.get_by_text(f"{name} saved.")).to_be_visible()
    assert "mine" in site.send("GET", f"/dags/{name}/spec")["spec"]


async def test_a_problem_of_a_text_leads_to_its_line(editing: Visitor) -> None:
    page = editing.page
    await page.keyboard.type("stepz: []\n")
    await page.keyboard.press("Control+Home")
    await page.get_by_role("button", name="line 4").click()
    await expect(page.locator(".cm-activeLine")).to_have_text("stepz: []")


async def test_a_search_opens_a_definition_at_the_line(visitor: Visitor, site: Site) -> None:
    site.save(
        "tall", "env:\n" + "".join(f"  - N{index}: x\n" for index in range(200)) + ONE.replace("'true'", "moonwalk")
    )
    page = await visitor.open("/search?q=moonwalk")
    await page.get_by_role("main").get_by_role("link", name="tall", exact=True).last.click()
    await expect(page.locator(".cm-activeLine")).to_contain_text("moonwalk")
    await expect(page.locator(".cm-activeLine")).to_be_in_viewport()


async def test_the_lines_that_a_search_finds_are_indented_as_in_the_definition(visitor: Visitor, site: Site) -> None:
    site.save("indented", "env:\n" + "".join(f"  - N{index}: stardust\n" for index in range(120)) + ONE)
    page = await visitor.open("/search?q=stardust")
    lines = page.get_by_role("region", name="Definitions").locator("pre")
    begins = await lines.first.evaluate(
        """block => [...block.querySelectorAll("mark")].map((mark) => Math.round(mark.getBoundingClientRect().x))"""
    )
    width = await lines.first.evaluate("block => parseFloat(getComputedStyle(block).fontSize) * 0.6")
    # A name N9 is a character shorter than N10, and nothing else moves a word.
    assert [round((begin - begins[0]) / width) for begin in (begins[0], begins[10], begins[100])] == [0, 1, 2]


@pytest.mark.parametrize(
    ("path", "title", "way_on"),
    [
        ("/dags/nobodys", "There is no such DAG", "All DAGs"),
        ("/dag-runs/etl/nobodys", "There is no such run", "Runs of etl"),
    ],
)
async def test_what_is_not_there_says_so_and_leads_on(visitor: Visitor, path: str, title: str, way_on: str) -> None:
    page = await visitor.open(path)
    await expect(page.get_by_role("heading", name=title)).to_be_visible()
    assert "not found" in await page.title()
    await page.get_by_role("link", name=way_on).click()
    await visitor.settle()
    await expect(page.get_by_role("heading", level=1)).not_to_have_text("Not found")


async def test_a_login_that_ends_while_a_page_is_open_leads_to_the_login_and_back(browser: Browser, site: Site) -> None:
    made = site.send("POST", "/users", {"username": "leaver", "password": PASSWORD, "role": "viewer"})
    async with visiting(browser, site.address) as visitor:
        page = await visitor.open("/login?next=%2Fdags%2Fetl")
        await page.get_by_label("Name").fill("leaver")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Log in").click()
        await expect(page.get_by_role("heading", level=1, name="etl")).to_be_visible()
        site.send("POST", f"/users/{made['user']['id']}/reset-password", {"newPassword": PASSWORD + "!"})
        # Its stream of changes may have told the page by now, so that there is no tab any more.
        await page.evaluate("document.querySelector('[role=tab][data-tab=revisions]')?.click()")
        await page.get_by_label("Name").fill("leaver")
        await page.get_by_label("Password").fill(PASSWORD + "!")
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_url(re.compile(r"/dags/etl(/revisions)?$"))
        await expect(page.get_by_role("heading", level=1, name="etl")).to_be_visible()


async def test_who_logs_out_in_one_tab_is_out_in_the_others(browser: Browser, site: Site) -> None:
    async with visiting(browser, site.address) as visitor:
        page = await visitor.open("/login")
        await page.get_by_label("Name").fill("viewer")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Log in").click()
        other = await visitor.context.new_page()
        await other.goto(f"{site.address}/queues")
        await expect(other.get_by_role("heading", level=1, name="Queues")).to_be_visible()
        await page.get_by_role("button", name="Log out").click()
        await other.wait_for_url(re.compile(r"/login\?next=%2Fqueues"))


async def test_a_new_page_begins_at_its_top_and_has_the_focus(visitor: Visitor) -> None:
    page = await visitor.open("/dags/hostile")
    await page.evaluate("document.body.style.minHeight = '5000px'; window.scrollTo(0, 4000)")
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Workers").click()
    await visitor.settle()
    await expect(page.get_by_role("main")).to_be_focused()
    assert await page.evaluate("window.scrollY") == 0


async def test_views_of_a_dag_are_gone_through_by_keys_and_back(visitor: Visitor) -> None:
    page = await visitor.open("/dags/etl")
    await page.get_by_role("tab", name="Overview").focus()
    for name in ("Graph", "Definition", "Revisions"):
        await page.keyboard.press("ArrowRight")
        await expect(page.get_by_role("tab", name=name, selected=True)).to_be_focused()
    assert [sent.path for sent in visitor.asked()].count("/api/v2/dags/etl") == 1  # a view is no new page
    await page.go_back()
    await page.go_back()
    await expect(page.get_by_role("tab", name="Graph", selected=True)).to_be_visible()
    await page.go_forward()
    await expect(page.get_by_role("tab", name="Definition", selected=True)).to_be_visible()


async def test_a_dialog_has_the_focus_and_gives_it_back(visitor: Visitor) -> None:
    page = await visitor.open("/dags/etl")
    start = page.get_by_role("main").get_by_role("button", name="Start", exact=True)
    await start.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog").get_by_label("DAY")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(start).to_be_focused()
    await page.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    await expect(page.get_by_role("button", name="More actions")).to_be_focused()


async def test_why_a_start_was_refused_is_in_sight_in_a_long_dialog(visitor: Visitor, site: Site) -> None:
    params = "".join(f"  - P{index}: x\n" for index in range(30))
    site.save("many", f"params:\n{params}{ONE}")
    page = await visitor.open("/dags/many?start=1")
    await page.get_by_label("Run id").fill("no id!")
    await page.get_by_role("dialog").get_by_role("button", name="Start", exact=True).click()
    alert = page.get_by_role("dialog").get_by_role("alert")
    await expect(alert).to_contain_text("dagRunId")
    await expect(alert).to_be_in_viewport()


async def test_a_run_whose_called_run_failed_shows_the_failed_step_at_once(visitor: Visitor, site: Site) -> None:
    items = ", ".join(f"i{index}" for index in range(9))
    site.save(
        "wide-call",
        f"steps:\n  - {{name: each, call: narrow, parallel: [{items}]}}\n---\nname: narrow\nsteps:\n"
        "  - {name: work, command: \"sh -c 'echo working on $1; test $1 != i7'\"}\n",
    )
    page = await visitor.open(f"/dag-runs/wide-call/{site.run('wide-call')}")
    steps = page.get_by_role("region", name="Steps of the run")
    await expect(steps.get_by_text("9 sub-runs: 1 failed, 8 succeeded")).to_be_visible()
    await steps.get_by_role("button", name="work").click()
    await expect(page.get_by_role("region", name="Log lines").get_by_text("working on i7")).to_be_visible()


async def test_a_server_that_is_gone_is_said_and_one_that_is_back_is_noticed(browser: Browser, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    own = Site(Program(tmp_path / "home", settings={"port": port}).start())
    try:
        own.save("patient", ONE)
        async with visiting(browser, own.address) as visitor:
            page = await visitor.open("/dags/patient")
            await expect(page.get_by_role("img", name="Live")).to_be_visible()
            own.program.terminate()
            await expect(page.get_by_text("The server does not answer.")).to_be_visible()
            await page.get_by_role("tab", name="Revisions").click()
            await expect(page.get_by_role("alert").get_by_text("cannot be reached")).to_be_visible()
            own.program.start()
            await expect(page.get_by_text("The server does not answer.")).to_have_count(0)
            await expect(page.get_by_text("current", exact=True)).to_be_visible()  # nobody had to ask again
    finally:
        own.client.close()
        end(own.program)


async def test_a_page_is_renewed_also_while_changes_never_cease(visitor: Visitor, site: Site) -> None:
    site.save("restless", ONE)
    page = await visitor.open("/dags/restless")
    await expect(page.get_by_role("img", name="Live")).to_be_visible()
    done, changes = asyncio.Event(), [0]

    async def slowly(route: Route) -> None:
        """Answer when more has changed meanwhile."""
        enough = changes[0] + _CHANGES_DURING_A_LOAD

        async def changed() -> bool:
            return changes[0] >= enough or done.is_set()

        await wait_until(changed)
        await route.continue_()

    async def change() -> None:
        while not done.is_set():
            await asyncio.to_thread(site.send, "POST", "/dags/restless/suspend", {"suspend": changes[0] % 2 == 0})
            changes[0] += 1

    await page.route("**/api/v2/dags/restless", slowly)
    changing = asyncio.create_task(change())
    try:
        for _ in range(2):
            await page.wait_for_event("response", lambda answer: answer.url.endswith("/api/v2/dags/restless"))
    finally:
        done.set()
        await changing
        await page.unroute_all(behavior="wait")


async def test_whoever_fills_a_log_with_failures_is_one_row_on_the_dashboard(visitor: Visitor, site: Site) -> None:
    site.save("stubborn", "steps:\n  - {name: one, command: 'false'}\n")
    for _ in range(3):
        site.run("stubborn")
    page = await visitor.open("/")
    row = page.get_by_role("region", name="Failures").get_by_role("row").filter(has_text="stubborn")
    await expect(row).to_have_count(1)
    await row.get_by_role("link", name="3 failures").click()
    await expect(page.get_by_role("row").filter(has_text="stubborn")).to_have_count(3)


def _running(site: Site, name: str) -> str:
    run_id = site.start(name)
    wait_for("its start", lambda: site.status(name, run_id) == "running")
    return run_id


async def test_a_step_is_stopped_by_keys_alone_and_the_change_is_announced(visitor: Visitor, site: Site) -> None:
    site.save("by-keys", SLEEPING)
    run_id = _running(site, "by-keys")
    page = await visitor.open(f"/dag-runs/by-keys/{run_id}")
    await page.get_by_role("main").focus()
    await _tab_to(visitor, "Stop")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Cancel")).to_be_focused()  # what destroys is not under the finger
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(_state(visitor)).to_have_text("aborted")
    await expect(page.get_by_role("main")).to_be_focused()  # the button is gone, the place is not lost


async def test_from_the_dashboard_to_the_failing_line_by_keys_alone(visitor: Visitor, site: Site) -> None:
    site.save("keyed", "steps:\n  - {name: load, command: \"sh -c 'echo out of room >&2; exit 3'\"}\n")
    site.run("keyed")
    page = await visitor.open("/")
    await _tab_to(visitor, "keyed")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("region", name="Log lines").get_by_text("out of room")).to_be_visible()


async def _tab_to(visitor: Visitor, name: str) -> None:
    """Press Tab until what has the focus is called so."""
    for _ in range(120):
        await visitor.page.keyboard.press("Tab")
        if await visitor.page.evaluate("document.activeElement.textContent.trim()") == name:
            return
    raise AssertionError(f"no way by Tab to {name}")

"""The first page of an empty server: examples, a first run, an own DAG, and where to import."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from dagbook.web import files
from tests.process.conftest import end
from tests.process.program import Program
from tests.web.browser import WIDTHS, visiting
from tests.web.site import Site, open_site


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Program]:
    """A server without users, DAGs and runs."""
    program = Program(tmp_path / "home", schedules=False)
    try:
        yield program.start()
    finally:
        end(program)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Site]:
    """An empty server with users."""
    opened = open_site(tmp_path / "home")
    try:
        opened.add_people()
        yield opened
    finally:
        opened.client.close()
        end(opened.program)


def _address(program: Program) -> str:
    return str(program.api.client.base_url).removesuffix("/api/v2/")


def _stored(program: Program) -> dict[str, str]:
    client = program.api.client
    names = [one["fileName"] for one in client.get("/dags", params={"perPage": 100}).json()["dags"]]
    return {name: client.get(f"/dags/{name}/spec").json()["spec"] for name in names}


@pytest.mark.always
async def test_an_empty_server_offers_a_first_run_and_the_examples(browser: Browser, empty: Program) -> None:
    """To the end of a first run it is one click; then the dashboard is the usual one."""
    async with visiting(browser, _address(empty)) as visitor:
        page = await visitor.open("/")
        assert len(visitor.asked()) == len(set(visitor.asked())), "a request is sent twice"
        await expect(page.get_by_role("heading", level=1)).to_have_text("Welcome to Dagbook")
        for width, height in WIDTHS.items():
            await page.set_viewport_size({"width": width, "height": height})
            assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it is too wide"
        await expect(page.get_by_text("dagbook import DIRECTORY --dry-run")).to_be_visible()
        await page.get_by_role("button", name="Run the first example").click()
        await page.wait_for_url(re.compile(r"/dag-runs/hello/[^/]+$"))
        await expect(page.get_by_role("main").locator("header").get_by_role("status")).to_have_text("succeeded")
        assert _stored(empty) == {"hello": files.read_example("hello")}
        await visitor.open("/")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Dashboard")
        assert visitor.complaints == []


async def test_the_examples_are_added_where_one_is_there_already(browser: Browser, empty: Program) -> None:
    mine = "steps:\n  - command: 'true'\n"
    async with visiting(browser, _address(empty)) as visitor:
        # The page does not learn of the next DAG; a route does not see requests of a shared worker.
        await visitor.page.add_init_script("delete window.SharedWorker")
        await visitor.page.route(re.compile("/api/v2/events"), lambda route: route.abort())
        page = await visitor.open("/")
        await expect(page.get_by_role("button", name="Add the examples")).to_be_visible()
        empty.api.store("retry", mine)
        await page.get_by_role("button", name="Add the examples").click()
        await page.wait_for_url(re.compile(r"/dags$"))
        await expect(page.get_by_role("link", name="for-each")).to_be_visible()
    examples = {name: files.read_example(name) for name in files.example_names()}
    assert _stored(empty) == examples | {"retry": mine}


async def test_a_first_dag_of_ones_own_opens_in_the_editor(browser: Browser, empty: Program) -> None:
    async with visiting(browser, _address(empty)) as visitor:
        page = await visitor.open("/")
        await page.get_by_role("button", name="New DAG").click()
        await page.get_by_label("Name").fill("mine")
        await page.get_by_role("button", name="Create").click()
        await page.wait_for_url(re.compile(r"/dags/mine/spec$"))
        await expect(page.get_by_role("textbox", name="Definition of mine")).to_be_visible()
        assert visitor.complaints == []


async def test_a_dag_can_begin_with_an_example(browser: Browser, empty: Program) -> None:
    async with visiting(browser, _address(empty)) as visitor:
        page = await visitor.open("/")
        await page.get_by_role("button", name="New DAG").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Begin with").select_option("diamond")
        await expect(dialog.get_by_label("Text of the new DAG")).to_contain_text("steps:")
        await dialog.get_by_label("Name").fill("shining")
        await dialog.get_by_role("button", name="Create").click()
        await page.wait_for_url(re.compile(r"/dags/shining/spec$"))
        assert visitor.complaints == []
    assert _stored(empty)["shining"] == files.read_example("diamond")


async def test_who_may_not_create_dags_is_told_whom_to_ask(browser: Browser, guarded: Site) -> None:
    async with visiting(browser, guarded.address, cookie=guarded.cookies["viewer"]) as visitor:
        page = await visitor.open("/")
        await expect(page.get_by_role("main")).to_contain_text("Ask a manager to add one.")
        await expect(page.get_by_role("main").get_by_role("button")).to_have_count(0)
        assert await visitor.find_barriers() == []

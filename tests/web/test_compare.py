"""Two runs side by side: what differs, from their definition down to the first line of output."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import Site

SPEC = (
    "params: S=0 WHAT=x\n"
    "steps:\n"
    "  - {name: prepare, command: seq 3000}\n"
    '  - {name: "work/shop", command: "sh -c \'seq 2500; echo at $(date +%s%N); echo took ${S}; sleep ${S}\'"}\n'
    "  - {name: send, command: \"sh -c 'echo sending; test ${S} -lt 1'\"}\n"
)


class Runs:
    """A success, and a later failure of another revision with other parameters."""

    def __init__(self, site: Site) -> None:
        self.site = site
        site.save("compared", SPEC)
        self.good = site.run("compared", params='S=0 WHAT="two words"')
        site.send("PUT", "/dags/compared/spec", {"spec": SPEC.replace("steps:", "description: newer\nsteps:")})
        self.bad = site.run("compared", params='S=1 WHAT="two words"')

    def path(self, more: str = "") -> str:
        return f"/compare?run=compared/{self.bad}{more}"


@pytest.fixture(scope="module")
def runs(site: Site) -> Runs:
    return Runs(site)


@pytest.fixture
async def visitor(browser: Browser, runs: Runs) -> AsyncIterator[Visitor]:
    async with visiting(browser, runs.site.address, cookie=runs.site.cookies["viewer"]) as opened:
        yield opened
        assert opened.complaints == []


async def test_a_failure_is_compared_with_the_last_success_before_it(visitor: Visitor, runs: Runs) -> None:
    await visitor.open(f"/dag-runs/compared/{runs.bad}")
    await visitor.page.get_by_role("link", name="Compare with last good").click()
    await expect(visitor.page).to_have_url(re.compile(f"run=compared%2F{runs.bad}&with=compared%2F{runs.good}"))
    await expect(visitor.page.get_by_role("region", name="Compared with")).to_contain_text("succeeded")
    await expect(visitor.page.get_by_role("region", name="This run")).to_contain_text("failed")
    await expect(visitor.page.get_by_role("region", name="This run")).to_contain_text("send: exit status 1")


async def test_parameters_and_revisions_that_differ_are_told(visitor: Visitor, runs: Runs) -> None:
    page = await visitor.open(runs.path())
    params = page.get_by_role("region", name="Parameters")
    await expect(params.get_by_role("row").filter(has_text="differs")).to_have_count(1)
    await expect(params.get_by_role("row").filter(has_text="two words")).not_to_contain_text("differs")
    await expect(page.get_by_role("region", name="Definition")).to_contain_text("+description: newer")


async def test_steps_show_how_they_ended_and_how_long_they_took(visitor: Visitor, runs: Runs) -> None:
    page = await visitor.open(runs.path())
    rows = page.get_by_role("region", name="Steps").get_by_role("row")
    await expect(rows.filter(has_text="work/shop")).to_contain_text("slower")
    await expect(rows.filter(has_text="send")).to_contain_text("ended differently")
    sides = rows.filter(has_text="send").locator(".side")
    await expect(sides).to_have_text([re.compile("succeeded"), re.compile("failed")])
    await expect(page.get_by_role("region", name="Steps").locator(".status")).to_have_count(0)
    # On a busy machine the first step may be slower, too.
    differing = await rows.filter(has_text=re.compile("slower|faster|ended differently")).count()
    await page.get_by_role("checkbox", name=f"Show only the {differing} steps that differ").check()
    await expect(rows).to_have_count(1 + differing)
    await expect(rows.filter(has_text=re.compile("slower|faster|ended differently"))).to_have_count(differing)


async def test_the_first_line_that_differs_is_found_behind_thousands_that_do_not(visitor: Visitor, runs: Runs) -> None:
    page = await visitor.open(runs.path("&step=work/shop"))
    output = page.get_by_role("region", name="Output")
    await expect(output.get_by_role("status").filter(has_text="then line 2,501 differs")).to_be_visible()
    await expect(output.get_by_role("region", name=re.compile("^This run"))).to_contain_text(re.compile(r"2501at \d+"))
    await output.get_by_role("checkbox", name="Ignore numbers").check()
    await expect(output.get_by_text("Both runs wrote the same 2,502 lines to stdout.")).to_be_visible()


async def test_it_leads_to_the_line_in_the_log_of_either_run(visitor: Visitor, runs: Runs) -> None:
    page = await visitor.open(runs.path("&step=work/shop"))
    side = page.get_by_role("region", name=re.compile("^Compared with: lines"))
    await side.get_by_role("link", name="Line 2501 in the log").click()
    await expect(page.get_by_role("region", name="Log lines").locator(".linked")).to_contain_text("2501at ")
    assert runs.good in page.url


async def test_output_that_is_the_same_is_said_to_be(visitor: Visitor, runs: Runs) -> None:
    page = await visitor.open(runs.path("&step=prepare"))
    await expect(page.get_by_text("Both runs wrote the same 3,000 lines to stdout.")).to_be_visible()
    await page.get_by_role("button", name="stderr").click()
    await expect(page.get_by_text("Neither run wrote anything to stderr.")).to_be_visible()


async def test_another_run_is_chosen_and_the_two_are_swapped(visitor: Visitor, runs: Runs) -> None:
    page = await visitor.open(runs.path(f"&with=compared/{runs.good}"))
    await page.get_by_role("button", name="Swap").click()
    await expect(page.get_by_role("region", name="This run")).to_contain_text("succeeded")
    await page.get_by_role("button", name="Use the last success").click()
    await expect(page.get_by_role("heading", name="Nothing to compare with yet")).to_be_visible()
    await page.get_by_role("combobox", name="Compare with").select_option(f"compared/{runs.bad}")
    await expect(page.get_by_role("region", name="Compared with")).to_contain_text("failed")


async def test_two_runs_that_were_chosen_in_the_list_are_compared(visitor: Visitor) -> None:
    page = await visitor.open("/dag-runs?name=compared")
    await page.get_by_role("checkbox", name="Select all runs shown").check()
    await page.get_by_role("link", name="Compare", exact=True).click()
    await expect(page.get_by_role("region", name="This run")).to_contain_text("failed")
    await expect(page.get_by_role("region", name="Compared with")).to_contain_text("succeeded")


async def test_the_only_run_of_a_dag_is_not_offered_to_be_compared(visitor: Visitor, site: Site) -> None:
    site.save("single", "steps:\n  - {name: one, command: 'true'}\n")
    for count in (0, 1):
        site.run("single")
        page = await visitor.open("/dag-runs/single/latest")
        await expect(page.get_by_role("link", name="Compare", exact=True)).to_have_count(count)


@pytest.mark.parametrize("width", WIDTHS)
async def test_it_can_be_used_by_everybody(browser: Browser, runs: Runs, width: int) -> None:
    async with visiting(browser, runs.site.address, cookie=runs.site.cookies["viewer"], width=width) as visitor:
        page = await visitor.open(runs.path("&step=work/shop"))
        await expect(page.get_by_text("then line 2,501 differs")).to_be_visible()
        assert len(visitor.asked()) == len(set(visitor.asked())), "a request is sent twice"
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert await visitor.find_barriers() == []
        await page.emulate_media(color_scheme="dark")
        assert await visitor.find_barriers() == []


async def test_the_keyboard_goes_from_step_to_step(visitor: Visitor, runs: Runs) -> None:
    page = await visitor.open(runs.path())
    await page.get_by_role("button", name="Output of prepare").focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Output of work/shop")).to_be_visible()

"""The page of a failed run leads to the reason: also before the first step, and in a sub-run of a sub-run."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.web.browser import Visitor, visiting
from tests.web.site import Site

NESTED = """\
steps:
  - {name: list, command: 'true'}
  - {name: each, call: shrink, parallel: [first, second, third], depends: list}
---
name: shrink
params: [FILE]
steps:
  - {name: fetch, command: echo fetch $1}
  - {name: convert, call: resize, params: $1, depends: fetch}
---
name: resize
params: [FILE]
steps:
  - {name: open, command: echo open $1}
  - name: resize
    command: sh -c 'echo resizing $1; case $1 in second) echo size of $1 is not known >&2; exit 3;; esac'
    depends: open
"""
UNRESOLVED = "secrets: [{name: TOKEN, provider: env, key: NOT_THERE}]\nsteps: [{name: one, command: 'true'}]\n"
UNMET = "preconditions: [{condition: '5', expected: '7'}]\nsteps: [{name: one, command: 'true'}]\n"
# What ended the runs of these DAGs.
UNRESOLVED_TEXT = "secret TOKEN: the environment variable 'NOT_THERE' is not set"
UNMET_TEXT = 'a precondition of the run was not met: expected "7", but the value is "5"'


@pytest.fixture(scope="module")
def nested(site: Site) -> str:
    site.save("nested-calls", NESTED)
    return f"/dag-runs/nested-calls/{site.run('nested-calls')}"


@pytest.fixture
async def visitor(browser: Browser, site: Site) -> AsyncIterator[Visitor]:
    async with visiting(browser, site.address, cookie=site.cookies["operator"]) as opened:
        yield opened
        assert opened.complaints == []


async def _top(found: Locator) -> float:
    box = await found.bounding_box()
    assert box is not None
    return box["y"]


def _step(page: Page, name: str) -> Locator:
    return page.locator("ol.steps .step").filter(has=page.get_by_role("button", name=name, exact=True))


@pytest.mark.parametrize(
    ("spec", "error"), [(UNRESOLVED, UNRESOLVED_TEXT), (UNMET, UNMET_TEXT)], ids=["secret", "unmet"]
)
async def test_a_run_that_ended_before_its_first_step_says_why(
    visitor: Visitor, site: Site, spec: str, error: str
) -> None:
    name = "no-secret" if spec is UNRESOLVED else "not-met"
    site.save(name, spec)
    run_id = site.run(name)
    page = await visitor.open(f"/dag-runs/{name}/{run_id}")
    await expect(page.locator(".why")).to_contain_text(error)
    output = page.get_by_role("region", name="Step one")
    await expect(output).to_contain_text(f"It did not run, because {error}")
    await expect(page.get_by_text("Not started yet")).to_have_count(0)
    await visitor.open(f"/dag-runs?name={name}")
    await expect(page.get_by_role("row").filter(has_text=name)).to_contain_text(error)
    if spec is UNRESOLVED:
        await visitor.open("/")
        failures = page.get_by_role("region", name="Failures")
        await expect(failures.get_by_role("row").filter(has_text=name)).to_contain_text(error)


async def test_a_failed_call_opens_at_the_failing_step_two_levels_below(visitor: Visitor, nested: str) -> None:
    page = await visitor.open(nested)
    output = page.get_by_role("region", name="Step resize")
    await expect(output.get_by_role("region", name="Log lines")).to_contain_text("size of second is not known")
    await expect(output.locator(".step-head")).to_contain_text("failed")
    await expect(output.get_by_role("link", name=re.compile("Link to line [0-9]+, stderr"))).to_be_in_viewport()
    await expect(page.locator(".why")).to_contain_text("each \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} resize")
    await expect(page.locator(".why")).to_contain_text("exit status 3 \N{EN DASH} size of second is not known")
    await expect(page.locator(".step.chosen")).to_have_count(1)
    await expect(page.locator(".step.chosen")).to_contain_text("resize")
    await page.get_by_role("tab", name="Timeline").click()
    await expect(page.locator(".timeline .step.chosen")).to_contain_text("resize")


async def test_a_choice_moves_nothing_under_the_pointer(visitor: Visitor, nested: str) -> None:
    page = await visitor.open(nested)
    back = page.get_by_role("button", name="Show its output", include_hidden=True)
    await expect(page.locator(".step.chosen")).to_contain_text("resize")
    await expect(back).to_be_hidden()
    before = [await _top(_step(page, name)) for name in ("list", "fetch", "open")]
    await _step(page, "open").get_by_role("button", name="open", exact=True).click()
    await expect(page.get_by_role("region", name="Step open").get_by_text("open second")).to_be_visible()
    await expect(page.locator(".step.chosen")).to_contain_text("open")
    assert [await _top(_step(page, name)) for name in ("list", "fetch", "open")] == before
    await back.click()
    await expect(page.get_by_role("region", name="Step resize").get_by_text("size of second")).to_be_visible()
    assert [await _top(_step(page, name)) for name in ("list", "fetch", "open")] == before


async def test_a_call_shows_its_sub_runs_with_the_failed_one_first_and_why(visitor: Visitor, nested: str) -> None:
    page = await visitor.open(f"{nested}?step=each")
    output = page.get_by_role("region", name="Step each")
    rows = output.get_by_role("list", name="Sub-runs of the step").get_by_role("listitem")
    await expect(rows).to_have_count(3)
    await expect(rows.first).to_contain_text("failed")
    await expect(rows.first.get_by_role("link")).to_have_text("second")
    await expect(rows.first).to_contain_text("convert: ")  # the reason of that run, which called another one
    await output.get_by_role("button", name="2 succeeded").click()
    await expect(rows).to_have_count(2)
    await output.get_by_role("button", name="3 in all").click()
    await page.get_by_label("Stream").select_option("stdout")
    await expect(page.get_by_role("region", name="Log lines")).to_contain_text('"summary"')
    await page.get_by_role("button", name="each", exact=True).click()
    await rows.first.get_by_role("link").click()
    # The sub-run opens at its failing step, which called another one as well.
    await page.get_by_role("region", name="Step convert").get_by_role("list").get_by_role("link").click()
    await expect(page.get_by_role("region", name="Step resize").get_by_text("size of second")).to_be_visible()


async def test_cells_of_sub_runs_are_gone_through_by_keys(visitor: Visitor, nested: str) -> None:
    page = await visitor.open(f"{nested}?step=each")
    cells = page.get_by_role("listbox", name="Sub-runs, a cell for each")
    await expect(cells.get_by_role("option")).to_have_count(3)
    await cells.focus()
    await page.keyboard.press("ArrowRight")
    await expect(cells.get_by_role("option", selected=True)).to_have_accessible_name("second: failed")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("region", name="Step convert")).to_be_visible()


async def test_the_failed_sub_runs_are_retried_alone(visitor: Visitor, site: Site, tmp_path: Path) -> None:
    mended, seen = tmp_path / "mended", tmp_path / "seen"
    work = f"echo $1 >> {seen}; test $1 = good || test -e {mended}"
    site.save(
        "partly",
        "steps:\n  - {name: each, call: part, parallel: [good, bad]}\n---\nname: part\nsteps:\n"
        f"  - {{name: work, command: \"sh -c '{work}'\"}}\n",
    )
    run_id = site.run("partly")
    mended.touch()
    page = await visitor.open(f"/dag-runs/partly/{run_id}?step=each")
    await page.get_by_role("button", name="Retry the 1 failed").click()
    await page.get_by_role("dialog").get_by_role("button", name="Retry the 1 failed").click()
    await expect(page.locator(".run-header").get_by_role("status")).to_have_text("succeeded")
    assert sorted(seen.read_text().split()) == ["bad", "bad", "good"]


async def test_each_param_is_one_chip_whatever_its_value_has(visitor: Visitor, site: Site) -> None:
    site.save(
        "with-blanks",
        'params: \'NAME="Ada Lovelace & sons" TEXT="say \\"it\\" B=2"\'\nsteps: [{name: one, command: \'true\'}]\n',
    )
    page = await visitor.open(f"/dag-runs/with-blanks/{site.run('with-blanks')}")
    await expect(page.locator(".run-header .chip")).to_have_text(["NAME=Ada Lovelace & sons", 'TEXT=say "it" B=2'])
    site.save("with-many", "params: 'A=1 B=2 C=3 D=4'\nsteps: [{name: one, command: 'true'}]\n")
    await visitor.open(f"/dag-runs/with-many/{site.run('with-many')}")
    chips = page.locator(".run-header .chip")
    await expect(chips).to_have_count(0)
    await page.get_by_role("button", name="show all 4").click()
    await expect(chips).to_have_count(4)
    tops = [await _top(chips.nth(number)) for number in range(4)]
    assert len(set(tops)) == 4  # each on a line of its own

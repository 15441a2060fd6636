"""The log of a step as people read it: colours, long and rewritten lines, the search, following, links to lines."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.process.waiting import wait_for
from tests.web.browser import Visitor, visiting
from tests.web.site import Site

SHOWN = 4000  # characters of a line
LONG = 1 << 20
PAINTED = """\
steps:
  - name: paint
    script: |
      #!/usr/bin/env python3
      E = "\\x1b["
      print(f"{E}31mred {E}1mbold{E}22m{E}0m plain")
      print(f"{E}38;5;208mindexed{E}0m {E}38;2;10;200;30mtrue{E}0m {E}38:2::30:40:250mcolons{E}0m")
      print(f"{E}7minverse{E}27m {E}9mstruck{E}29m")
      print(f"{E}32mgreen begins")
      print(f"and goes on{E}0m")
      print("loading 10%\\rloading 55%\\rloading 100%")
      print("x" * (1 << 20))
      print("<b>the end</b>")
"""


@pytest.fixture(scope="module")
def painted(site: Site) -> str:
    site.save("painted", PAINTED)
    return site.run("painted")


@pytest.fixture
async def visitor(browser: Browser, site: Site) -> AsyncIterator[Visitor]:
    async with visiting(browser, site.address, cookie=site.cookies["operator"]) as opened:
        yield opened
        assert [text for text in opened.complaints if "status of 400" not in text] == []


def _lines(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("region", name="Log lines")


async def _style(piece: Locator, name: str) -> str:
    return str(await piece.evaluate("(element, name) => getComputedStyle(element)[name]", name))


async def test_colours_of_terminals_show(visitor: Visitor, painted: str) -> None:
    await visitor.open(f"/dag-runs/painted/{painted}")
    lines = _lines(visitor)
    plain = await _style(lines.get_by_text("plain"), "color")
    assert await _style(lines.get_by_text("red"), "color") != plain
    assert await _style(lines.get_by_text("bold"), "fontWeight") == "700"
    assert await _style(lines.get_by_text("indexed"), "color") == "rgb(255, 135, 0)"
    assert await _style(lines.get_by_text("true", exact=True), "color") == "rgb(10, 200, 30)"
    assert await _style(lines.get_by_text("colons"), "color") == "rgb(30, 40, 250)"
    assert await _style(lines.get_by_text("inverse"), "backgroundColor") == plain
    assert "line-through" in await _style(lines.get_by_text("struck"), "textDecorationLine")
    begun = await _style(lines.get_by_text("green begins"), "color")
    assert await _style(lines.get_by_text("and goes on"), "color") == begun


async def test_a_progress_bar_shows_its_last_state_and_the_others_when_asked(visitor: Visitor, painted: str) -> None:
    await visitor.open(f"/dag-runs/painted/{painted}")
    line = _lines(visitor).locator(".log-line").filter(has_text="loading")
    await expect(line).to_contain_text("loading 100%")
    await expect(line).not_to_contain_text("loading 10%")
    await line.get_by_role("button").click()
    await expect(line).to_contain_text("loading 10%")


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_line_of_a_mebibyte_is_cut_until_it_is_asked_for(visitor: Visitor, painted: str, wrapped: bool) -> None:
    page = await visitor.open(f"/dag-runs/painted/{painted}")
    await page.get_by_label("Wrap").set_checked(wrapped)
    lines = _lines(visitor)
    await lines.press("End")
    await expect(lines.get_by_text("<b>the end</b>")).to_be_in_viewport()
    more = lines.get_by_role("button", name=f"{LONG - SHOWN:,} more characters")
    await more.click()
    await expect(more).to_have_count(0)
    assert len(await lines.locator(".log-text.whole").inner_text()) >= LONG


async def test_lines_of_which_an_answer_holds_only_some_all_show(visitor: Visitor, site: Site) -> None:
    """The server answers with fewer lines than were asked for when they are long; those behind were never fetched."""
    site.save(
        "lengthy",
        "steps:\n  - name: tell\n    command: |\n"
        "      echo first; for i in $(seq 20); do head -c 1000000 /dev/zero | tr '\\0' x; echo; done; echo last\n",
    )
    path = f"/dag-runs/lengthy/{site.run('lengthy')}"
    answer = site.send("GET", f"{path}/steps/tell/log?offset=1&limit=500")
    assert 0 < answer["lineCount"] < answer["totalLines"] == 22
    await visitor.open(path)
    await expect(_lines(visitor).get_by_text("first")).to_be_visible()
    await _lines(visitor).press("End")
    await expect(_lines(visitor).locator(".log-line").last).to_have_text("22last")


async def test_a_search_counts_its_hits_and_goes_from_one_to_the_next(visitor: Visitor, site: Site) -> None:
    site.save("counting", "steps:\n  - {name: count, command: seq 5000}\n")
    page = await visitor.open(f"/dag-runs/counting/{site.run('counting')}")
    box = page.get_by_role("searchbox", name="Search this log")
    said = page.get_by_role("region", name="Output of count").get_by_role("status")
    hit = _lines(visitor).locator(".hit .log-number")
    await box.fill("777")
    await box.press("Enter")
    await expect(said).to_have_text("1 of 5")
    await expect(hit).to_have_text("777")
    await box.press("Enter")
    await expect(said).to_have_text("2 of 5")
    await expect(hit).to_have_text("1777")
    await expect(hit).to_be_in_viewport()
    await box.press("Shift+Enter")
    await expect(hit).to_have_text("777")
    await box.fill("no such number")
    await box.press("Enter")
    await expect(said).to_have_text("no hits")
    await page.get_by_label("Regex").check()
    await box.fill("^4.9$")
    await box.press("Enter")
    await expect(said).to_have_text("1 of 10")
    await box.fill("((")
    await box.press("Enter")
    await expect(said).to_contain_text("is no regular expression")


async def test_following_pauses_when_somebody_scrolls(visitor: Visitor, site: Site) -> None:
    writes = "sh -c 'seq 300; while :; do echo more; sleep 0.2; done'"
    site.save("chatting", f'steps:\n  - {{name: talk, command: "{writes}"}}\n')
    run_id = site.start("chatting")
    wait_for("its start", lambda: site.status("chatting", run_id) == "running")
    page = await visitor.open(f"/dag-runs/chatting/{run_id}")
    follow = page.get_by_label("Follow")
    await expect(follow).to_be_checked()
    await expect(_lines(visitor).get_by_text("more").first).to_be_in_viewport()
    await _lines(visitor).press("Home")
    await expect(follow).not_to_be_checked()
    await expect(page.get_by_text("Following is paused")).to_be_visible()
    foot = page.locator(".log-foot").get_by_text(re.compile(r"\d+ lines"))
    before = await foot.inner_text()
    await expect(foot).not_to_have_text(before)  # more has come …
    await expect(_lines(visitor).get_by_role("link", name="Link to line 1", exact=True)).to_be_in_viewport()  # … below
    await follow.check()
    await expect(_lines(visitor).get_by_text("more").first).to_be_in_viewport()
    site.send("POST", f"/dag-runs/chatting/{run_id}/stop", {})


async def test_a_link_to_a_line_leads_there_also_after_a_reload(visitor: Visitor, site: Site) -> None:
    site.save("linked", "steps:\n  - {name: count, command: seq 9000}\n")
    page = await visitor.open(f"/dag-runs/linked/{site.run('linked')}#L6000")
    number = _lines(visitor).get_by_role("link", name="Link to line 6000", exact=True)
    await expect(number).to_be_in_viewport()
    await page.reload()
    await expect(number).to_be_in_viewport()
    await expect(_lines(visitor).locator(".linked .log-number")).to_have_text("6000")


async def test_both_streams_are_one_output_with_times_and_either_is_one_choice_away(
    visitor: Visitor, site: Site
) -> None:
    site.save("spoken", "steps:\n  - {name: both, command: \"sh -c 'echo said; echo cried >&2'\"}\n")
    page = await visitor.open(f"/dag-runs/spoken/{site.run('spoken')}")
    lines = _lines(visitor).locator(".log-line")
    await expect(lines).to_have_count(2)
    await expect(_lines(visitor).get_by_role("link", name=re.compile("Link to line [12], stderr"))).to_have_count(1)
    await page.get_by_label("Times").check()
    await expect(lines.first.locator("time")).to_have_text(re.compile(r"\d\d:\d\d:\d\d\.\d\d\d"))
    await page.get_by_label("Stream").select_option("stderr")
    await expect(lines).to_have_count(1)
    await expect(lines).to_contain_text("cried")


async def test_an_empty_stream_leads_to_both(visitor: Visitor, site: Site) -> None:
    site.save("whisper", "steps:\n  - {name: hush, command: \"sh -c 'echo only here >&2'\"}\n")
    page = await visitor.open(f"/dag-runs/whisper/{site.run('whisper')}?stream=stdout")
    await expect(page.get_by_text("The step wrote nothing to stdout")).to_be_visible()
    await page.get_by_role("button", name="Show both streams").click()
    await expect(_lines(visitor).get_by_text("only here")).to_be_visible()


async def test_tries_of_a_step_are_told_apart_and_fold(visitor: Visitor, site: Site, tmp_path: Path) -> None:
    count = tmp_path / "count"
    script = f"echo x >> {count}\n      seq 5\n      test $(wc -l < {count}) -ge 3"
    site.save(
        "flaky",
        f"steps:\n  - name: flaky\n    script: |\n      {script}\n    retryPolicy: {{limit: 3, intervalSec: 0}}\n",
    )
    page = await visitor.open(f"/dag-runs/flaky/{site.run('flaky')}")
    heads = _lines(visitor).locator(".log-head")
    failed = r" · failed with exit code 1 · [\d.]+ m?s"
    await expect(heads).to_have_text(
        [
            re.compile(f"^Try 1 of 3{failed}"),
            re.compile(f"^Try 2 of 3{failed}"),
            re.compile("^Try 3 of 3 · succeeded · "),
        ]
    )
    lines = _lines(visitor).locator(".log-line")
    await expect(lines).to_have_count(15)
    await page.get_by_role("button", name="Fold Try 1 of 3").click()
    await expect(lines).to_have_count(10)
    await expect(heads).to_have_count(3)
    await expect(lines.first.locator(".log-number")).to_have_text("6")
    await page.get_by_role("button", name="Unfold Try 1 of 3").click()
    await expect(lines).to_have_count(15)


async def test_a_try_shows_alone_until_a_line_of_another_is_looked_for(
    visitor: Visitor, site: Site, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    told = f"echo x >> {count}\n      echo begin $(wc -l < {count})\n      echo oops >&2"
    script = f"{told}\n      test $(wc -l < {count}) -ge 3"
    site.save(
        "chosen",
        f"steps:\n  - name: flaky\n    script: |\n      {script}\n    retryPolicy: {{limit: 3, intervalSec: 0}}\n",
    )
    page = await visitor.open(f"/dag-runs/chosen/{site.run('chosen')}?try=x")
    lines = _lines(visitor).locator(".log-line")
    await expect(lines).to_have_count(6)
    await lines.first.get_by_role("link").click()
    await page.get_by_role("button", name="Details").click()
    second = page.get_by_role("region", name="3 tries").get_by_role("button", name="2", exact=True)
    await second.click()
    await expect(second).to_have_attribute("aria-pressed", "true")
    await expect(lines).to_have_count(2)
    await expect(_lines(visitor)).to_contain_text("begin 2")
    await expect(_lines(visitor)).to_contain_text("oops")
    await expect(page.locator(".log-foot")).to_contain_text("2 lines")
    await expect(page).to_have_url(re.compile(r"[?&]try=2(&|$)"))
    await page.reload()
    await expect(lines).to_have_count(2)
    await expect(_lines(visitor).locator(".log-head")).to_contain_text("Try 2 of 3 · failed with exit code 1")
    box = page.get_by_role("searchbox", name="Search this log")
    await box.fill("begin 3")
    await box.press("Enter")
    await expect(_lines(visitor).locator(".hit")).to_contain_text("begin 3")
    await expect(lines).to_have_count(6)
    await expect(second).to_have_attribute("aria-pressed", "false")


async def test_the_address_has_a_try_and_leads_back_to_all(visitor: Visitor, site: Site) -> None:
    site.save(
        "thrice",
        "steps:\n  - name: flaky\n    command: sh -c 'echo one; echo two; exit 4'\n"
        "    retryPolicy: {limit: 2, intervalSec: 0}\n",
    )
    path = f"/dag-runs/thrice/{site.run('thrice')}"
    page = await visitor.open(f"{path}?step=flaky&try=3")
    numbers = _lines(visitor).locator(".log-number")
    await expect(numbers).to_have_text(["5", "6"])
    async with page.expect_download() as caught:
        await page.get_by_role("link", name="Download this log").click()
    assert (await (await caught.value).path()).read_text() == "one\ntwo\n"
    await page.get_by_role("button", name="Show all tries").click()
    await expect(numbers).to_have_count(6)
    await expect(page).not_to_have_url(re.compile("try="))
    await visitor.open(f"{path}?step=flaky&try=9")
    await expect(page.get_by_text("No output of try 9")).to_be_visible()
    await page.get_by_role("button", name="Show all tries").click()
    await expect(numbers).to_have_count(6)
    await visitor.open(f"{path}?step=flaky&stream=all&try=2#L4")
    await expect(_lines(visitor).locator(".linked .log-number")).to_have_text("4")
    await expect(numbers).to_have_text(["3", "4"])


async def test_groups_fold_and_a_link_into_one_opens_it(visitor: Visitor, site: Site) -> None:
    script = "echo ::group::Install; seq 3; echo ::endgroup::; echo ::group::Test; seq 2; echo ::endgroup::; echo end"
    site.save("grouped", f"steps:\n  - {{name: build, command: \"sh -c '{script}'\"}}\n")
    page = await visitor.open(f"/dag-runs/grouped/{site.run('grouped')}")
    lines = _lines(visitor).locator(".log-line")
    await expect(lines).to_have_count(10)
    await page.get_by_role("button", name="Fold Install").click()
    await expect(lines).to_have_count(6)
    await page.get_by_role("button", name="Unfold groups").click()
    await expect(lines).to_have_count(10)
    await page.get_by_role("button", name="Fold groups").click()
    await expect(lines).to_have_text([re.compile("1Install"), re.compile("6Test"), re.compile("10end")])
    await page.get_by_role("searchbox", name="Search this log").fill("^3$")
    await page.get_by_label("Regex").check()
    await page.get_by_role("searchbox", name="Search this log").press("Enter")
    await expect(_lines(visitor).locator(".hit")).to_have_text("43")


async def test_a_log_is_downloaded_whole(visitor: Visitor, site: Site, painted: str) -> None:
    page = await visitor.open(f"/dag-runs/painted/{painted}")
    async with page.expect_download() as caught:
        await page.get_by_role("link", name="Download this log").click()
    got = (await (await caught.value).path()).read_bytes()
    assert got == site.client.get(f"/dag-runs/painted/{painted}/steps/paint/log/download?stream=all").content
    assert len(got) > LONG

"""What people come to the web UI for, each from the dashboard, with real clicks and keys, in five clicks or fewer.

What is done most often has a smaller number of clicks. By keys alone: test_by_keys.py.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.process.waiting import wait_for
from tests.web.aging import add_old_runs
from tests.web.browser import visiting
from tests.web.site import PASSWORD, Site
from tests.web.walk import Walk


@pytest.fixture
async def walk(browser: Browser, site: Site) -> AsyncIterator[Walk]:
    """An admin who has just opened the dashboard; in the end nothing may have been complained of."""
    async with visiting(browser, site.address, cookie=site.cookies["admin"]) as visitor:
        await visitor.open("/")
        yield Walk(visitor)
        assert visitor.complaints == []


LOAD = "steps:\n  - {name: load, command: \"sh -c 'seq 5000; echo no space left >&2; exit 3'\"}\n"
BELOW = f"""\
steps: [{{name: month, call: month}}]
---
name: month
steps: [{{name: day, call: day}}]
---
name: day
{LOAD}"""


@pytest.mark.always
@pytest.mark.parametrize(("name", "spec"), [("nightly", LOAD), ("nightly-below", BELOW)])
async def test_from_the_dashboard_to_the_line_that_tells_why_a_run_failed(
    walk: Walk, site: Site, name: str, spec: str
) -> None:
    site.save(name, spec)
    site.run(name)
    await walk.follow(name, walk.region("Failures"))
    await walk.see_text("no space left", walk.region("Log lines"))
    assert walk.clicks == 1


async def test_a_run_goes_on_from_its_failed_step(walk: Walk, site: Site, tmp_path: Path) -> None:
    mended, loads = tmp_path / "mended", tmp_path / "loads"
    site.save(
        "mendable",
        f"steps:\n  - {{name: load, command: sh -c 'echo x >> {loads}'}}\n"
        f"  - {{name: send, command: test -e {mended}, depends: load}}\n",
    )
    run_id = site.run("mendable")
    mended.touch()
    await walk.follow("mendable", walk.region("Failures"))
    await walk.press("Other ways to run again")
    await walk.click(walk.page.get_by_role("menuitem", name="Retry from send"))
    await walk.press("Retry from here", walk.dialog())
    await walk.see(walk.page.locator(".run-header").get_by_role("status").get_by_text("succeeded"))
    assert site.status("mendable", run_id) == "succeeded"
    assert loads.read_text().split() == ["x"]


async def test_a_run_is_started_with_parameters(walk: Walk, site: Site) -> None:
    site.save("greeter", "params: WHO=nobody\nsteps:\n  - {name: greet, command: 'echo hello ${WHO}'}\n")
    await walk.turn_to("DAGs")
    await walk.press("Start greeter")
    await walk.dialog().get_by_label("WHO").fill("Ada Lovelace")
    await walk.press("Start", walk.dialog())
    await walk.see_text("hello Ada Lovelace", walk.region("Log lines"))


async def test_an_approval_is_given(walk: Walk, site: Site) -> None:
    site.save("gated", "steps:\n  - {name: gate, type: hitl, config: {prompt: 'One sugar?'}}\n")
    run_id = site.start("gated")
    await walk.click(walk.page.get_by_role("main").get_by_role("link", name=re.compile("^[0-9]+ waits?$")))
    await walk.press("Approve", walk.page.get_by_role("article", name="Approval of gate of gated"))
    await walk.press("Approve", walk.dialog())
    wait_for("the approval", lambda: site.status("gated", run_id) == "succeeded")
    assert walk.clicks == 3


async def test_the_dashboard_tells_what_runs_next(walk: Walk, site: Site) -> None:
    later = (datetime.now(UTC) + timedelta(hours=12)).hour
    for name, schedule in {"busy": f"*/5 {later} * * *", "resting": "* * * * *"}.items():
        site.save(name, f"schedule: '{schedule}'\nsteps:\n  - {{name: one, command: 'true'}}\n")
    site.send("POST", "/dags/resting/suspend", {"suspend": True})
    starts = walk.region("Next starts")
    await walk.see(starts.get_by_role("link", name="busy"))
    await expect(starts.get_by_role("link", name="busy")).to_have_count(1)
    await expect(starts.get_by_role("link", name="resting")).to_have_count(0)
    await walk.see(starts.get_by_role("listitem").filter(has_text="etl").get_by_role("time"))
    await walk.follow("All schedules", starts)
    await walk.see(walk.page.get_by_role("row").filter(has_text="resting").filter(has_text="suspended"))
    for name in ("busy", "resting"):
        site.send("DELETE", f"/dags/{name}")


async def test_all_runs_that_failed_with_an_error_are_found(walk: Walk, site: Site) -> None:
    for name in ("left", "right"):
        site.save(name, "steps:\n  - {name: one, command: \"sh -c 'echo quota of the moon used up >&2; exit 1'\"}\n")
        site.run(name)
    await walk.page.keyboard.press("/")
    await walk.page.keyboard.type("quota of the moon")
    await walk.page.keyboard.press("Enter")
    await walk.follow("All runs with this error")
    table = walk.page.get_by_role("table")
    await walk.see(table.get_by_role("link", name="left"))
    await walk.see(table.get_by_role("link", name="right"))
    await expect(table.get_by_role("row")).to_have_count(3)


async def test_a_slow_run_shows_what_is_usual(walk: Walk, site: Site) -> None:
    site.save("varying", "params: S=0\nsteps:\n  - {name: work, command: 'sleep ${S}'}\n")
    for seconds in ("0", "0", "0", "3"):
        site.run("varying", params=f"S={seconds}")
    await walk.turn_to("Runs")
    row = walk.page.get_by_role("row").filter(has_text="varying").first
    await walk.click(row.get_by_role("link").last)
    await walk.see_text("usually")
    text = await walk.page.get_by_role("main").inner_text()
    took, usual = re.findall(r"([\d.]+) s\s+\(usually ([\d.]+ (?:s|ms))\)", text)[0]
    assert float(took) >= 3
    assert usual.endswith("ms") or float(usual.split()[0]) < 3


async def test_a_slow_run_is_compared_with_a_normal_one(walk: Walk, site: Site) -> None:
    site.save(
        "slowing", "params: S=0\nsteps:\n  - {name: read, command: 'true'}\n  - {name: count, command: 'sleep ${S}'}\n"
    )
    for seconds in ("0", "2"):
        site.run("slowing", params=f"S={seconds}")
    await walk.turn_to("Runs")
    row = walk.page.get_by_role("row").filter(has_text="slowing").first
    await walk.click(row.get_by_role("link").last)
    await walk.follow("Compare")
    await walk.see(walk.region("Steps").get_by_role("row").filter(has_text="count").filter(has_text="slower"))
    await walk.see(walk.region("Parameters").get_by_role("row").filter(has_text="differs"))


async def _edit(walk: Walk) -> None:
    await walk.turn_to("DAGs")
    await walk.follow("draft")
    await walk.click(walk.page.get_by_role("tab", name="Definition"))
    await walk.click(walk.page.get_by_role("textbox", name="Definition of draft"))
    await walk.page.keyboard.press("Control+End")
    await walk.page.keyboard.type("description: second thoughts")
    await walk.press("Save")
    await walk.dialog().get_by_label("Note").fill("says what it is")
    await walk.page.keyboard.press("Enter")
    await walk.see_text("draft saved.")


def _spec(site: Site) -> str:
    return str(site.send("GET", "/dags/draft/spec")["spec"])


DRAFT = "steps:\n  - {name: one, command: echo first}\n"


async def test_a_definition_is_edited(walk: Walk, site: Site) -> None:
    site.save("draft", DRAFT)
    await _edit(walk)
    assert _spec(site) == DRAFT + "description: second thoughts"
    newest = site.send("GET", "/dags/draft/revisions")["revisions"][0]
    assert newest["note"] == "says what it is"


async def test_two_revisions_are_compared(walk: Walk, site: Site) -> None:
    site.save("changed", DRAFT)
    site.send("PUT", "/dags/changed/spec", {"spec": DRAFT.replace("first", "second")})
    await walk.turn_to("DAGs")
    await walk.follow("changed")
    await walk.click(walk.page.get_by_role("tab", name="Revisions"))
    await walk.follow("Changes of revision 2")
    await walk.page.wait_for_url("**/dags/changed/revisions?changes=2")
    await walk.see_text("-  - {name: one, command: echo first}", walk.dialog())
    await walk.see_text("+  - {name: one, command: echo second}", walk.dialog())
    await walk.page.keyboard.press("Escape")
    await expect(walk.dialog()).to_have_count(0)


async def test_a_revision_is_restored(walk: Walk, site: Site) -> None:
    site.save("regretted", DRAFT)
    site.send("PUT", "/dags/regretted/spec", {"spec": DRAFT.replace("first", "second")})
    await walk.turn_to("DAGs")
    await walk.follow("regretted")
    await walk.click(walk.page.get_by_role("tab", name="Revisions"))
    await walk.press("Restore revision 1")
    await walk.press("Restore", walk.dialog())
    await walk.see_text("restores revision 1")
    assert site.send("GET", "/dags/regretted/spec")["spec"] == DRAFT


async def test_everything_rests_for_maintenance(walk: Walk, site: Site) -> None:
    site.save("crowd", "maxActiveRuns: 1\nsteps:\n  - {name: one, command: sleep 600}\n")
    running = site.start("crowd")
    waiting = site.send("POST", "/dags/crowd/enqueue", {})["dagRunId"]
    await walk.turn_to("Queues")
    await walk.press("Pause everything…")
    await walk.dialog().get_by_label("Reason").fill("move of the database")
    await walk.press("Pause", walk.dialog())
    await walk.see_text("Everything is paused")
    assert site.send("GET", "/pause")["reason"] == "move of the database"
    await walk.press("End the pause of everything")
    await walk.see_text("The pause has ended.")
    assert not site.send("GET", "/pause")["paused"]
    site.send("GET", f"/dag-runs/crowd/{waiting}/dequeue")
    site.send("POST", f"/dag-runs/crowd/{running}/stop", {})


async def test_a_run_is_taken_out_of_its_queue(walk: Walk, site: Site) -> None:
    site.save("second", "queue: small\nsteps:\n  - {name: one, command: 'true'}\n")
    run_id = site.send("POST", "/dags/second/enqueue", {})["dagRunId"]
    await walk.turn_to("Queues")
    await walk.click(walk.page.get_by_role("button", name="Actions of second"))
    await walk.click(walk.page.get_by_role("menuitem", name="Remove from the queue"))
    await walk.see_text("Removed from the queue.")
    assert site.client.get(f"/dag-runs/second/{run_id}").status_code == 404


async def test_a_user_with_a_role_is_added(walk: Walk, site: Site) -> None:
    await walk.turn_to("Users")
    await walk.press("Add user")
    await walk.dialog().get_by_label("Name").fill("grace")
    await walk.click(walk.dialog().get_by_role("radio", name="operator"))
    await walk.dialog().get_by_label("Password", exact=True).fill(PASSWORD)
    await walk.dialog().get_by_label("Password, again").fill(PASSWORD)
    await walk.press("Add", walk.dialog())
    await walk.see(walk.page.get_by_role("row").filter(has_text="grace").filter(has_text="operator"))
    assert site.log_in("grace")


async def test_the_audit_tells_who_stopped_a_run(walk: Walk, site: Site) -> None:
    site.save("stoppable", "steps:\n  - {name: one, command: sleep 600}\n")
    run_id = site.start("stoppable")
    wait_for("its start", lambda: site.status("stoppable", run_id) == "running")
    bearer = {"Authorization": f"Bearer {site.tokens['operator']}"}
    site.client.post(f"/dag-runs/stoppable/{run_id}/stop", headers=bearer).raise_for_status()
    await walk.turn_to("Audit")
    await walk.page.get_by_label("Kind").select_option("run")
    row = walk.page.get_by_role("row").filter(has_text=run_id).filter(has_text="operator requested stoppable")
    await walk.see(row)


async def test_the_audit_tells_who_changed_the_schedule(walk: Walk, site: Site) -> None:
    spec = "schedule: 0 {} * * *\nsteps:\n  - echo one\n"
    site.save("shifted", spec.format(6))
    site.send("PUT", "/dags/shifted/spec", {"spec": spec.format(5)})
    await walk.turn_to("Audit")
    row = walk.page.get_by_role("row").filter(has_text="changed shifted").first
    await expect(row).to_contain_text("schedule 0 6 * * * → 0 5 * * *")
    await walk.follow("revision 1 → 2", row)
    await walk.see_text("+schedule: 0 5 * * *", walk.dialog())
    assert walk.clicks == 2


async def test_a_new_colleague_gets_rights_in_one_dialog(walk: Walk, site: Site) -> None:
    await walk.turn_to("Access")
    await walk.press("Give access")
    dialog = walk.dialog()
    await dialog.get_by_label("User or group").select_option(label="a new user")
    await dialog.get_by_label("Name of the user").fill("hopper")
    await dialog.get_by_label("Password", exact=True).fill(PASSWORD)
    await dialog.get_by_label("Password, again").fill(PASSWORD)
    await walk.click(dialog.get_by_role("radio", name="operator"))
    await dialog.get_by_label("Name or tag").fill("et*")
    await walk.see_text("Matches 1 DAG: etl", dialog)
    await walk.press("Give access", dialog)
    await walk.see(walk.page.get_by_role("row").filter(has_text="hopper").filter(has_text="et*"))
    assert walk.clicks == 4
    user = next(one for one in site.send("GET", "/users")["users"] if one["username"] == "hopper")
    site.send("DELETE", f"/users/{user['id']}")


async def test_disk_space_is_freed(walk: Walk, site: Site) -> None:
    await add_old_runs(site, "chatty", [1_000_001, 1_000_002], days_ago=400)
    await walk.turn_to("System")
    await walk.press("Preview clean-up")
    await walk.see(walk.page.get_by_role("row").filter(has_text="chatty"))
    await walk.press("Clean up")
    confirm = walk.dialog().get_by_role("button", name="Delete runs")
    await expect(confirm).to_be_disabled()
    await walk.dialog().get_by_role("textbox").fill("clean up")
    await walk.click(confirm)
    await walk.see_text("Nothing to clean up")
    for run_id in ("r1000001", "r1000002"):
        assert site.client.get(f"/dag-runs/chatty/{run_id}").status_code == 404

"""Triggers in the browser: a webhook from its first request on, what became of events, and what roles are offered."""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.process.conftest import end
from tests.process.waiting import wait_for
from tests.web import design
from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import Site, open_site

MARKUP = "<img src=x onerror=alert(1)>"
BUILD = "params: SHA=none\nsteps: [{name: build, command: 'echo ${SHA}'}]\n"
OF_SENDER = "a token that only the sender knows"
_numbers = itertools.count(100)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    opened = open_site(tmp_path_factory.mktemp("triggers") / "home")
    try:
        opened.add_people()
        yield opened
    finally:
        opened.client.close()
        end(opened.program)


@pytest.fixture
def dag(own: Site) -> Iterator[str]:
    """A DAG without triggers, and a server without triggers at the end."""
    name = f"build-{next(_numbers)}"
    own.save(name, BUILD)
    yield name
    for trigger in own.send("GET", "/triggers")["triggers"]:
        own.send("DELETE", f"/triggers/{trigger['name']}")


@pytest.fixture
def push(own: Site, dag: str) -> str:
    """The name of a webhook of the DAG, which takes OF_SENDER."""
    params = {"SHA": "json:/after"}
    own.send(
        "POST", "/triggers", {"name": "push", "dag": dag, "scheme": "token", "secret": OF_SENDER, "params": params}
    )
    return "push"


def _send(site: Site, body: Any, *, token: str = OF_SENDER, status: int = 202, **headers: str) -> Any:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    # Without the login of the site, which the hook would take for a token.
    answer = httpx.post(
        f"{site.address}/api/v2/hooks/push", content=content, headers={"Authorization": f"Bearer {token}"} | named
    )
    assert answer.status_code == status, answer.text
    return answer.json()


def _settled(site: Site, event: Any, state: str) -> str:
    """Wait until an event has a state; returns its id."""
    event_id = str(event["eventId"])
    path = f"/triggers/push/events/{event_id}"
    wait_for(f"an event that is {state}", lambda: site.send("GET", path)["state"] == state)
    return event_id


def _write(site: Site, statement: str, *values: str) -> None:
    with closing(sqlite3.connect(site.program.database_url.removeprefix("sqlite:///"))) as file, file:
        file.execute(statement, values)


def _short(event_id: str) -> str:
    """Return an id as pages show it."""
    return f"{event_id[:4]}…{event_id[-8:]}"


def _visit(browser: Browser, site: Site, role: str, **more: Any) -> Any:
    return visiting(browser, site.address, cookie=site.cookies[role], **more)


async def _choose(page: Page, item: str) -> Locator:
    """Choose an action of the menu of a trigger; returns its dialog."""
    await page.get_by_role("main").get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name=item).click()
    return page.get_by_role("dialog")


async def _check_design(visitor: Visitor, path: str) -> None:
    """Open a page at all widths, look at its design, and at its barriers in both themes."""
    await design.observe(visitor.context)
    for width in WIDTHS:
        await visitor.page.set_viewport_size({"width": width, "height": WIDTHS[width]})
        page = await visitor.open(path)
        assert (await design.measure(page)).problems() == []
    for theme in ("light", "dark"):
        await visitor.page.emulate_media(color_scheme=theme)
        assert await visitor.find_barriers() == []


async def test_a_webhook_starts_runs_from_its_first_request_on(browser: Browser, own: Site, dag: str) -> None:
    async with _visit(browser, own, "manager") as visitor:
        await _check_design(visitor, "/triggers")
        page = visitor.page
        main = page.get_by_role("main")
        await expect(main).to_contain_text("No triggers")
        await main.get_by_role("button", name="Add webhook").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Name", exact=True).fill("push")
        await dialog.get_by_label("DAG", exact=True).fill(dag)
        await dialog.get_by_label("Params").fill("SHA")
        assert await visitor.find_barriers() == []
        await dialog.get_by_role("button", name="Add", exact=True).click()
        await expect(dialog.get_by_role("alert")).to_contain_text('"SHA" is no param; write NAME=json:/a/b')
        await dialog.get_by_label("Params").fill("SHA=json:/after\n")
        await dialog.get_by_role("button", name="Add", exact=True).click()
        await expect(dialog).to_contain_text("it is not shown again")
        await expect(dialog).to_contain_text("/api/v2/hooks/push")
        secret = await dialog.locator("pre").inner_text()
        await dialog.get_by_role("button", name="Done").click()
        await expect(page.get_by_role("heading", level=1, name="push")).to_be_visible()
        await expect(main).to_contain_text("No event yet")
        assert secret not in await page.content()
        event = _send(own, {"after": "4f1c"}, token=secret)
        await main.get_by_role("link", name=f"run of {dag}").click()
        started_by = page.get_by_role("main").get_by_text("webhook, event")
        await expect(started_by).to_contain_text("of push")
        await expect(page.get_by_text("SHA=")).to_be_visible()
        await page.get_by_role("main").get_by_role("link", name="push", exact=True).click()
        await expect(main.get_by_role("row").filter(has_text=_short(event["eventId"]))).to_contain_text("started")
        assert visitor.complaints == []


async def test_an_event_says_what_it_was_and_what_became_of_it(
    browser: Browser, own: Site, dag: str, push: str
) -> None:
    own.send("PATCH", f"/triggers/{push}", {"filters": ["header:X-Kind = push"]})
    body = {"after": f"$(touch /tmp/made) {MARKUP}"}
    started = _settled(own, _send(own, body, X_Kind="push", Idempotency_Key="first"), "started")
    _send(own, body, X_Kind="push", Idempotency_Key="first", status=200)
    filtered = _settled(own, _send(own, body, X_Kind=MARKUP), "filtered")
    async with _visit(browser, own, "viewer") as visitor:
        await _check_design(visitor, f"/triggers/push/events/{started}")
        main = visitor.page.get_by_role("main")
        await expect(main.get_by_role("row").filter(has_text="SHA")).to_contain_text(body["after"])
        await expect(main.get_by_role("row").filter(has_text="x-kind")).to_contain_text("push")
        await expect(main.locator("dl")).to_contain_text("first")
        await expect(main.get_by_role("link", name=f"run of {dag}")).to_be_visible()
        await visitor.open(f"/triggers/push/events/{filtered}")
        await expect(main.locator("dl")).to_contain_text("header:X-Kind = push")
        await expect(main.get_by_role("row").filter(has_text="x-kind")).to_contain_text(MARKUP)
        await expect(main.get_by_role("link", name=f"run of {dag}")).to_have_count(0)
        await visitor.open(f"/triggers/push/events/{started}0")
        await expect(main).to_contain_text("There is no such event")
        assert [text for text in visitor.complaints if "404" not in text] == []


async def test_a_sample_is_tried_out_and_starts_nothing(browser: Browser, own: Site, dag: str, push: str) -> None:
    own.send("PATCH", f"/triggers/{push}", {"filters": ["header:X-Kind exists"]})
    async with _visit(browser, own, "operator") as visitor:
        page = await visitor.open(f"/triggers/{push}")
        dialog = await _choose(page, "Test")
        await dialog.get_by_label("Body").fill(json.dumps({"after": MARKUP}))
        test = dialog.get_by_role("button", name="Test", exact=True)
        await test.click()
        await expect(dialog.get_by_role("status")).to_contain_text(
            "filtered: the filter 'header:X-Kind exists' does not"
        )
        await dialog.get_by_label("Headers").fill("X-Kind")
        await test.click()
        await expect(dialog.get_by_role("alert")).to_contain_text('"X-Kind" is no header; write Name: value')
        await dialog.get_by_label("Headers").fill("X-Kind: a:b")
        await test.click()
        await expect(dialog.get_by_role("status")).to_contain_text(f"starts a run of {dag}, revision 1, with 1 step")
        await expect(dialog.get_by_role("row").filter(has_text="SHA")).to_contain_text(MARKUP)
        assert await visitor.find_barriers() == []
        await dialog.get_by_label("Body").fill("no JSON")
        await test.click()
        await expect(dialog.get_by_role("status")).to_contain_text("It is dead: the body is not JSON")
        assert visitor.complaints == []
    assert own.send("GET", f"/triggers/{push}/events")["events"] == []


async def test_a_dead_event_is_replayed_by_a_revision_after_a_preview(
    browser: Browser, own: Site, dag: str, push: str
) -> None:
    own.send("PATCH", f"/triggers/{push}", {"params": {"SHA!": "json:/sha"}})
    body = '{"after": "4f1c", "number": 12345678901234567890}'
    event = _settled(own, _send(own, body.encode()), "dead")
    own.send("PUT", f"/dags/{dag}/spec", {"spec": f"params: DAY=monday\n{BUILD}".replace("params: SHA", "  SHA")})
    async with _visit(browser, own, "operator") as visitor:
        await _check_design(visitor, f"/triggers/{push}/events/{event}")
        page = visitor.page
        main = page.get_by_role("main")
        await expect(main.locator("pre")).to_have_text(body)  # byte by byte: no number is rounded
        async with page.expect_download() as download:
            await main.get_by_role("link", name="Download").click()
        assert Path(await (await download.value).path()).read_text() == body
        await main.get_by_role("button", name="Replay").click()
        dialog = page.get_by_role("dialog", name="Replay the event")
        await expect(dialog.get_by_role("status")).to_contain_text("the param SHA is required")
        await dialog.get_by_role("button", name="Cancel").click()
        own.send("PATCH", f"/triggers/{push}", {"params": {"SHA!": "json:/after"}})
        await main.get_by_role("button", name="Replay").click()
        await expect(dialog.get_by_role("status")).to_contain_text("revision 2")
        await dialog.get_by_label("Revision").select_option("1")
        await expect(dialog.get_by_role("status")).to_contain_text("revision 1")
        await expect(dialog.get_by_role("row").filter(has_text="SHA")).to_contain_text("4f1c")
        assert await visitor.find_barriers() == []
        assert len(own.send("GET", f"/triggers/{push}/events")["events"]) == 1
        await dialog.get_by_role("button", name="Replay").click()
        await expect(main.locator("dl")).to_contain_text(f"replay/{event}/")
        await expect(main.locator("dl")).to_contain_text("of revision 1")
        await main.get_by_role("link", name=f"run of {dag}").click()
        await expect(page.get_by_role("main").get_by_text("operator, webhook, event")).to_be_visible()
        await visitor.open(f"/triggers/{push}/events/{event}")
        await expect(main.locator("dl")).to_contain_text("replayed")
        assert visitor.complaints == []


async def test_an_event_is_discarded_and_a_viewer_is_offered_neither_that_nor_its_body(
    browser: Browser, own: Site, push: str
) -> None:
    own.send("POST", f"/triggers/{push}/pause")
    event = _send(own, {"after": "4f1c"})["eventId"]
    path = f"/triggers/{push}/events/{event}"
    async with _visit(browser, own, "viewer") as visitor:
        main = (await visitor.open(path)).get_by_role("main")
        await expect(main).to_contain_text("Operators of the DAG may read it")
        await expect(main.get_by_role("button", name=re.compile("Replay|Discard"))).to_have_count(0)
        assert f"/api/v2{path}/body" not in [sent.path for sent in visitor.sent]
        assert visitor.complaints == []
    async with _visit(browser, own, "operator") as visitor:
        page = await visitor.open(path)
        await expect(page.get_by_role("button", name="Replay")).to_have_count(0)
        await page.get_by_role("button", name="Discard").click()
        await page.get_by_role("dialog").get_by_role("button", name="Discard").click()
        await expect(page.get_by_role("main").locator("dl")).to_contain_text("discarded by operator")
        await expect(page.get_by_role("button", name="Replay")).to_be_visible()
        assert visitor.complaints == []


async def test_an_alert_about_a_dead_event_leads_to_its_trigger(browser: Browser, own: Site, push: str) -> None:
    channel = {"name": "ops", "type": "webhook", "url": "http://127.0.0.1:9/hook", "enabled": False}
    own.send("POST", "/alert-channels", channel)
    own.send("POST", "/alert-rules", {"name": "dead", "match": ["*"], "on": ["trigger"], "to": ["ops"]})
    _settled(own, _send(own, b"no JSON"), "dead")
    wait_for("an alert", lambda: own.send("GET", "/alerts")["alerts"])
    async with _visit(browser, own, "viewer") as visitor:
        page = await visitor.open("/alerts")
        row = page.get_by_role("row").filter(has_text="dead event")
        await expect(row).to_contain_text("the body is not JSON")
        await row.get_by_role("link", name=push, exact=True).click()
        await expect(page.get_by_role("heading", level=1, name=push)).to_be_visible()
        assert visitor.complaints == []
    for path in ("/alert-rules/dead", "/alert-channels/ops"):
        own.send("DELETE", path)


async def test_an_event_whose_body_is_gone_says_so(browser: Browser, own: Site, push: str) -> None:
    event = _settled(own, _send(own, {"after": "4f1c"}), "started")
    _write(own, "UPDATE trigger_events SET body = NULL WHERE id = ?", event)
    async with _visit(browser, own, "operator") as visitor:
        page = await visitor.open(f"/triggers/{push}/events/{event}")
        await expect(page.get_by_role("main")).to_contain_text("17 B, gone by now")
        replay = page.get_by_role("button", name="Replay")
        await expect(replay).to_be_disabled()
        await expect(replay).to_have_attribute("title", "Its body is gone")
        assert visitor.complaints == []


async def test_a_trigger_that_looks_at_files_says_how_often(browser: Browser, own: Site, push: str) -> None:
    settings = json.dumps({"files": f"/srv/{MARKUP}/*.csv"})
    _write(
        own,
        "UPDATE triggers SET kind = 'files', scheme = NULL, settings = ?, params = '{\"FILE\": \"item:path\"}', "
        "every_seconds = 60, looks = 41, looked_at = created_at, next_look_at = created_at, host = 'alpha'",
        settings,
    )
    async with _visit(browser, own, "manager") as visitor:
        page = await visitor.open("/triggers")
        await expect(page.get_by_role("row").filter(has_text=push)).to_contain_text("nothing new after 41 looks")
        await _check_design(visitor, f"/triggers/{push}")
        for text in (f"files: /srv/{MARKUP}/*.csv", "every 60 s on alpha", "FILE=item:path"):
            await expect(page.get_by_role("main").locator("dl")).to_contain_text(text)
        dialog = await _choose(page, "Edit")
        await dialog.get_by_text("Queue and limits").click()
        await expect(dialog.get_by_label("Queued runs")).to_have_value("1000")
        for name in ("Id of an event", "Requests in a minute"):  # those of webhooks
            await expect(dialog.get_by_label(name)).to_have_count(0)
        await dialog.get_by_role("button", name="Cancel").click()
        await page.get_by_role("main").get_by_role("button", name="More actions").click()
        await expect(page.get_by_role("menuitem")).to_have_text(["Edit…", "Remove…"])
        assert visitor.complaints == []


async def test_a_trigger_that_follows_a_dag_leads_to_it(browser: Browser, own: Site, dag: str) -> None:
    upstream = f"nightly-{dag}"
    own.save(upstream, "steps: [{name: one, command: 'true'}]\n")
    settings = {"after": upstream, "on": ["succeeded", "partial"]}
    own.send("POST", "/triggers", {"name": "push", "kind": "after", "dag": dag, "settings": settings})
    own.run(upstream)
    wait_for("a run that follows", lambda: own.send("GET", f"/dag-runs?name={dag}")["dagRuns"])
    async with _visit(browser, own, "operator") as visitor:
        page = await visitor.open("/triggers/push")
        main = page.get_by_role("main")
        await expect(main.locator("dl")).to_contain_text("on: succeeded,partial")
        await expect(main.locator("dl").get_by_role("link", name=upstream)).to_be_visible()
        await main.locator("tbody tr").get_by_role("link").first.click()
        await expect(main.get_by_role("heading", name="Params")).to_be_visible()
        for name in ("Headers", "Body"):  # those of requests
            await expect(main.get_by_role("heading", name=name)).to_have_count(0)
        await main.get_by_role("link", name=f"run of {dag}").click()
        await expect(page.get_by_role("main").get_by_text("run, event")).to_be_visible()
        assert visitor.complaints == []


async def test_events_are_chosen_by_state_and_the_older_ones_follow(browser: Browser, own: Site, push: str) -> None:
    own.send("POST", f"/triggers/{push}/pause")
    first = _send(own, {})["eventId"]
    for _ in range(50):
        _send(own, {})
    own.send("PATCH", f"/triggers/{push}", {"filters": ["json:/after exists"]})
    _send(own, {})
    async with _visit(browser, own, "viewer") as visitor:
        page = await visitor.open(f"/triggers/{push}")
        rows = page.get_by_role("main").locator("tbody tr")
        await expect(rows).to_have_count(50)
        await page.get_by_role("combobox", name="State").select_option("filtered")
        await expect(rows).to_have_count(1)
        await expect(rows).to_contain_text("json:/after exists")
        await page.get_by_role("combobox", name="State").select_option("dead")
        await expect(page.get_by_text("No event is dead")).to_be_visible()
        await visitor.open("/triggers")
        await page.get_by_role("link", name="51 waiting of push").click()
        await page.get_by_role("button", name="Older").click()
        await expect(rows).to_have_count(1)
        await expect(rows.get_by_role("link", name=_short(first))).to_be_visible()
        await expect(page.get_by_role("button", name="Older")).to_be_disabled()
        await page.get_by_role("button", name="Newest").click()
        await expect(rows).to_have_count(50)
        await page.keyboard.press("j")
        await page.keyboard.press("o")
        await expect(page.get_by_role("heading", level=1, name="Event of push")).to_be_visible()
        assert visitor.complaints == []


@pytest.mark.parametrize(("what", "state"), [("start", "started"), ("discard", "discarded")])
async def test_events_of_a_paused_trigger_wait_until_it_is_resumed(
    browser: Browser, own: Site, push: str, what: str, state: str
) -> None:
    async with _visit(browser, own, "operator") as visitor:
        page = await visitor.open(f"/triggers/{push}")
        main = page.get_by_role("main")
        await main.get_by_role("button", name="Pause").click()
        await expect(main.locator("dl")).to_contain_text("by operator")
        events = [_send(own, {"after": str(number)}) for number in range(2)]
        await visitor.open(f"/triggers/{push}")
        await expect(main.locator("tbody tr").filter(has_text="the trigger is paused")).to_have_count(2)
        await main.get_by_role("button", name="Resume").click()
        dialog = page.get_by_role("dialog", name="Resume push")
        await expect(dialog).to_contain_text("2 events that wait")
        await dialog.get_by_role("radio", name=what).check()
        assert await visitor.find_barriers() == []
        await dialog.get_by_role("button", name="Resume").click()
        await expect(main.get_by_role("button", name="Pause")).to_be_visible()
        await expect(main.locator("tbody tr").get_by_text(state, exact=True)).to_have_count(2)
        assert visitor.complaints == []
    assert {_settled(own, event, state) for event in events} == {event["eventId"] for event in events}


async def test_a_trigger_is_changed_and_its_secret_rotated(browser: Browser, own: Site, push: str) -> None:
    async with _visit(browser, own, "manager") as visitor:
        page = await visitor.open(f"/triggers/{push}")
        dialog = await _choose(page, "Edit")
        await expect(dialog.get_by_label("Params")).to_have_value("SHA=json:/after")
        await dialog.get_by_label("Filters").fill("ref = main")
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("filters:")
        await dialog.get_by_label("Filters").fill("json:/ref = main\nheader:X-Kind exists")
        await dialog.get_by_text("Queue and limits").click()
        await dialog.get_by_label("Queue", exact=True).fill("small")
        await dialog.get_by_label("start the newest only").check()
        await dialog.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("main").locator("dl")).to_contain_text("queue small")
        dialog = await _choose(page, "Rotate secret")
        await dialog.get_by_role("button", name="Rotate secret").click()
        made = await dialog.locator("pre").inner_text()
        await dialog.get_by_role("button", name="Done").click()
        dialog = await _choose(page, "Rotate secret")
        await dialog.get_by_label("Secret").fill("too short")
        await dialog.get_by_role("button", name="Rotate secret").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("secret: can be guessed")
        assert [text for text in visitor.complaints if "400" not in text] == []
    found = own.send("GET", f"/triggers/{push}")
    assert (found["filters"], found["queue"], found["collapse"]) == (
        ["json:/ref = main", "header:X-Kind exists"],
        "small",
        True,
    )
    assert (found["perMinute"], found["maxBytes"]) == (120, 1 << 20)
    for token in (OF_SENDER, made):
        assert _send(own, {}, token=token)["state"] == "filtered"


async def test_what_a_provider_signs_is_named_in_the_form(browser: Browser, own: Site, dag: str) -> None:
    async with _visit(browser, own, "manager") as visitor:
        page = await visitor.open(f"/dags/{dag}/triggers")
        await page.get_by_role("button", name="Add webhook").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Name", exact=True).fill("slack")
        await expect(dialog.get_by_label("DAG", exact=True)).to_have_value(dag)
        await dialog.get_by_role("radio", name="github").check()
        await expect(dialog.get_by_label("Id of an event")).to_have_count(0)
        await dialog.get_by_role("radio", name="hmac").check()
        await dialog.get_by_label("Header of the signature").fill("X-Slack-Signature")
        await dialog.get_by_label("Text before it").fill("v0=")
        await dialog.get_by_label("Header of the time").fill("X-Slack-Request-Timestamp")
        await dialog.get_by_label("Secret").fill("0123456789abcdef0123")
        assert await visitor.find_barriers() == []
        await dialog.get_by_role("button", name="Add", exact=True).click()
        await expect(page.get_by_role("heading", level=1, name="slack")).to_be_visible()
        await expect(page.get_by_role("main").locator("dl")).to_contain_text("signed: v0:{time}:{body}")
        assert visitor.complaints == []
    settings = own.send("GET", "/triggers/slack")["settings"]
    assert (settings["header"], settings["prefix"]) == ("X-Slack-Signature", "v0=")


async def test_the_tab_of_a_dag_has_its_triggers_and_the_filter_of_runs_theirs(
    browser: Browser, own: Site, dag: str, push: str
) -> None:
    own.save(f"other-{dag}", BUILD)
    own.send("POST", "/triggers", {"name": "other", "dag": f"other-{dag}", "scheme": "github"})
    own.run(dag)
    started = _settled(own, _send(own, {"after": "1"}), "started")
    async with _visit(browser, own, "viewer") as visitor:
        await _check_design(visitor, f"/dags/{dag}/triggers")
        page = visitor.page
        main = page.get_by_role("main")
        await expect(main.locator("tbody tr")).to_have_count(1)
        await expect(main.locator("tbody tr")).to_contain_text("webhook: token")
        await _check_design(visitor, f"/triggers/{push}")
        await visitor.open(f"/dag-runs?name={dag}")
        rows = main.locator("tbody tr")
        await expect(rows).to_have_count(2)
        await page.get_by_role("combobox", name="Trigger").select_option("webhook")
        await expect(rows).to_have_count(1)
        await expect(rows.get_by_role("link", name=_short(started))).to_be_visible()
        assert visitor.complaints == []


async def test_a_trigger_whose_dag_is_gone_says_so_and_is_removed(
    browser: Browser, own: Site, dag: str, push: str
) -> None:
    own.send("DELETE", f"/dags/{dag}")
    event = _settled(own, _send(own, {}), "dead")
    async with _visit(browser, own, "admin") as visitor:
        page = await visitor.open("/triggers")
        main = page.get_by_role("main")
        await expect(main.locator("tbody tr")).to_contain_text("DAG deleted")
        await page.get_by_role("link", name="1 dead of push").click()
        await expect(main.locator("tbody tr")).to_contain_text("the DAG was deleted")
        await expect(main.get_by_role("link", name=_short(event))).to_be_visible()
        dialog = await _choose(page, "Remove")
        await dialog.get_by_role("button", name="Remove").click()
        await expect(main.get_by_text("No triggers")).to_be_visible()
        await visitor.open(f"/triggers/{push}")
        await expect(main).to_contain_text("There is no such trigger")
    _send(own, {}, status=401)


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_who_may_not_change_triggers_is_not_offered_it(
    browser: Browser, own: Site, dag: str, push: str, role: str
) -> None:
    async with _visit(browser, own, role) as visitor:
        for path in ("/triggers", f"/triggers/{push}", f"/dags/{dag}/triggers"):
            main = (await visitor.open(path)).get_by_role("main")
            await expect(main.get_by_text(push).first).to_be_visible()
            await expect(main.get_by_role("button", name="Add webhook")).to_have_count(0)
        page = await visitor.open(f"/triggers/{push}")
        main, mine = page.get_by_role("main"), 1 if role == "operator" else 0
        for name in ("Pause", "More actions"):
            await expect(main.get_by_role("button", name=name)).to_have_count(mine)
        if mine:
            await main.get_by_role("button", name="More actions").click()
            await expect(page.get_by_role("menuitem")).to_have_text(["Test…"])
        assert visitor.complaints == []

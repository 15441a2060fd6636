"""Alerts in the browser: the first message, who was told of a run, rules and channels, and what roles are offered."""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from dagbook.db.models.alert import CHANNEL_TYPES, KINDS
from dagbook.identifiers import new_run_id
from tests.process.conftest import end
from tests.process.waiting import wait_for
from tests.web import design
from tests.web.browser import WIDTHS, Visitor, visiting
from tests.web.site import PASSWORD, Site, open_site
from tests.web.test_frame import open_without_scripts

MARKUP = "<img src=x onerror=alert(1)>"
BAD = "steps: [{name: a, command: exit 3}]\n"
_numbers = itertools.count(100)


class Receiver:
    """A receiver of messages, which answers with ``status`` and keeps their texts by path."""

    def __init__(self) -> None:
        self.status, self.answer = 200, b"ok"
        self.bodies: dict[str, list[str]] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                receiver.bodies.setdefault(self.path, []).append(body)
                self.send_response(receiver.status)
                self.send_header("Content-Length", str(len(receiver.answer)))
                self.end_headers()
                self.wfile.write(receiver.answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    opened = open_site(tmp_path_factory.mktemp("alerts") / "home")
    try:
        opened.add_people()
        yield opened
    finally:
        opened.client.close()
        end(opened.program)


@pytest.fixture
def alerting(own: Site, receiver: Receiver) -> Iterator[Site]:
    """A server without rules and channels, at the beginning and at the end."""
    receiver.status, receiver.answer = 200, b"ok"
    yield own
    for rule in own.send("GET", "/alert-rules")["rules"]:
        own.send("DELETE", f"/alert-rules/{rule['name']}")
    for channel in own.send("GET", "/alert-channels")["channels"]:
        own.send("DELETE", f"/alert-channels/{channel['name']}")


@pytest.fixture
def told(alerting: Site, receiver: Receiver) -> Site:
    """A server that tells a chat of failures."""
    secret = f"{receiver.url}/ops"
    channel = {"name": "ops", "type": "slack", "secret": secret, "intervalSeconds": 0, "shared": True}
    alerting.send("POST", "/alert-channels", channel)
    rule = {"name": "all", "match": ["*", "!play-*"], "on": ["failed"], "to": ["ops"], "remindSeconds": 0}
    alerting.send("POST", "/alert-rules", rule)
    return alerting


def _fail(site: Site, name: str = "bad") -> tuple[str, str]:
    """Let a new DAG fail; returns its name and the path of the page of its run."""
    dag = f"{name}-{next(_numbers)}"
    site.save(dag, BAD)
    return dag, f"/dag-runs/{dag}/{site.run(dag)}"


def _receipts(site: Site, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.send("GET", f"{path}/alerts")["receipts"]
    return found


def _until(site: Site, path: str, status: str) -> None:
    wait_for(f"a message that is {status}", lambda: [one["status"] for one in _receipts(site, path)] == [status])


def _visit(browser: Browser, site: Site, role: str, **more: Any) -> Any:
    return visiting(browser, site.address, cookie=site.cookies[role], **more)


async def _open_menu(page: Page, label: str) -> Locator:
    await page.get_by_role("button", name=label, exact=True).click()
    return page.get_by_role("menu", name=label)


async def _choose(page: Page, label: str, item: str) -> None:
    await (await _open_menu(page, label)).get_by_role("menuitem", name=item).click()


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


async def test_three_steps_lead_to_the_first_message(browser: Browser, alerting: Site, receiver: Receiver) -> None:
    dag, _ = _fail(alerting)
    async with _visit(browser, alerting, "admin") as visitor:
        await _check_design(visitor, "/alerts")
        page = visitor.page
        main = page.get_by_role("main")
        await expect(main).to_contain_text("Failures are not reported yet")
        add_rule = main.get_by_role("button", name="Add rule")
        await expect(add_rule).to_be_disabled()
        await expect(add_rule).to_have_attribute("title", "Add a channel first")
        await main.get_by_role("button", name="Add channel").first.click()
        dialog = page.get_by_role("dialog", name="Add a channel")
        await dialog.get_by_label("Name", exact=True).fill("chat")
        secret = f"{receiver.url}/very-secret"
        await dialog.get_by_label("Address of the incoming webhook").fill(secret)
        assert await visitor.find_barriers() == []
        await dialog.get_by_role("button", name="Add", exact=True).click()
        await expect(dialog).to_have_count(0)
        await main.get_by_role("button", name="Add rule").first.click()
        dialog = page.get_by_role("dialog", name="Add a rule")
        await expect(dialog.get_by_label("Name", exact=True)).to_have_value("all")
        await expect(dialog.get_by_role("checkbox", name="chat")).to_be_checked()
        await expect(dialog.get_by_role("checkbox", name="failed")).to_be_checked()
        assert await visitor.find_barriers() == []
        await dialog.get_by_role("button", name="Add", exact=True).click()
        dialog = page.get_by_role("dialog", name="Test the rule all")
        await dialog.get_by_label("DAG").fill(dag)
        await dialog.get_by_role("button", name="Send a test").click()
        await expect(dialog.get_by_text("Told.")).to_be_visible()
        await expect(dialog.get_by_role("row").filter(has_text="chat")).to_contain_text("200 in")
        assert f"test: {dag} failed" in receiver.bodies["/very-secret"][0]
        await dialog.get_by_role("button", name="Cancel").click()
        await expect(main.get_by_role("region", name="Rules")).to_contain_text("covers")
        await expect(main.get_by_role("region", name="Channels")).to_contain_text("127.0.0.1")
        assert secret not in await page.content()
        assert visitor.complaints == []


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_who_may_change_nothing_is_told_whom_to_ask(browser: Browser, alerting: Site, role: str) -> None:
    async with _visit(browser, alerting, role) as visitor:
        page = await visitor.open("/alerts")
        await expect(page.get_by_text("Ask an admin to add a channel and a rule.")).to_be_visible()
        await expect(page.get_by_role("main").get_by_role("button", name=re.compile("Add|test"))).to_have_count(0)


async def test_a_failed_run_says_who_was_told_and_the_message_is_sent_again(
    browser: Browser, told: Site, receiver: Receiver
) -> None:
    dag, path = _fail(told)
    _until(told, path, "sent")
    async with _visit(browser, told, "operator") as visitor:
        await _check_design(visitor, path)
        page = visitor.page
        await page.get_by_role("button", name=re.compile("^ops at ")).click()
        dialog = page.get_by_role("dialog", name="Messages about this run")
        row = dialog.get_by_role("row").filter(has_text="ops")
        await expect(row).to_contain_text("sent")
        await expect(row).to_contain_text("200 in")
        assert await visitor.find_barriers() == []
        before = len(receiver.bodies["/ops"])
        await row.get_by_role("button", name="Resend to ops").click()
        wait_for("the message again", lambda: len(receiver.bodies["/ops"]) == before + 1)
        await expect(row.get_by_text("sent", exact=True)).to_be_visible()
        await dialog.get_by_role("link", name=f"Alerts of {dag}").click()
        await expect(page.get_by_role("tab", name="Alerts", selected=True)).to_be_visible()
        await expect(page.get_by_role("row").filter(has_text="failed").last).to_contain_text("ops at")
        assert visitor.complaints == []
    async with _visit(browser, told, "viewer") as visitor:
        page = await visitor.open(path)
        await page.get_by_role("button", name=re.compile("^ops at ")).click()
        dialog = page.get_by_role("dialog", name="Messages about this run")
        await expect(dialog.get_by_role("row").filter(has_text="ops")).to_contain_text("sent")
        await expect(dialog.get_by_role("button", name=re.compile("Resend"))).to_have_count(0)
        await expect(dialog).not_to_contain_text("ok")  # what the receiver has answered is for admins


async def test_a_run_shows_a_message_that_is_late_and_then_that_it_was_sent(
    browser: Browser, told: Site, receiver: Receiver
) -> None:
    receiver.status = 500
    _, path = _fail(told)
    wait_for("a try", lambda: _receipts(told, path) and _receipts(told, path)[0]["attempts"])
    async with _visit(browser, told, "admin") as visitor:
        page = await visitor.open(path)
        await page.get_by_role("button", name=re.compile("^ops pending, next try")).click()
        row = page.get_by_role("dialog").get_by_role("row").filter(has_text="ops")
        await expect(row).to_contain_text("500 in")
        resend = row.get_by_role("button", name="Resend to ops")
        await expect(resend).to_be_disabled()
        await expect(resend).to_have_attribute("title", "It is sent without this")
        receiver.status = 200
        await expect(row.get_by_text("sent", exact=True)).to_be_visible()
        await expect(row).to_contain_text("200 in")


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_failed_run_says_that_nobody_is_told_and_leads_to_the_reason(
    browser: Browser, told: Site, width: int
) -> None:
    dag, path = _fail(told, "play")
    async with _visit(browser, told, "admin", width=width) as visitor:
        page = await visitor.open(path)
        await page.get_by_role("link", name="nobody is told of this").click()
        main = page.get_by_role("main")
        reason = "'!play-*' of the rule all excludes it"
        await expect(main).to_contain_text(f"No rule reports a failure of {dag}: {reason}.")
        test = main.get_by_role("button", name="Send test")
        await expect(test).to_be_disabled()
        await expect(test).to_have_attribute("title", "No rule covers it")
        await main.get_by_role("button", name="Add rule").click()
        dialog = page.get_by_role("dialog", name="Add a rule")
        await expect(dialog.get_by_label("DAGs")).to_have_value(dag)
        await dialog.get_by_role("button", name="Add", exact=True).click()
        await expect(page.get_by_role("region", name="Rules that cover it")).to_contain_text(dag)
        await expect(main).not_to_contain_text("No rule reports")
        assert visitor.complaints == []
    assert told.send("GET", f"/alert-rules/{dag}")["match"] == [dag]


async def test_an_alert_is_acknowledged_with_a_note(browser: Browser, told: Site) -> None:
    dag, path = _fail(told)
    _until(told, path, "sent")
    label = f"Actions of the alert about {dag}"
    async with _visit(browser, told, "viewer") as visitor:
        page = await visitor.open("/alerts")
        await expect((await _open_menu(page, label)).get_by_role("menuitem", name="Acknowledge")).to_have_count(0)
    async with _visit(browser, told, "operator") as visitor:
        page = await visitor.open(f"/alerts?q=dag:{dag}")
        await _choose(page, label, "Acknowledge")
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Note").fill("disk ordered")
        await dialog.get_by_role("button", name="Acknowledge").click()
        await expect(page.get_by_role("row").filter(has_text=dag)).to_contain_text("by operator: disk ordered")
        item = (await _open_menu(page, label)).get_by_role("menuitem", name="Acknowledge")
        await expect(item).to_be_disabled()
        await expect(item).to_contain_text("Acknowledged by operator")
        assert visitor.complaints == []


async def test_alerts_are_filtered_by_dag_and_state(browser: Browser, told: Site) -> None:
    (dag, path), (other, other_path) = _fail(told), _fail(told)
    _until(told, path, "sent")
    _until(told, other_path, "sent")
    async with _visit(browser, told, "viewer") as visitor:
        page = await visitor.open("/alerts")
        mine, others = (page.get_by_role("row").filter(has_text=name) for name in (dag, other))
        await expect(others).to_be_visible()
        await page.get_by_role("combobox", name="Filter alerts").fill(dag)
        await expect(others).to_have_count(0)
        await expect(mine).to_be_visible()
        await page.get_by_role("combobox", name="State").select_option("ended")
        await expect(page.get_by_text("No alert matches this filter")).to_be_visible()
        await page.get_by_role("combobox", name="Filter alerts").fill("state:often")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("is none of open, ended, any")).to_be_visible()


async def test_the_secret_of_a_webhook_is_shown_once(browser: Browser, told: Site, receiver: Receiver) -> None:
    async with _visit(browser, told, "admin") as visitor:
        page = await visitor.open("/alerts")
        await page.get_by_role("button", name="Add channel").click()
        dialog = page.get_by_role("dialog", name="Add a channel")
        await dialog.get_by_role("radio", name="webhook").check()
        await dialog.get_by_label("Name", exact=True).fill("hook")
        await dialog.get_by_label("URL").fill("ftp://host/x")
        await dialog.get_by_role("button", name="Add", exact=True).click()
        await expect(dialog.get_by_role("alert")).to_contain_text("url: is not the address of a receiver")
        await dialog.get_by_label("URL").fill(f"{receiver.url}/hook")
        await dialog.get_by_role("button", name="Add", exact=True).click()
        shown = page.get_by_role("dialog", name="Secret of the channel hook")
        first = await shown.get_by_text("whsec_").inner_text()
        await shown.get_by_role("button", name="Done").click()
        await _choose(page, "Actions of the channel hook", "Send a test")
        dialog = page.get_by_role("dialog", name="Test the channel hook")
        await dialog.get_by_role("button", name="Send a test").click()
        await expect(dialog.get_by_text("Told.")).to_be_visible()
        assert json.loads(receiver.bodies["/hook"][0])["type"] == "alert.test"
        await dialog.get_by_role("button", name="Cancel").click()
        await _choose(page, "Actions of the channel hook", "New secret")
        await page.get_by_role("dialog").get_by_role("button", name="Make a new secret").click()
        second = await shown.get_by_text("whsec_").inner_text()
        assert second != first
        await shown.get_by_role("button", name="Done").click()
        page = await visitor.open("/alerts")
        await expect(page.get_by_text("whsec_")).to_have_count(0)


async def test_a_mail_channel_is_added_and_changed(browser: Browser, told: Site) -> None:
    async with _visit(browser, told, "admin", width=390) as visitor:
        page = await visitor.open("/alerts")
        await page.get_by_role("button", name="Add channel").click()
        dialog = page.get_by_role("dialog", name="Add a channel")
        await dialog.get_by_role("radio", name="mail").check()
        await dialog.get_by_label("Name", exact=True).fill("people")
        await dialog.get_by_label("To, one address a line").fill("ann@example.org\nno address")
        await dialog.get_by_role("button", name="Add", exact=True).click()
        await expect(dialog.get_by_role("alert")).to_contain_text("no address")
        await dialog.get_by_label("To, one address a line").fill("ann@example.org\nbob@example.org")
        await dialog.get_by_text("A mail server of its own").click()
        await dialog.get_by_label("Host").fill("mail.example.org")
        await dialog.get_by_label("Password").fill("hidden-password")
        await dialog.get_by_role("button", name="Add", exact=True).click()
        await expect(dialog).to_have_count(0)
        await _choose(page, "Actions of the channel people", "Edit")
        dialog = page.get_by_role("dialog", name="Edit the channel people")
        await expect(dialog.get_by_label("Host")).to_have_value("mail.example.org")
        await expect(dialog.get_by_label("Password")).to_have_value("")
        assert await visitor.find_barriers() == []
        await dialog.get_by_label("To, one address a line").fill("ann@example.org")
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog).to_have_count(0)
        assert "hidden-password" not in await page.content()
    channel = told.send("GET", "/alert-channels/people")
    assert (channel["to"], channel["smtp"]["host"]) == (["ann@example.org"], "mail.example.org")


async def test_a_rule_is_changed_disabled_and_removed_and_then_its_channel(browser: Browser, told: Site) -> None:
    async with _visit(browser, told, "admin") as visitor:
        await _check_design(visitor, "/alerts")
        page = visitor.page
        item = (await _open_menu(page, "Actions of the channel ops")).get_by_role("menuitem", name="Remove")
        await expect(item).to_be_disabled()
        await expect(item).to_contain_text("Used by all")
        await page.keyboard.press("Escape")
        await _choose(page, "Actions of the rule all", "Edit")
        dialog = page.get_by_role("dialog", name="Edit the rule all")
        await expect(dialog.get_by_label("DAGs")).to_have_value("*, !play-*")
        await dialog.get_by_label("DAGs").fill("tag:billing, etl-*")
        await dialog.get_by_role("checkbox", name="waiting").check()
        await dialog.get_by_label("Delay of ops").fill("15m")
        await dialog.get_by_text("When", exact=True).click()
        await dialog.get_by_label("From how many in a row on").fill("2")
        await dialog.get_by_label("Quiet hours").fill("22:00-07:00 Europe/Berlin")
        await dialog.get_by_role("button", name="Save").click()
        row = page.get_by_role("row").filter(has_text="tag:billing")
        await expect(row).to_contain_text("ops after 15m")
        await expect(row).to_contain_text("from 2 in a row on, no reminder, quiet 22:00-07:00 Europe/Berlin")
        await _choose(page, "Actions of the rule all", "Disable")
        await expect(row).to_contain_text("disabled")
        rule = told.send("GET", "/alert-rules/all")
        assert (rule["on"], rule["to"], rule["enabled"]) == (["failed", "waiting"], ["ops +15m"], False)
        await _choose(page, "Actions of the rule all", "Remove")
        await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        await _choose(page, "Actions of the channel ops", "Remove")
        await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        await expect(page.get_by_role("region", name="Channels")).to_have_count(0)
        assert visitor.complaints == []


async def test_a_manager_by_grant_has_a_rule_for_the_dag_and_acknowledges_its_alert(
    browser: Browser, told: Site
) -> None:
    dag, path = _fail(told, "play")
    foreign, _ = _fail(told)
    body = {"username": "granted", "password": PASSWORD, "role": "viewer", "scope": "granted"}
    user = told.send("POST", "/users", body)["user"]["id"]
    told.send("POST", "/grants", {"userId": user, "role": "manager", "pattern": dag})
    async with visiting(browser, told.address, cookie=told.browse("granted")) as visitor:
        page = await visitor.open("/alerts?q=state:any")
        await expect(page.get_by_role("row").filter(has_text=foreign)).to_have_count(0)
        await expect(page.get_by_text("reported yet")).to_have_count(0)  # it does not see the rules of others
        page = await visitor.open(path)
        await page.get_by_role("link", name="nobody is told of this").click()
        await page.get_by_role("button", name="Add rule").click()
        dialog = page.get_by_role("dialog", name="Add a rule")
        await dialog.get_by_role("button", name="Add", exact=True).click()
        await expect(page.get_by_role("region", name="Rules that cover it")).to_contain_text(dag)
        await page.get_by_role("button", name="Send test").click()
        dialog = page.get_by_role("dialog", name=f"Test the rule {dag}")
        await expect(dialog.get_by_label("DAG")).to_have_value(dag)
        await dialog.get_by_role("button", name="Send a test").click()
        await expect(dialog.get_by_text("Told.")).to_be_visible()
        await dialog.get_by_role("button", name="Cancel").click()
        told.run(dag)
        wait_for("an alert", lambda: told.send("GET", f"/alerts?dag={dag}")["alerts"])
        page = await visitor.open("/alerts")
        await _choose(page, f"Actions of the alert about {dag}", "Acknowledge")
        await page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
        await expect(page.get_by_role("row").filter(has_text=dag).first).to_contain_text("by granted")
        await _choose(page, f"Actions of the rule {dag}", "Remove")
        await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        await expect(page.get_by_role("region", name="Rules")).to_have_count(0)
        assert visitor.complaints == []


async def test_a_manager_has_rules_for_single_dags_with_shared_channels(browser: Browser, told: Site) -> None:
    dag, _ = _fail(told)
    async with _visit(browser, told, "manager") as visitor:
        page = await visitor.open("/alerts")
        main = page.get_by_role("main")
        await expect(main.get_by_role("button", name="Add channel")).to_have_count(0)
        await expect(main.get_by_role("button", name=re.compile("Actions of the (rule|channel)"))).to_have_count(0)
        await main.get_by_role("button", name="Add rule").click()
        dialog = page.get_by_role("dialog", name="Add a rule")
        await dialog.get_by_label("Name", exact=True).fill("mine")
        await dialog.get_by_role("combobox", name="DAG").fill(dag)
        await dialog.get_by_role("button", name="Add", exact=True).click()
        await _choose(page, "Actions of the rule mine", "Edit")
        await expect(page.get_by_role("dialog").get_by_role("combobox", name="DAG")).to_have_value(dag)
        assert visitor.complaints == []
    assert told.send("GET", "/alert-rules/mine")["dag"] == dag
    told.send("PATCH", "/alert-channels/ops", {"shared": False})
    async with _visit(browser, told, "manager") as visitor:
        page = await visitor.open("/alerts")
        button = page.get_by_role("main").get_by_role("button", name="Add rule")
        await expect(button).to_be_disabled()
        await expect(button).to_have_attribute("title", "No channel is shared: ask an admin")


async def test_the_tab_of_a_dag_says_by_which_word_a_rule_covers_it_and_tests_it(browser: Browser, told: Site) -> None:
    dag, path = _fail(told)
    _until(told, path, "sent")
    more = {"name": "more", "match": [dag], "on": ["succeeded"], "to": ["ops"]}
    told.send("POST", "/alert-rules", more)
    async with _visit(browser, told, "admin") as visitor:
        await _check_design(visitor, f"/dags/{dag}/alerts")
        page = visitor.page
        rules = page.get_by_role("region", name="Rules that cover it")
        await expect(rules.get_by_role("row").filter(has_text="all")).to_contain_text("*")
        await expect(rules.get_by_role("row").filter(has_text="more")).to_contain_text(dag)
        await rules.get_by_role("button", name="Send test").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Rule").select_option("more")
        await dialog.get_by_role("button", name="Send a test").click()
        await expect(dialog.get_by_text("Told.")).to_be_visible()
        await dialog.get_by_role("button", name="Cancel").click()
        await _choose(page, "Actions of the rule more", "Remove")
        await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        await expect(rules.get_by_role("row").filter(has_text="more")).to_have_count(0)
        assert visitor.complaints == []
    async with _visit(browser, told, "viewer") as visitor:
        page = await visitor.open(f"/dags/{dag}/alerts")
        await expect(page.get_by_role("region", name="Rules that cover it")).to_contain_text("all")
        await expect(page.get_by_role("main").get_by_role("button", name=re.compile("Add|test|rule"))).to_have_count(0)


async def test_the_tab_says_that_a_mail_of_the_definition_reports_a_failure(browser: Browser, alerting: Site) -> None:
    mailed = "smtp: {host: mail.example.org}\nmailOn: {failure: true}\nerrorMail: {from: a@b.org, to: c@d.org}\n"
    alerting.save("mailed", mailed + "steps: [{name: a, command: 'true'}]\n")
    async with _visit(browser, alerting, "viewer") as visitor:
        page = await visitor.open("/dags/mailed/alerts")
        main = page.get_by_role("main")
        await expect(main).to_contain_text("A mail of its definition reports a failure.")
        assert await main.locator(".bad").count() == 0


def _database(site: Site) -> closing[sqlite3.Connection]:
    """Open the database of a running server beside it."""
    return closing(sqlite3.connect(site.program.database_url.removeprefix("sqlite:///")))


def _store_mail(site: Site, run_id: str, mail: str) -> None:
    """Store the receipt of a mail of a definition."""
    with _database(site) as file, file:
        file.execute(
            "INSERT INTO alert_deliveries (id, channel, type, run_id, attempt, mail, purpose, number, created_at,"
            " due_at, status, tries, resends, sent_at, attempts) SELECT ?, 'mail.example.org', 'mail', id, attempt, ?,"
            " 'run_mail', 0, finished_at, finished_at, 'sent', 1, 0, finished_at, '[]' FROM runs WHERE run_id = ?",
            (new_run_id(), mail, run_id),
        )


async def test_mails_of_the_definition_are_told_of_at_the_run_and_those_about_a_step_there(
    browser: Browser, alerting: Site
) -> None:
    alerting.save("mails", "steps: [{name: load, command: exit 3, mailOnError: true}]\n")
    run_id = alerting.run("mails")
    path = f"/dag-runs/mails/{run_id}"
    _store_mail(alerting, run_id, "step 0 0")
    async with _visit(browser, alerting, "admin") as visitor:
        page = await visitor.open(f"{path}?step=load")
        await expect(page.get_by_role("link", name="nobody is told of this")).to_be_visible()
        await page.get_by_role("button", name="Details", exact=True).click()
        await expect(page.get_by_role("region", name="Told")).to_contain_text("sent by a mail of the definition")
        _store_mail(alerting, run_id, "failure")
        page = await visitor.open(path)
        await page.get_by_role("button", name=re.compile("^a mail at ")).click()
        rows = page.get_by_role("dialog").get_by_role("row")
        await expect(rows.filter(has_text="mail of the definition: its failure")).to_contain_text("mail.example.org")
        await expect(rows.filter(has_text="mail of the definition: step load")).to_contain_text("sent")
        assert await visitor.find_barriers() == []
        assert visitor.complaints == []


@pytest.mark.parametrize("width", WIDTHS)
async def test_every_page_says_which_channel_fails_and_nothing_moves(
    browser: Browser, told: Site, receiver: Receiver, width: int
) -> None:
    banner = "Alerts do not reach: ops. Channels"
    async with _visit(browser, told, "viewer", width=width) as visitor:
        await design.observe(visitor.context)
        page = await visitor.open("/queues")
        await expect(page.get_by_role("img", name="Live")).to_be_visible()
        receiver.status = 500
        _, path = _fail(told)
        await expect(page.get_by_text(banner)).to_be_visible()
        released = await open_without_scripts(visitor, "/queues")
        placed = page.locator("#app[data-frame] .stale")
        await expect(placed).to_have_text(banner)
        before = await placed.bounding_box()
        released.set()
        await visitor.settle()
        await expect(page.locator("#app:not([data-frame]) .stale")).to_have_text(banner)
        assert await page.locator(".stale").bounding_box() == before
        assert await visitor.find_barriers() == []
        receiver.status = 200
        _until(told, path, "sent")
        await expect(page.get_by_text("All channels accept alerts again.")).to_be_visible()
        assert await page.locator(".stale").bounding_box() == before
        assert (await design.measure(page)).problems() == []
        await page.get_by_role("link", name="Runs", exact=True).click()
        await expect(page.locator(".stale")).to_have_count(0)
        assert [text for text in visitor.complaints if "500" not in text] == []


async def test_a_channel_that_is_not_shared_fails_without_others_reading_of_it(
    browser: Browser, told: Site, receiver: Receiver
) -> None:
    told.send("PATCH", "/alert-channels/ops", {"shared": False})
    receiver.status = 500
    _, path = _fail(told)
    wait_for("a try", lambda: _receipts(told, path) and _receipts(told, path)[0]["attempts"])
    for role, count in (("admin", 1), ("manager", 0)):
        async with _visit(browser, told, role) as visitor:
            page = await visitor.open("/queues")
            await expect(page.get_by_text("Alerts do not reach: ops.")).to_have_count(count)


async def test_channels_of_all_types_have_their_fields(browser: Browser, alerting: Site) -> None:
    async with _visit(browser, alerting, "admin") as visitor:
        page = await visitor.open("/alerts")
        await page.get_by_role("button", name="Add channel").click()
        dialog = page.get_by_role("dialog", name="Add a channel")
        types = dialog.get_by_role("radio")
        assert {await one.get_attribute("value") for one in await types.all()} == set(CHANNEL_TYPES)
        found = {}
        for type_ in CHANNEL_TYPES:
            await dialog.get_by_role("radio", name=type_).check()
            inputs = dialog.locator("[name]:not([type=radio], [name=name], [name=shared])")
            found[type_] = [await one.get_attribute("name") for one in await inputs.all()]
            assert await visitor.find_barriers() == [], type_
    assert found == {
        **{key: ["secret", "interval"] for key in ("slack", "discord", "teams", "pagerduty")},
        "webhook": ["url", "interval"],
        "telegram": ["secret", "to", "interval"],
        "ntfy": ["url", "secret", "interval"],
        "ping": ["url", "secret", "fail", "every"],
        "mail": ["to", "sender", "host", "port", "username", "secret", "interval"],
    }


async def test_a_rule_can_report_all_that_there_is(browser: Browser, told: Site) -> None:
    async with _visit(browser, told, "admin") as visitor:
        page = await visitor.open("/alerts")
        await _choose(page, "Actions of the rule all", "Edit")
        reports = page.get_by_role("dialog").get_by_role("group", name="Report")
        names = [await one.get_attribute("name") or "" for one in await reports.locator("input").all()]
        assert {name.split(" ")[1] for name in names} == set(KINDS) - {"limit"}
        assert [name for name in names if name.startswith("with ")] == ["with overdue", "with slow", "with queued"]


async def test_messages_that_were_dropped_are_found_and_sent_by_hand(
    browser: Browser, told: Site, receiver: Receiver
) -> None:
    receiver.status = 500
    dag, path = _fail(told)
    wait_for("a try", lambda: _receipts(told, path) and _receipts(told, path)[0]["attempts"])
    told.send("PATCH", "/alert-channels/ops", {"enabled": False})
    _until(told, path, "dropped")
    receiver.status = 200
    told.send("PATCH", "/alert-channels/ops", {"enabled": True})
    async with _visit(browser, told, "operator") as visitor:
        await _check_design(visitor, "/alerts?tab=messages")
        page = visitor.page
        await page.get_by_role("combobox", name="Status").select_option("dropped")
        row = page.get_by_role("row").filter(has_text=dag)
        await expect(row).to_contain_text("channel disabled")
        await row.get_by_role("button", name="Resend to ops").click()
        await expect(row).to_have_count(0)
        _until(told, path, "sent")
        assert visitor.complaints == []


@pytest.mark.parametrize("dag", ["constructor", "__proto__", "l" * 40])
async def test_what_others_write_is_text_on_the_pages_of_alerts(
    browser: Browser, told: Site, receiver: Receiver, dag: str
) -> None:
    receiver.answer = MARKUP.encode()
    told.save(dag, f"steps: [{{name: '{MARKUP}', command: exit 3}}]\n")
    path = f"/dag-runs/{dag}/{told.run(dag)}"
    _until(told, path, "sent")
    (alert,) = told.send("GET", f"/alerts?dag={dag}")["alerts"]
    told.send("POST", f"/alerts/{alert['id']}/acknowledge", {"note": MARKUP})
    async with _visit(browser, told, "admin") as visitor:
        page = visitor.page
        for place in ("/alerts", f"/dags/{dag}/alerts", "/alerts?tab=messages", path):
            await visitor.open(place)
            if place == path:
                await page.get_by_role("button", name=re.compile("^ops at ")).click()
            await expect(page.get_by_text(MARKUP).first).to_be_visible()
            assert await page.locator("img, [onerror]").count() == 0
            assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), place
        assert visitor.complaints == []


@pytest.fixture
def configured(told: Site) -> Iterator[Site]:
    """A server whose channel and rule are as if the settings had them."""

    def mark(is_configured: bool) -> None:
        with _database(told) as file, file:
            file.execute("UPDATE alert_channels SET configured = ?", (is_configured,))
            file.execute("UPDATE alert_rules SET configured = ?", (is_configured,))

    mark(True)
    yield told
    mark(False)


async def test_what_is_in_the_settings_is_only_tested_and_says_where_it_is_changed(
    browser: Browser, configured: Site
) -> None:
    async with _visit(browser, configured, "admin") as visitor:
        page = await visitor.open("/alerts")
        for noun, name in (("rule", "all"), ("channel", "ops")):
            region = page.get_by_role("region", name=f"{noun.capitalize()}s")
            await expect(region.get_by_role("row").filter(has_text="from the settings")).to_contain_text(name)
            menu = await _open_menu(page, f"Actions of the {noun} {name}")
            for item in ("Edit", "Disable", "Remove"):
                await expect(menu.get_by_role("menuitem", name=item)).to_be_disabled()
            text = f"It is in the setting alert_{noun}s: change it there"
            await expect(menu.get_by_role("menuitem", name="Edit")).to_contain_text(text)
            await expect(menu.get_by_role("menuitem", name="Send a test")).to_be_enabled()
            await page.keyboard.press("Escape")
        assert visitor.complaints == []


_FORMS = {
    "discord": {"Address of the incoming webhook": "{url}/discord"},
    "teams": {"Address of the workflow": "{url}/teams"},
    "ntfy": {"URL": "{url}/topic", "Token": "tk_secret"},
    "telegram": {"Token of the bot": "1:secret", "Number of the chat": "-100123"},
    "pagerduty": {"Integration key": "key"},
}


@pytest.mark.parametrize("type_", _FORMS)
async def test_a_channel_of_a_type_is_added_tested_and_changed(
    browser: Browser, alerting: Site, receiver: Receiver, type_: str
) -> None:
    async with _visit(browser, alerting, "admin") as visitor:
        page = await visitor.open("/alerts")
        await page.get_by_role("button", name="Add channel").click()
        dialog = page.get_by_role("dialog", name="Add a channel")
        await dialog.get_by_role("radio", name=type_).check()
        await dialog.get_by_label("Name", exact=True).fill(type_)
        for label, value in _FORMS[type_].items():
            await dialog.get_by_label(label).fill(value.format(url=receiver.url))
        await dialog.get_by_role("button", name="Add", exact=True).click()
        await expect(dialog).to_have_count(0)
        if type_ in ("discord", "teams", "ntfy"):  # the others have a server of the service's own
            await _choose(page, f"Actions of the channel {type_}", "Send a test")
            dialog = page.get_by_role("dialog", name=f"Test the channel {type_}")
            await dialog.get_by_role("button", name="Send a test").click()
            await expect(dialog.get_by_text("Told.")).to_be_visible()
            await dialog.get_by_role("button", name="Cancel").click()
        await _choose(page, f"Actions of the channel {type_}", "Edit")
        dialog = page.get_by_role("dialog", name=f"Edit the channel {type_}")
        await dialog.get_by_label("Seconds between two messages").fill("5")
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog).to_have_count(0)
        shown = page.get_by_role("region", name="Channels").locator("tbody")
        assert "secret" not in await shown.inner_text()
        assert visitor.complaints == []
    channel = alerting.send("GET", f"/alert-channels/{type_}")
    assert (channel["type"], channel["intervalSeconds"]) == (type_, 5)


async def test_a_sign_of_life_is_added_with_its_interval_and_without_reports_of_failures(
    browser: Browser, alerting: Site
) -> None:
    async with _visit(browser, alerting, "admin") as visitor:
        page = await visitor.open("/alerts")
        await page.get_by_role("button", name="Add channel").click()
        dialog = page.get_by_role("dialog", name="Add a channel")
        await dialog.get_by_role("radio", name="ping").check()
        await dialog.get_by_label("Name", exact=True).fill("alive")
        await dialog.get_by_label("URL").first.fill("http://127.0.0.1:9/ping")
        await dialog.get_by_label("Seconds between two signs of life").fill("3600")
        await dialog.get_by_role("button", name="Add", exact=True).click()
        await expect(dialog).to_have_count(0)
        found = alerting.send("GET", "/alert-channels/alive")
        assert (found["everySeconds"], found["fail"]) == (3600, True)
        await _choose(page, "Actions of the channel alive", "Edit")
        dialog = page.get_by_role("dialog", name="Edit the channel alive")
        await dialog.get_by_label("Report failures").uncheck()
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog).to_have_count(0)
        assert visitor.complaints == []
    found = alerting.send("GET", "/alert-channels/alive")
    assert (found["everySeconds"], found["fail"]) == (3600, False)


async def test_a_rule_reports_what_does_not_happen_with_its_limits(browser: Browser, told: Site) -> None:
    async with _visit(browser, told, "admin") as visitor:
        page = await visitor.open("/alerts")
        await _choose(page, "Actions of the rule all", "Edit")
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("overdue").fill("soon")
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("on: 'overdue soon' has no time")
        await dialog.get_by_label("overdue").fill("2h")
        await dialog.get_by_label("slow").fill("x3, 30m")
        await dialog.get_by_role("checkbox", name="server").check()
        await dialog.get_by_role("button", name="Save").click()
        row = page.get_by_role("region", name="Rules").get_by_role("row").filter(has_text="all")
        await expect(row).to_contain_text("overdue 2h, slow x3, slow 30m")
        await _choose(page, "Actions of the rule all", "Edit")
        await expect(dialog.get_by_label("slow")).to_have_value("x3, 30m")
        assert await visitor.find_barriers() == []
    assert set(told.send("GET", "/alert-rules/all")["on"]) == {"failed", "overdue 2h", "slow x3", "slow 30m", "server"}

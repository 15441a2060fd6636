"""Channels and rules of the settings file: there after a start, changed only there, gone when they are taken out."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from dagbook.alerts.configured import Configuration, Configured, read_channels, read_rules
from dagbook.auth.audit_context import Actor
from dagbook.clock import now
from dagbook.db.database import ReadConnection
from dagbook.db.models import AlertChannel
from dagbook.settings import SettingsError, read
from tests.app.alert_scene import AlertScene, alert_scene
from tests.executors.web import Web, plain

TOKEN = "T0/B0/very-secret-token"  # noqa: S105 - of a test
SIGNING = f"whsec_{'QUJD' * 8}"
Entry = dict[str, Any]


class Home:
    """A database and a settings file, with which servers are started one after the other."""

    def __init__(self, database_url: str, folder: Path, web: Web) -> None:
        self.database_url, self.folder, self.web = database_url, folder, web
        folder.mkdir()

    @asynccontextmanager
    async def started(
        self, channels: list[Entry] | None = None, rules: list[Entry] | None = None
    ) -> AsyncIterator[AlertScene]:
        given = {"alert_channels": channels, "alert_rules": rules}
        file = self.folder / "dagbook.yaml"
        file.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in given.items() if value is not None))
        async with alert_scene(self.database_url, self.folder, self.web) as scene:
            yield scene

    def chat(self, **values: Any) -> Entry:
        self.web.answers[f"/services/{TOKEN}"] = plain(200, "ok")
        return {"name": "ops", "type": "slack", "url": f"{self.web.url}/services/{TOKEN}", "interval": 0, **values}


ALL = {"name": "all", "match": ["*", "!play-*"], "on": ["failed"], "to": ["ops"], "remind": "0s"}


@pytest.fixture
def home(database_url: str, tmp_path: Path, web: Web) -> Home:
    return Home(database_url, tmp_path / "home", web)


async def shown(scene: AlertScene) -> tuple[dict[str, bool], dict[str, bool]]:
    """Return the names of channels and rules, and whether each is of the settings."""
    channels = (await scene.ok("GET", "/alert-channels"))["channels"]
    rules = (await scene.ok("GET", "/alert-rules"))["rules"]
    return {each["name"]: each["configured"] for each in channels}, {each["name"]: each["configured"] for each in rules}


async def stored(scene: AlertScene) -> list[Any]:
    """Return all that is stored of channels, rules and in the audit."""

    def read(connection: ReadConnection) -> list[Any]:
        tables = ("alert_channels", "alert_rules", "alert_targets", "audit")
        return [connection.execute(text(f"SELECT * FROM {table}")).all() for table in tables]  # noqa: S608

    return await scene.database.read(read)


async def audited(scene: AlertScene) -> list[tuple[str, str]]:
    entries = (await scene.ok("GET", "/audit"))["entries"]
    return [(each["action"], each["object"]) for each in reversed(entries) if each["via"] == "settings"]


@pytest.mark.both_engines
async def test_what_the_settings_name_is_there_told_and_changed_only_there(home: Home) -> None:
    async with home.started([home.chat()], [ALL]) as scene:
        assert await shown(scene) == ({"ops": True}, {"all": True})
        await scene.run("nightly")
        await scene.until_told(1, f"services/{TOKEN}")
        for method, path, setting in (
            ("PATCH", "/alert-channels/ops", "alert_channels"),
            ("DELETE", "/alert-channels/ops", "alert_channels"),
            ("POST", "/alert-channels/ops/secret", "alert_channels"),
            ("PUT", "/alert-rules/all", "alert_rules"),
            ("DELETE", "/alert-rules/all", "alert_rules"),
        ):
            body = {"PATCH": {"enabled": False}, "PUT": {"match": ["*"], "on": ["failed"], "to": ["ops"]}}.get(method)
            answer = await scene.client.request(method, path, json=body)
            assert (answer.status_code, f"setting {setting}" in answer.json()["message"]) == (403, True), answer.text
        assert await audited(scene) == [("alert_channel.create", "ops"), ("alert_rule.create", "all")]
        assert "very-secret-token" not in str(await stored(scene))


@pytest.mark.both_engines
async def test_what_is_taken_out_is_gone_at_the_next_start(home: Home) -> None:
    async with home.started([home.chat()], [ALL]) as scene:
        await scene.channel("own")
        await scene.rule("mine", to="own")
    async with home.started([home.chat()], []) as scene:
        assert await shown(scene) == ({"ops": True, "own": False}, {"mine": False})
    async with home.started() as scene:  # without the settings
        assert await shown(scene) == ({"own": False}, {"mine": False})
        assert await audited(scene) == [
            ("alert_channel.create", "ops"),
            ("alert_rule.create", "all"),
            ("alert_rule.delete", "all"),
            ("alert_channel.delete", "ops"),
        ]


@pytest.mark.both_engines
async def test_a_start_with_the_same_settings_writes_nothing(home: Home) -> None:
    channels = [
        home.chat(shared=True),
        {"name": "hook", "type": "webhook", "url": home.web.url, "secret": SIGNING, "interval": "5s"},
        {"name": "mail", "type": "mail", "to": ["a@example.org"], "from": "b@example.org", "smtp": {"host": "h"}},
        {"name": "phone", "type": "telegram", "secret": "1:x", "to": -100},
    ]
    rules: list[Entry] = [
        ALL,
        {"name": "late", "match": "tag:Billing", "on": "failed, waiting", "to": ["hook +15m", "mail"], "after": 2},
    ]
    async with home.started(channels, rules) as scene:
        # The state of a channel is kept, too.
        await scene.change(AlertChannel, failing_since=now(), next_try_at=now())
        before = await stored(scene)
    async with home.started(channels, rules) as scene:
        assert await stored(scene) == before
        late = await scene.ok("GET", "/alert-rules/late")
        assert (late["match"], late["on"], late["to"]) == (
            ["tag:billing"],
            ["failed", "waiting"],
            ["hook +15m", "mail"],
        )


async def test_what_is_changed_is_changed_at_the_next_start(home: Home) -> None:
    async with home.started([home.chat()], [ALL]):
        pass
    other = {"name": "ops", "type": "discord", "url": f"{home.web.url}/api/webhooks/1/x", "enabled": False}
    async with home.started([other], [{**ALL, "on": ["aborted"]}]) as scene:
        channel = await scene.ok("GET", "/alert-channels/ops")
        assert (channel["type"], channel["enabled"], channel["intervalSeconds"]) == ("discord", False, 60)
        assert (await scene.ok("GET", "/alert-rules/all"))["on"] == ["aborted"]
        assert (await audited(scene))[2:] == [("alert_channel.update", "ops"), ("alert_rule.update", "all")]


@pytest.mark.both_engines
async def test_a_channel_that_is_taken_out_and_used_by_a_stored_rule_is_disabled(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    async with home.started([home.chat()], [ALL]) as scene:
        await scene.rule("mine", to="ops")
    with caplog.at_level(logging.WARNING):
        async with home.started() as scene:
            assert await shown(scene) == ({"ops": False}, {"mine": False})
            assert (await scene.ok("GET", "/alert-channels/ops"))["enabled"] is False
            assert "the rules mine use it" in caplog.text
            await scene.ok("PATCH", "/alert-channels/ops", enabled=True)  # nothing of it is lost
            assert (await scene.ok("POST", "/alert-channels/ops/test"))["told"] is True
    async with home.started([home.chat()]) as scene:
        assert (await shown(scene))[0] == {"ops": True}


async def test_a_channel_that_is_taken_out_and_used_in_the_settings_stops_the_start(home: Home) -> None:
    async with home.started([home.chat()], [ALL]):
        pass
    with pytest.raises(
        SettingsError, match=r"alert_rules .*all: to: ops is not in the setting alert_channels any more"
    ):
        async with home.started([], [ALL]):
            raise AssertionError


async def test_what_has_the_name_of_an_entry_becomes_that_entry(home: Home) -> None:
    async with home.started() as scene:
        await scene.channel("ops")
        await scene.rule("all", to="ops")
    async with home.started([home.chat()], [ALL]) as scene:
        assert await shown(scene) == ({"ops": True}, {"all": True})
        assert (await scene.ok("GET", "/alert-channels/ops"))["type"] == "slack"


async def test_a_rule_of_the_settings_may_lead_to_a_stored_channel(home: Home) -> None:
    async with home.started() as scene:
        await scene.channel("hook")
    async with home.started(None, [{**ALL, "to": ["hook"]}]) as scene:
        await scene.run("nightly")
        await scene.until_told(1)


async def test_a_webhook_of_the_settings_is_signed_with_the_secret_there(home: Home) -> None:
    home.web.answers |= {"/signed": plain(200), "/plain": plain(200)}
    channels = [
        {"name": "signed", "type": "webhook", "url": f"{home.web.url}/signed", "secret": SIGNING},
        {"name": "plain", "type": "webhook", "url": f"{home.web.url}/plain"},
    ]
    async with home.started(channels, [{**ALL, "to": ["signed", "plain"]}]) as scene:
        await scene.run("nightly")
        for name in ("signed", "plain"):
            await scene.until_told(1, name)
    signed = {asked.target: "webhook-signature" in asked.headers for asked in home.web.asked}
    assert signed == {"/signed": True, "/plain": False}


WRONG: list[tuple[list[Entry], list[Entry], str]] = [
    ([{"name": "x", "type": "pigeon"}], [], r"alert_channels .*x: type: 'pigeon' is no type of channel"),
    ([{"name": "x", "type": "slack"}], [], r"alert_channels .*x: secret: is not the address"),
    ([{"name": "x", "type": "slack", "url": "hooks"}], [], r"alert_channels .*x: url: is not the address"),
    (
        [{"name": "x", "type": "webhook", "url": "http://a/", "to": "b"}],
        [],
        r"x: to: a channel of type webhook has none",
    ),
    (
        [{"name": "x", "type": "ntfy", "url": "http://a/b", "interval": "soon"}],
        [],
        r"x: interval: 'soon' is no duration",
    ),
    (
        [{"name": "x", "type": "ntfy", "url": "http://a/b", "interval": "99h"}],
        [],
        r"x: interval: Expected `int` <= 86400",
    ),
    ([{"name": "x", "type": "ntfy", "urll": "http://a/b"}], [], r"urll: is no key of a channel; did you mean url"),
    ([], [{**ALL, "on": ["often"]}], r"alert_rules .*all: on: 'often' is no kind of alert"),
    ([], [{**ALL, "match": ["!a"]}], r"alert_rules .*all: match: covers nothing"),
    ([], [{**ALL, "to": ["ops +soon"]}], r"alert_rules .*all: to: 'ops \+soon' has no delay"),
    ([], [{**ALL, "after": 0}], r"alert_rules .*rule 1 \(all\): after: '0' does not fit"),
    ([], [{**ALL, "quiet": "always"}], r"alert_rules .*all: quiet: 'always' is no span"),
    ([], [{**ALL, "to": ["nowhere"]}], r"alert_rules .*all: to: there is no channel named 'nowhere'"),
    ([], [{"name": "all", "to": ["x"], "on": ["failed"]}], r"alert_rules .*match: is missing"),
]


async def test_a_wrong_entry_stops_the_start_with_its_name_and_field(home: Home) -> None:
    for channels, rules, problem in WRONG:
        with pytest.raises(SettingsError, match=problem):
            async with home.started(channels, rules):
                raise AssertionError(problem)


@pytest.mark.both_engines
async def test_servers_that_start_at_once_make_and_remove_each_of_them_once(home: Home) -> None:
    channels = [home.chat(name=f"c{number}") for number in range(5)]
    rules = [{**ALL, "name": f"r{number}", "to": [f"c{number}"]} for number in range(5)]

    def of(channels: list[Entry], rules: list[Entry]) -> Configured:
        given = {"DAGBOOK_ALERT_CHANNELS": json.dumps(channels), "DAGBOOK_ALERT_RULES": json.dumps(rules)}
        settings = read({}, given, home.folder)
        return Configured(channels=read_channels(settings.alert_channels), rules=read_rules(settings.alert_rules))

    async with home.started() as scene:
        store = scene.server.services.alerts.channels
        for configured in (of(channels, rules), of([], [])):
            configurations = [Configuration(scene.database, store, Actor(via="settings"), now) for _ in range(4)]
            await asyncio.gather(*(each.apply(configured) for each in configurations))
        done = await audited(scene)
        assert (len(done), len(set(done)), await shown(scene)) == (20, 20, ({}, {}))

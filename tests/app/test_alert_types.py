"""Channels of each type, against a receiver that keeps what it is sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select

from dagbook.db.database import ReadConnection
from dagbook.db.models import AlertChannel
from tests.app.alert_scene import BAD, GOOD, AlertScene, alert_scene
from tests.executors.web import Asked, Web, plain

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"  # noqa: S105 - of a test
HOSTILE = """
steps:
  - name: "<!channel> @everyone\\n\\e[31mred"
    command: exit 3
"""


class Case(NamedTuple):
    """What a channel of a type is added with, URL and SECRET being places, and the path that is posted to."""

    body: dict[str, Any]
    path: str
    header: tuple[str, str] = ("content-type", "application/json")


CASES = {
    "slack": Case({"secret": f"URL/services/{TOKEN}"}, f"/services/{TOKEN}"),
    "discord": Case({"secret": f"URL/api/webhooks/1/{TOKEN}"}, f"/api/webhooks/1/{TOKEN}"),
    "teams": Case({"secret": f"URL/workflows/x?sig={TOKEN}"}, f"/workflows/x?sig={TOKEN}"),
    "telegram": Case({"url": "URL", "secret": TOKEN, "to": ["-1001"]}, f"/bot{TOKEN}/sendMessage"),
    "ntfy": Case({"url": "URL/ops", "secret": TOKEN}, "/", ("authorization", f"Bearer {TOKEN}")),
    "pagerduty": Case({"url": "URL/", "secret": TOKEN}, "/v2/enqueue"),
}


@pytest.fixture
async def scene(database_url: str, tmp_path: Path, web: Web) -> AsyncIterator[AlertScene]:
    async with alert_scene(database_url, tmp_path / "home", web) as found:
        yield found


async def add(scene: AlertScene, kind: str, answer: bytes = plain(200, "{}")) -> Any:
    case = CASES[kind]
    scene.web.answers[case.path.partition("?")[0]] = answer
    body = {key: value.replace("URL", scene.web.url) if key != "to" else value for key, value in case.body.items()}
    return await scene.ok("POST", "/alert-channels", name=kind, type=kind, intervalSeconds=0, **body)


@pytest.fixture
async def services(scene: AlertScene) -> AlertScene:
    """A channel of each type, and a rule that leads to all."""
    for kind in CASES:
        await add(scene, kind)
    await scene.ok("POST", "/alert-rules", name="all", match=["*"], on=["failed"], to=[*CASES])
    return scene


async def until_told(scene: AlertScene, count: int) -> dict[str, list[Asked]]:
    """Wait until each service has as many requests; returns these."""
    return {kind: await scene.until_told(count, case.path.removeprefix("/")) for kind, case in CASES.items()}


async def test_a_failure_with_a_hostile_text_and_its_end_are_told(services: AlertScene) -> None:
    await services.run("nightly", HOSTILE)
    await until_told(services, 1)
    await services.run("nightly", GOOD)
    asked, found = await until_told(services, 2), {}
    for kind, case in CASES.items():
        first, second = asked[kind]
        opened, closed, (name, value) = first.body.decode(), second.body.decode(), case.header
        said = {
            "slack": "&lt;!channel&gt; @everyone",
            "discord": r"\\<!channel\\> @everyone",
            "telegram": "<!channel> @\N{WORD JOINER}everyone",
        }
        found[kind] = (
            ("nightly failed at " in opened, "nightly succeeded at " in closed),
            (said.get(kind, "<!channel> @everyone") in opened, r"\n" in opened, r"\u001b" in opened),
            (first.method, first.headers[name]) == ("POST", value),
        )
    assert found == dict.fromkeys(CASES, ((True, True), (True, False, False), True))
    assert '"parse":[]' in asked["discord"][0].body.decode()


async def test_secrets_are_shown_to_nobody_and_stored_sealed(services: AlertScene) -> None:
    for case in CASES.values():
        answer = plain(404, f"there is no {case.path} for {TOKEN}")
        services.web.answers[case.path.partition("?")[0]] = answer
    await services.run("nightly")
    for kind in CASES:
        await services.until_state("failing", kind)
    shown = [await services.ok("GET", path) for path in ("/alert-channels", "/alert-deliveries", "/audit")]

    def read(connection: ReadConnection) -> str:
        return str(connection.execute(select(AlertChannel.__table__)).all())

    assert str(shown).count("there is no ") == len(CASES)
    assert TOKEN.partition(":")[2] not in f"{shown}{await services.database.read(read)}"


@pytest.mark.parametrize("kind", ["telegram", "ntfy"])
async def test_an_egress_rule_is_named_by_the_attempt(database_url: str, tmp_path: Path, web: Web, kind: str) -> None:
    async with alert_scene(database_url, tmp_path / "home", web, egress_deny="127.0.0.0/8") as scene:
        await add(scene, kind)
        await scene.rule(to=kind)
        await scene.run("nightly")
        await scene.until_state("failing", kind)
        (receipt,) = await scene.receipts()
        assert "egress_deny" in receipt["attempts"][0]["text"]
        assert web.asked == []


async def test_pagerduty_gets_one_request_for_each_alert_and_the_end_of_each(scene: AlertScene) -> None:
    await add(scene, "pagerduty", plain(202, '{"status": "success"}'))
    await scene.rule(to="pagerduty")
    for spec in (BAD, GOOD):
        for name in ("a", "b", "c"):
            await scene.run(name, spec)
    events = [json.loads(asked.body) for asked in await scene.until_told(6, "v2/enqueue")]
    actions: dict[str, list[str]] = {}
    for event in events:
        actions.setdefault(event["dedup_key"], []).append(event["event_action"])
    assert list(actions.values()) == [["trigger", "resolve"]] * 3
    assert {event["routing_key"] for event in events} == {TOKEN}


async def test_a_service_is_asked_at_its_address_unless_there_is_another(scene: AlertScene) -> None:
    hosts = {}
    for kind, body in (("telegram", {"to": ["@ops"]}), ("pagerduty", {})):
        added = await scene.ok("POST", "/alert-channels", name=kind, type=kind, secret=TOKEN, **body)
        hosts[kind] = added["host"]
    assert hosts == {"telegram": "api.telegram.org", "pagerduty": "events.pagerduty.com"}


async def test_a_token_goes_to_no_other_server(scene: AlertScene) -> None:
    await add(scene, "ntfy")
    await scene.ok("PATCH", "/alert-channels/ntfy", url=f"{scene.web.url}/dev/")  # another topic
    answer = await scene.client.patch("/alert-channels/ntfy", json={"url": "https://ntfy.example.org/ops"})
    assert (answer.status_code, answer.json()["message"].partition(":")[0]) == (400, "secret")
    changed = await scene.ok("PATCH", "/alert-channels/ntfy", url="https://ntfy.example.org/ops", secret="")
    assert changed["url"] == "https://ntfy.example.org/ops"


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("discord", {}, "secret: is not the address of a receiver"),
    ("teams", {"secret": "x", "url": "http://a/"}, "url: a channel of type teams has none"),
    ("telegram", {"secret": TOKEN}, "to: is not one chat"),
    ("telegram", {"secret": TOKEN, "to": ["1", "2"]}, "to: is not one chat"),
    ("telegram", {"secret": TOKEN, "to": ["ann@example.org"]}, "to: is not one chat"),
    ("telegram", {"to": ["1"]}, "secret: is missing"),
    ("telegram", {"to": ["1"], "secret": "a b"}, "secret: is no token"),
    ("telegram", {"to": ["1"], "secret": TOKEN, "url": "http://[x"}, "url: is not the address"),
    ("ntfy", {"url": "https://ntfy.sh/"}, "url: names no topic"),
    ("ntfy", {"url": "https://ntfy.sh/ops?auth=x"}, "url: names no topic"),
    ("ntfy", {"url": "https://ntfy.sh/ops", "secret": "a\r\nb: c"}, "secret: is no token"),
    ("ntfy", {"url": "https://ntfy.sh/ops", "to": ["x"]}, "to: a channel of type ntfy has none"),
    ("pagerduty", {}, "secret: is missing"),
    ("webhook", {"url": "http://a/", "secret": "whsec_short"}, "secret: does not sign webhooks"),
    ("webhook", {"url": "http://a/", "secret": f"whsec_{'é' * 40}"}, "secret: does not sign webhooks"),
]


async def test_what_a_type_does_not_have_or_needs_is_named(scene: AlertScene) -> None:
    wrong = []
    for kind, body, problem in REFUSED:
        answer = await scene.client.post("/alert-channels", json={"name": "x", "type": kind, **body})
        if (answer.status_code, answer.json()["message"].startswith(problem)) != (400, True):
            wrong.append((kind, body, answer.text))
    assert wrong == []

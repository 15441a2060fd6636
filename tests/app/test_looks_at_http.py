"""A change of what an address answers starts a run, once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.look_scene import LookScene, look_scene
from tests.executors.web import Web, plain


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    server = Web()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def scene(database_url: str, tmp_path: Path) -> AsyncIterator[LookScene]:
    async with look_scene(database_url, tmp_path, egress_deny="169.254.0.0/16") as opened:
        yield opened


async def watch(scene: LookScene, web: Web, body: dict[str, Any] | None = None, **settings: str) -> Any:
    web.answers.setdefault("/feed", plain(200, "first", "ETag: one"))
    given = {"params": {}} | (body or {})
    return await scene.watch("feed", "http", settings={"url": f"{web.url}/feed"} | settings, **given)


async def look(scene: LookScene) -> list[Any]:
    """Look once more, and return the events."""
    await scene.watcher.look(after=61)
    return await scene.events("feed")


async def problem(scene: LookScene) -> str:
    """Return the problem after three more looks."""
    for _ in range(3):
        await look(scene)
    return str((await scene.ok("GET", "/triggers/feed")).get("problem"))


async def test_a_new_etag_is_one_run_with_the_body_and_what_was_there_is_none(scene: LookScene, web: Web) -> None:
    await watch(scene, web, {"params": {"FILE": "json:/n", "TAG": "item:etag"}})
    assert await look(scene) == []
    web.answers["/feed"] = plain(200, '{"n": 7}', "ETag: two", "Content-Type: application/json")
    (event,) = await look(scene)
    assert (event["item"], event["bodyBytes"]) == ({"url": f"{web.url}/feed", "etag": "two"}, 8)
    (event,) = await scene.until_settled("feed")
    run = await scene.finished(event, "load")
    assert (run.details["trigger"], await run.log("show")) == ("http", "7")
    assert len(await look(scene)) == 1


async def test_what_the_server_calls_unchanged_is_asked_for_by_its_etag_and_is_no_event(
    scene: LookScene, web: Web
) -> None:
    await watch(scene, web)
    web.answers["/feed"] = plain(304)
    assert await look(scene) == []
    assert web.asked[-1].headers["if-none-match"] == "one"
    assert "if-none-match" not in web.asked[0].headers


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        (plain(200, "a", "Last-Modified: x"), plain(200, "b", "Last-Modified: x"), 0),
        (plain(200, "a", "Last-Modified: x"), plain(200, "a", "Last-Modified: y"), 1),
        (plain(200, "a"), plain(200, "a"), 0),
        (plain(200, "a"), plain(200, "b"), 1),
    ],
)
async def test_without_an_etag_the_time_of_the_last_change_counts_else_the_body(
    scene: LookScene, web: Web, before: bytes, after: bytes, events: int
) -> None:
    web.answers["/feed"] = before
    await watch(scene, web)
    web.answers["/feed"] = after
    assert len(await look(scene)) == events


async def test_with_a_pointer_nothing_else_counts(scene: LookScene, web: Web) -> None:
    web.answers["/feed"] = plain(200, json.dumps({"at": 1, "n": 1}), "ETag: one")
    await watch(scene, web, changed="json:/at")
    web.answers["/feed"] = plain(200, json.dumps({"at": 1, "n": 2}), "ETag: two")
    assert await look(scene) == []
    web.answers["/feed"] = plain(200, json.dumps({"at": 2}), "ETag: two")
    assert len(await look(scene)) == 1
    web.answers["/feed"] = plain(200, "[]")
    assert await problem(scene) == "its body has nothing at json:/at"


async def test_a_token_is_sent_and_shown_nowhere(scene: LookScene, web: Web) -> None:
    await watch(scene, web, {"secret": "a token of the source"})
    assert web.asked[-1].headers["authorization"] == "Bearer a token of the source"
    assert "a token" not in (await scene.client.get("/triggers/feed")).text
    await scene.ok("POST", "/triggers/feed/secret", secret="another one")  # noqa: S106 - of this test
    await look(scene)
    assert web.asked[-1].headers["authorization"] == "Bearer another one"
    refused = await scene.client.post("/triggers/feed/secret")
    assert (refused.status_code, "secret: is missing" in refused.text) == (400, True)


async def test_a_token_is_sent_to_no_server_but_the_one_that_it_was_given_for(scene: LookScene, web: Web) -> None:
    await watch(scene, web, {"secret": "a token of the source"})
    other = web.url.replace("127.0.0.1", "localhost")
    change: dict[str, Any] = {"settings": {"url": f"{other}/feed"}}
    refused = await scene.client.patch("/triggers/feed", json=change)
    assert (refused.status_code, "secret: is missing" in refused.text) == (400, True)
    await look(scene)
    assert web.asked[-1].headers["host"] == web.url.removeprefix("http://")
    await scene.ok("PATCH", "/triggers/feed", settings={"url": f"{web.url}/feed?part=2"})
    await scene.ok("PATCH", "/triggers/feed", **change, secret="another one")  # noqa: S106 - of this test
    await look(scene)
    assert web.asked[-1].headers["authorization"] == "Bearer another one"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            plain(302, "", "Location: http://169.254.169.254/latest"),
            "it answered 302; no redirect is followed, write the address that it names",
        ),
        (plain(500), "it answered 500"),
        (plain(200, "x" * 101), "it has more than 100 bytes (maxBytes)"),
        (b"nonsense\r\n\r\n", "the connection ended before the answer was complete, or the answer is not HTTP"),
    ],
)
async def test_what_is_no_answer_is_a_problem_until_there_is_one(
    scene: LookScene, web: Web, answer: bytes, message: str
) -> None:
    await watch(scene, web, {"maxBytes": 100})
    web.answers["/feed"] = answer
    assert await problem(scene) == message
    web.answers["/feed"] = plain(200, "later", "ETag: two")
    assert len(await look(scene)) == 1
    assert "problem" not in await scene.ok("GET", "/triggers/feed")


async def test_an_endless_body_is_read_no_further_than_it_may_be(scene: LookScene, web: Web) -> None:
    sent = 0

    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 65_536)
            sent += 65_536
            await writer.drain()

    await watch(scene, web)
    web.answers["/feed"] = endless
    assert await problem(scene) == "it has more than 1048576 bytes (maxBytes)"
    assert sent < 3 * (16 << 20)


async def test_an_address_that_the_server_may_not_reach_is_refused(scene: LookScene) -> None:
    await scene.dag("load")
    body = {"name": "x", "dag": "load", "kind": "http", "settings": {"url": "http://169.254.169.254/latest"}}
    refused = await scene.client.post("/triggers", json=body)
    assert (refused.status_code, "egress_deny" in refused.text) == (400, True), refused.text

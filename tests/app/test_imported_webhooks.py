"""Webhooks of Dagu 1.30: senders keep path and token, and what they send becomes events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import pytest
from sqlalchemy import select, update

from dagbook.db.models import Trigger
from dagbook.transfer.home import Folders, HomeSource
from dagbook.transfer.importing import ImportOptions, import_from
from dagbook.transfer.report import Report
from tests.app.trigger_scene import TriggerScene, trigger_scene
from tests.dagu_home import DaguHome

TOKEN, OTHER = f"dagu_wh_{'t' * 44}", f"dagu_wh_{'o' * 44}"
SHOW = "name: other-name\nsteps:\n  - name: show\n    command: printenv WEBHOOK_PAYLOAD\n"


def hash_of(token: str = TOKEN, cost: int = 4) -> str:
    """Return what Dagu stores of a token, of a cost that tests can afford."""
    return bcrypt.hashpw(token.encode(), bcrypt.gensalt(cost, prefix=b"2a")).decode()


class Scene(TriggerScene):
    """A server, and the home of Dagu that was imported into its database: the DAG ``build`` with a webhook."""

    home: DaguHome

    async def bring(self) -> dict[str, tuple[str, str]]:
        """Import the home; returns what the report says of webhooks."""
        options = ImportOptions(
            base_config=self.home.path / "new base.yaml",
            encrypter=self.server.encrypter,
            max_body_bytes=1 << 20,
            log_limit_bytes=1_000,
            log_encoding="utf-8",
            retention_days=-1,
        )
        report = Report(source="home", database="")
        await import_from(HomeSource(Folders.of(self.home.path)), self.database, options, report, lambda *_: None)
        return {each.name: (each.outcome, each.reason) for each in report.findings if each.kind == "webhook"}

    async def post(self, body: Any = None, token: str = TOKEN, name: str = "build", **headers: str) -> httpx.Response:
        """Send what senders of Dagu send."""
        given = {"Authorization": f"Bearer {token}"} | {key.replace("_", "-"): value for key, value in headers.items()}
        content = {"content": body} if isinstance(body, bytes) else {"json": {} if body is None else body}
        return await self.client.post(f"/webhooks/{name}", headers=given, **content)

    async def started(self, body: Any = None, **given: str) -> Any:
        answer = await self.post(body, **given)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def scene(database_url: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with trigger_scene(database_url, tmp_path) as opened:
        scene = Scene(opened.server, opened.client)
        scene.home = DaguHome(tmp_path / "old home")
        scene.home.definition("build", SHOW)
        scene.home.webhook("build", hash_of())
        assert (await scene.bring())["build"] == ("imported", "a trigger; its path and its token stay")
        yield scene


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The tokens for which bcrypt is computed."""
    tokens, check = list[bytes](), bcrypt.checkpw

    def count(token: bytes, hashed: bytes) -> bool:
        tokens.append(token)
        return check(token, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", count)
    return tokens


@pytest.mark.both_engines
async def test_a_sender_keeps_path_token_and_answers(scene: Scene) -> None:
    payload = b'{"t": "`touch made` $(id) ${HOME} \\"q\\"", "n": 1.0}'
    found = await scene.started(b'{"payload": ' + payload + b', "dagRunId": "r-1"}')
    assert found == {"dagRunId": "r-1", "dagName": "other-name"}
    run = await scene.finished(found, "other-name")
    assert (run.details["trigger"], run.details.get("actor")) == ("webhook", None)
    assert await run.log("show") == payload.decode()
    again = await scene.post({"dagRunId": "r-1"})
    assert (again.status_code, again.json()) == (
        409,
        {"code": "already_exists", "message": "dag-run with ID r-1 already exists"},
    )
    (event,) = await scene.events("build")
    assert (event["state"], event["key"], event["dagRunId"]) == ("started", "dagRunId/r-1", "r-1")
    unnamed = await scene.started()
    assert await (await scene.finished(unnamed, "other-name")).log("show") == "{}"
    assert unnamed["dagRunId"] != "r-1"


async def test_a_run_that_was_started_otherwise_has_its_id_too(scene: Scene) -> None:
    await scene.ok("POST", "/dags/build/start", dagRunId="r-1")
    assert (await scene.post({"dagRunId": "r-1"})).status_code == 409
    assert await scene.events("build") == []


async def test_of_requests_at_once_with_one_run_id_one_is_taken(scene: Scene) -> None:
    answers = await asyncio.gather(*(scene.post({"dagRunId": "r-1"}) for _ in range(20)))
    assert sorted(each.status_code for each in answers) == [200] + [409] * 19
    await scene.finished({"dagRunId": "r-1"}, "other-name")
    assert len(await scene.runs("other-name")) == 1


# -- tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.both_engines
async def test_bcrypt_is_computed_for_the_first_use_alone(scene: Scene, computed: list[bytes]) -> None:
    answers = await asyncio.gather(*(scene.post() for _ in range(10)))
    assert [each.status_code for each in answers] == [200] * 10
    assert (await scene.post(token=OTHER)).status_code == 401
    assert computed == [TOKEN.encode()]


async def test_wrong_tokens_are_refused_as_for_an_unknown_name_and_then_delayed(
    scene: Scene, computed: list[bytes]
) -> None:
    unknown = await scene.post(name="nothing")
    for number in range(100):
        answer = await scene.post(token=f"{OTHER}{number}")
        assert (answer.status_code, answer.json()) == (401, unknown.json())
    for token in (OTHER, TOKEN):  # also the right one, for which bcrypt would have to be computed
        answer = await scene.post(token=token)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "15")
    assert len(computed) == 100


async def test_a_used_token_is_taken_after_any_number_of_wrong_ones(scene: Scene) -> None:
    await scene.started()
    codes = [(await scene.post(token=OTHER)).status_code for _ in range(101)]
    assert codes == [401] * 100 + [429]
    await scene.started()


@pytest.mark.both_engines
async def test_a_token_that_was_not_used_is_taken_for_a_day_after_a_rotation(scene: Scene) -> None:
    new = (await scene.ok("POST", "/triggers/build/secret"))["secret"]
    for token in (new, TOKEN, TOKEN):
        assert (await scene.post(token=token)).status_code == 200
    ended = update(Trigger).values(sealed_before_until=datetime.now(UTC))
    await scene.database.write(lambda connection: connection.execute(ended))
    assert [(await scene.post(token=token)).status_code for token in (new, TOKEN)] == [200, 401]


async def test_neither_token_nor_hash_is_stored_as_it_is(scene: Scene) -> None:
    await scene.started()
    stored = await scene.database.read(lambda connection: connection.execute(select(Trigger)).all())
    assert "$2a$" not in str(stored)
    assert TOKEN not in str(stored)
    assert "$2a$" not in (await scene.client.get("/triggers/build")).text


async def test_no_other_token_is_taken(scene: Scene) -> None:
    for token in ("", "x" * 73, "ä" * 40, OTHER):
        headers = {b"Authorization": f"Bearer {token}".encode()}
        assert (await scene.client.post("/webhooks/build", json={}, headers=headers)).status_code == 401, token


async def test_other_triggers_are_not_at_this_path(scene: Scene) -> None:
    own = await scene.trigger("own", "token", dag="build")
    assert (await scene.post(token=own["secret"], name="own")).status_code == 401
    assert (await scene.client.get("/webhooks/build")).status_code == 405


# -- what is sent ----------------------------------------------------------------------------------------------------


async def test_a_body_of_another_form_is_refused_and_not_kept(scene: Scene) -> None:
    named = (b'{"dagRunId": 5}', b'{"dagRunId": "a/../b"}', b'{"dagRunId": "latest"}')
    for body in (b"", b"[1]", b"not json", *named, b"[" * 100_000):
        assert (await scene.post(body)).status_code == 400, body[:20]
        assert (await scene.post(body, token=OTHER)).status_code == 401, body[:20]
    assert await scene.events("build") == []


@pytest.mark.parametrize("key", ["dagRunId/r-1", "replay/r-1/r-2"])
async def test_a_key_of_a_sender_names_neither_a_run_nor_a_replay(scene: Scene, key: str) -> None:
    found = await scene.started(Idempotency_Key=key)
    assert await scene.started(Idempotency_Key=key) == found
    (event,) = await scene.events("build")
    assert (event["id"], event["key"][:7]) == (found["dagRunId"], "sha256/")


async def test_a_replay_of_an_event_whose_sender_named_the_run_has_a_run_of_its_own(scene: Scene) -> None:
    await scene.finished(await scene.started({"dagRunId": "r-1", "payload": {"a": 1}}), "other-name")
    (event,) = await scene.events("build")
    again = await scene.ok("POST", f"/triggers/build/events/{event['id']}/replay")
    assert again["dagRunId"] == again["eventId"] != event["id"]
    assert await (await scene.finished(again, "other-name")).log("show") == '{"a":1}'


async def test_the_new_path_takes_the_token_and_the_payload_alone(scene: Scene) -> None:
    answer = await scene.client.post("/hooks/build", content=b'{"a": 1}', headers={"X-Trigger-Token": TOKEN})
    assert answer.status_code == 202
    assert await (await scene.finished(answer.json(), "other-name")).log("show") == '{"a": 1}'


async def test_events_wait_while_the_trigger_is_paused_and_what_is_filtered_has_no_run(scene: Scene) -> None:
    await scene.ok("POST", "/triggers/build/pause")
    waiting = await scene.started({"dagRunId": "r-1", "payload": {"ref": "main"}})
    await scene.ok("PATCH", "/triggers/build", filters=["json:/ref = main"], params={"REF": "json:/ref"})
    assert await scene.started({"payload": {"ref": "other"}}) == {"dagName": "other-name"}
    await scene.ok("POST", "/triggers/build/resume")
    run = await scene.finished(waiting, "other-name")
    assert "REF=main" in run.details["params"]


async def test_the_webhook_of_a_deleted_dag_says_so(scene: Scene) -> None:
    await scene.ok("DELETE", "/dags/build")
    assert (await scene.post()).status_code == 404


async def test_the_path_of_dagu_is_that_of_imported_webhooks_alone_and_stays(scene: Scene) -> None:
    body = {"name": "x", "dag": "build", "scheme": "token", "settings": {"dagu": True}}
    answer = await scene.client.post("/triggers", json=body)
    assert (answer.status_code, answer.json()["message"]) == (
        400,
        "settings.dagu: is of webhooks that were imported; leave it out",
    )
    changed = await scene.ok("PATCH", "/triggers/build", settings={"key": "json:/id"})  # as the form sends it
    assert changed["settings"] == {"key": "json:/id", "dagu": True}
    assert await scene.started({"payload": {"id": 7}}) == await scene.started({"payload": {"id": 7, "again": True}})


# -- the import ------------------------------------------------------------------------------------------------------


async def test_a_repeated_import_knows_a_webhook_before_and_after_its_first_use(scene: Scene) -> None:
    assert await scene.bring() == {}
    await scene.started()
    assert await scene.bring() == {}
    scene.home.webhook("build", hash_of(OTHER))
    assert (await scene.bring())["build"][0] == "differing"
    await scene.started()


async def test_a_webhook_that_is_disabled_becomes_a_paused_trigger(scene: Scene) -> None:
    scene.home.definition("off")
    scene.home.webhook("off", hash_of(), enabled=False)
    outcome, reason = (await scene.bring())["off"]
    assert (outcome, "triggers resume" in reason) == ("changed", True)
    await scene.started(name="off")
    found = await scene.ok("GET", "/triggers/off")
    assert (found["waitsFor"], found["waiting"]) == ("the trigger is paused", 1)
    assert found["pausedBy"].startswith("import")


async def test_a_trigger_of_the_same_name_stays(scene: Scene) -> None:
    await scene.trigger("taken", "github", dag="taken")
    scene.home.webhook("taken", hash_of())
    assert (await scene.bring())["taken"][0] == "differing"
    assert (await scene.ok("GET", "/triggers/taken"))["scheme"] == "github"


async def test_webhooks_that_cannot_be_used_are_left_out(scene: Scene) -> None:
    for dag, token_hash in (("costly", "$2a$15" + hash_of()[6:]), ("plain", "4f1c"), ("nothing", hash_of())):
        scene.home.webhook(dag, token_hash)
        if dag != "nothing":
            scene.home.definition(dag)
    scene.home.webhook("damaged", "").write_text("{")
    found = await scene.bring()
    assert {outcome for outcome, _ in found.values()} == {"left_out"}
    reasons = {name: reason.partition(";")[0].partition(":")[0] for name, (_, reason) in found.items()}
    no_hash = "its token is not a bcrypt hash that can be used here, of a cost up to 14"
    assert reasons == {
        "costly": no_hash,
        "plain": no_hash,
        "nothing": "there is no DAG of this name here",
        "w-damaged.json": "it is damaged or cut",
    }


async def test_an_import_audits_each_trigger(scene: Scene) -> None:
    entries = (await scene.ok("GET", "/audit?action=trigger.create"))["entries"]
    assert [(each["actor"].split()[0], each["object"]) for each in entries] == [("import", "build")]

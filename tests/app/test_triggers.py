"""What a hook receives becomes one run, or says why not."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import select, update
from standardwebhooks import Webhook

from dagbook.db.models import Run, Trigger
from dagbook.db.repositories import holds
from dagbook.db.repositories.holds import HoldRow
from tests.app.dagbook import serving
from tests.app.trigger_scene import PUSH, SHOW, TriggerScene, signature_of, trigger_scene
from tests.waiting import wait_until

WRONG, OF_SENDER = "another secret", "a secret of the sender"


@pytest.fixture
async def scene(database_url: str, tmp_path: Path) -> AsyncIterator[TriggerScene]:
    async with trigger_scene(database_url, tmp_path) as opened:
        yield opened


async def test_a_signed_request_is_one_run_with_the_id_of_the_answer_and_without_an_actor(scene: TriggerScene) -> None:
    added = await scene.trigger(params={"SHA": "json:/after"})
    assert added["path"].endswith("/api/v2/hooks/push")
    event = await scene.accepted(X_GitHub_Delivery="d-1")
    assert event == {"eventId": event["dagRunId"], "dagRunId": event["dagRunId"], "state": "waiting"}
    run = await scene.finished(event)
    assert (run.details["trigger"], run.details.get("actor")) == ("webhook", None)
    assert await run.log("show") == "4f1c"
    (stored,) = await scene.events()
    assert (stored["state"], stored["key"], stored["dagRunId"]) == ("started", "d-1", event["dagRunId"])
    shown = await scene.ok("GET", f"/triggers/push/events/{event['eventId']}")
    assert (shown["params"], shown["headers"]["x-github-delivery"]) == ({"SHA": "4f1c"}, "d-1")


# -- signatures and duplicates ---------------------------------------------------------------------------------------


async def test_what_is_not_signed_gets_the_answer_of_an_unknown_name(scene: TriggerScene) -> None:
    await scene.trigger()
    await scene.trigger("other")
    unknown = await scene.send(name="nothing")
    assert (unknown.status_code, unknown.json()["code"]) == (401, "unauthorized")
    sha1 = hmac.new(scene.secrets["push"].encode(), b"{}", "sha1").hexdigest()
    wrong = [
        await scene.send(secret=WRONG),
        await scene.send(secret=scene.secrets["other"]),
        await scene.send(X_Hub_Signature_256=signature_of(scene.secrets["push"], b"another body")),
        await scene.client.post("/hooks/push", content=b"{}"),
        await scene.client.post("/hooks/push", content=b"{}", headers={"X-Hub-Signature": f"sha1={sha1}"}),
        await scene.send(name="x" * 65),
    ]
    found = [(each.status_code, each.json()) for each in wrong]
    assert found == [(401, unknown.json())] * len(wrong)
    assert await scene.events() == []


STANDARD = {"webhook-id": "msg_1", "webhook-timestamp": "1", "webhook-signature": f"v1,{'A' * 43}="}


async def compare_refusals(scene: TriggerScene, names: tuple[str, str], headers: dict[str, str]) -> float:
    """Return by how much the medians of the times of two refusals differ, as a share of the shorter one."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(200):
        for name in names[:: 1 if number % 2 else -1]:  # in turn, so that a busy machine delays both alike
            begin = time.perf_counter()
            answer = await scene.client.post(f"/hooks/{name}", content=b"{}", headers=headers)
            seconds[name].append(time.perf_counter() - begin)
            assert answer.status_code == 401
    shorter, longer = sorted(median(each) for each in seconds.values())
    return longer / shorter - 1


@pytest.mark.full
@pytest.mark.parametrize(
    ("scheme", "headers"),
    [
        ("github", {"X-Hub-Signature-256": signature_of(WRONG, b"{}")}),
        ("token", {"X-Trigger-Token": WRONG}),
        ("standard", STANDARD),
    ],
)
async def test_a_wrong_signature_is_refused_as_late_as_an_unknown_name(
    scene: TriggerScene, scheme: str, headers: dict[str, str]
) -> None:
    found: list[float] = []
    while not found or (found[-1] >= 0.2 and len(found) < 3):  # what the load of the machine made once does not stay
        await scene.trigger(name := f"known{len(found)}", scheme)
        found.append(await compare_refusals(scene, (name, f"other{len(found)}"), headers))
    assert found[-1] < 0.2, found


async def test_the_same_delivery_is_one_event_and_so_is_the_same_body_under_another_id(scene: TriggerScene) -> None:
    await scene.trigger()
    first = await scene.accepted(X_GitHub_Delivery="d-1")
    for delivery in ("d-1", "d-2"):
        again = await scene.send(X_GitHub_Delivery=delivery)
        assert (again.status_code, again.json() | {"state": "", "duplicate": ""}) == (
            200,
            first | {"state": "", "duplicate": ""},
        )
        assert again.json()["duplicate"] is True
    await scene.finished(first)
    (event,) = await scene.events()
    assert (event["duplicates"], len(await scene.runs())) == (2, 1)


@pytest.mark.both_engines
async def test_a_hundred_requests_at_once_with_one_id_are_one_run(scene: TriggerScene) -> None:
    await scene.trigger("push", "token", perMinute=200)
    headers = {"X-Trigger-Token": scene.secrets["push"], "Idempotency-Key": "one"}
    answers = await asyncio.gather(
        *(scene.client.post("/hooks/push", content=b"{}", headers=headers) for _ in range(100))
    )
    assert sorted(each.status_code for each in answers) == [200] * 99 + [202]
    (event_id,) = {each.json()["eventId"] for each in answers}
    await scene.finished({"dagRunId": event_id})
    assert len(await scene.runs()) == 1


async def test_a_signed_body_without_time_is_one_event_unless_it_may_repeat(scene: TriggerScene) -> None:
    options = {"header": "X-Sig", "prefix": "sha256="}
    for name, repeats in (("once", False), ("often", True)):
        await scene.trigger(name, "hmac", settings={**options, "repeats": repeats})
        body = {"X-Sig": signature_of(scene.secrets[name], b"{}")}
        found = [await scene.client.post(f"/hooks/{name}", content=b"{}", headers=body) for _ in range(2)]
        assert [each.status_code for each in found] == ([202, 202] if repeats else [202, 200])


async def test_a_clock_that_is_wrong_is_named_to_who_has_signed(scene: TriggerScene) -> None:
    await scene.trigger("push", "standard")

    def signed(seconds: int, secret: str = scene.secrets["push"]) -> dict[str, str]:
        at = datetime.now(UTC) + timedelta(seconds=seconds)
        signature = Webhook(secret).sign("msg_1", at, "{}")
        return {"webhook-id": "msg_1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}

    async def send(headers: dict[str, str]) -> tuple[int, bool]:
        answer = await scene.client.post("/hooks/push", content=b"{}", headers=headers)
        return answer.status_code, "clock" in answer.text

    late, early = await send(signed(-310)), await send(signed(310))
    assert (late, early) == ((401, True), (401, True))
    assert await send(signed(-310, "whsec_" + "A" * 32)) == (401, False)
    assert await send(signed(0)) == (202, False)


async def test_both_secrets_are_taken_for_a_day_after_a_rotation(scene: TriggerScene) -> None:
    await scene.trigger()
    old = scene.secrets["push"]
    new = (await scene.ok("POST", "/triggers/push/secret"))["secret"]
    assert new != old
    found = [await scene.send({"n": number}, secret=secret) for number, secret in enumerate((old, new))]
    assert [each.status_code for each in found] == [202, 202]
    ended = update(Trigger).values(sealed_before_until=datetime.now(UTC))
    await scene.database.write(lambda connection: connection.execute(ended))
    assert [(await scene.send({"n": secret}, secret=secret)).status_code for secret in (old, new)] == [401, 202]
    own = await scene.ok("POST", "/triggers/push/secret", secret=OF_SENDER)
    assert "secret" not in own
    assert (await scene.send({"n": "own"}, secret=OF_SENDER)).status_code == 202


async def test_a_token_is_in_a_header_and_never_in_the_address(scene: TriggerScene) -> None:
    await scene.trigger("push", "token")
    token = scene.secrets["push"]
    for headers in ({"Authorization": f"Bearer {token}"}, {"X-Trigger-Token": token}):
        assert (await scene.client.put("/hooks/push", content=b"{}", headers=headers)).status_code == 202
    assert (await scene.client.post(f"/hooks/push?token={token}", content=b"{}")).status_code == 401
    assert (await scene.client.get("/hooks/push", headers={"X-Trigger-Token": token})).status_code == 405


async def test_secrets_are_shown_once_and_stored_encrypted(
    scene: TriggerScene, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    for scheme in ("token", "github"):
        await scene.trigger(scheme, scheme)
        await scene.send(name=scheme)
    await scene.ok("PATCH", "/triggers/github", perMinute=7)
    shown = [
        await scene.ok("GET", path) for path in ("/triggers", "/triggers/github", "/dags/build/triggers", "/audit")
    ]
    rows = await scene.database.read(lambda connection: connection.exec_driver_sql("SELECT * FROM triggers").all())
    text = "".join(map(repr, [shown, rows])) + caplog.text
    for secret in scene.secrets.values():
        assert secret not in text
        for file in tmp_path.rglob("*"):
            assert not file.is_file() or secret.encode() not in file.read_bytes()


# -- bodies, filters and params --------------------------------------------------------------------------------------


async def test_an_event_that_a_filter_refuses_starts_nothing_and_says_which(scene: TriggerScene) -> None:
    await scene.trigger(filters=["json:/ref = refs/heads/main", "json:/n != 2"])
    answer = await scene.accepted({"ref": "refs/heads/main", "n": 2})
    assert (answer["state"], "dagRunId" in answer) == ("filtered", False)
    ping = await scene.accepted({"zen": "x"}, X_GitHub_Event="ping")
    assert ping["state"] == "filtered"
    found = [(each["state"], each["reason"]) for each in await scene.events()]
    assert found == [
        ("filtered", "the filter 'json:/n != 2' does not hold"),
        ("filtered", "GitHub has tried the hook (ping)"),
    ]
    assert await scene.runs() == []


async def test_a_param_that_is_missing_has_its_default_or_makes_the_event_dead(scene: TriggerScene) -> None:
    await scene.dag("build", "params: {SHA: none}\n" + SHOW)
    await scene.trigger(params={"SHA": "json:/after"})
    assert await (await scene.finished(await scene.accepted({"n": 1}))).log("show") == "none"
    assert await (await scene.finished(await scene.accepted({"after": {"a": [1]}}))).log("show") == '{"a":[1]}'
    await scene.ok("PATCH", "/triggers/push", params={"SHA!": "json:/after"})
    await scene.accepted({"n": 2})
    *_, dead = await scene.until_settled()
    assert (dead["state"], dead["reason"]) == (
        "dead",
        "the param SHA is required, and there is nothing at json:/after",
    )
    refused = await scene.client.patch("/triggers/push", json={"params": {"PATH": "json:/after"}})
    assert (refused.status_code, refused.json()["message"][:13]) == (400, "params: PATH:")


async def test_a_form_of_github_gives_the_params_of_its_json(scene: TriggerScene) -> None:
    await scene.trigger(params={"SHA": "json:/after"})
    form = urlencode({"payload": json.dumps(PUSH)}).encode()
    event = await scene.accepted(form, Content_Type="application/x-www-form-urlencoded")
    assert await (await scene.finished(event)).log("show") == "4f1c"


async def test_without_a_mapping_the_body_is_a_variable_of_the_run_that_no_answer_shows(scene: TriggerScene) -> None:
    print_all = "steps: [{name: show, command: 'printenv WEBHOOK_PAYLOAD TRIGGER_NAME TRIGGER_EVENT_ID'}]\n"
    await scene.dag("build", "runConfig: {disableParamEdit: true, disableRunIdEdit: true}\n" + print_all)
    await scene.trigger()
    event = await scene.accepted({"word": "kept"})
    run = await scene.finished(event)
    assert await run.log("show") == f'{{"word": "kept"}}\npush\n{event["eventId"]}'
    retried = await scene.ok("POST", f"{run.path}/retry", dagRunId=event["dagRunId"])
    assert retried is None or retried
    run = await scene.finished(event)
    assert (run.status, run.details.get("params")) == ("succeeded", None)
    for path in (run.path, f"{run.path}/steps/show/details", "/triggers/push/events"):
        assert "kept" not in (await scene.client.get(path)).text


async def test_a_body_that_is_too_long_or_no_json_is_refused_or_dead(scene: TriggerScene) -> None:
    await scene.trigger(maxBytes=200_001, params={"A": "json:/a"})
    assert (await scene.send(b"x" * 200_002)).status_code == 413
    assert (await scene.send(b"{}", Content_Encoding="gzip")).status_code == 415
    for body in (b"[" * 100_000, b"\xff", b"{'a'}"):
        await scene.accepted(body)
    found = [(each["state"], each["reason"]) for each in await scene.until_settled()]
    assert found == [("dead", "the body is not JSON")] * 3


async def test_what_a_stranger_sends_is_data_also_where_values_of_callers_are_evaluated(
    database_url: str, tmp_path: Path
) -> None:
    proof = tmp_path / "proof"
    payloads = [f"`touch {proof}`", f"$(touch {proof})", f"'; touch {proof} #", f'"; touch {proof} "', "${HOME}", "--x"]
    spec = """
        steps:
          - {name: show, command: "printf '%s' \\"${SHA}\\""}
          - {name: call, call: child, params: 'X=${SHA}', depends: show}
    """
    child = "params: X=1\nsteps: [{name: a, command: 'printf %s \"${X}\"'}]\n"
    async with trigger_scene(database_url, tmp_path / "home", evaluate_caller_values="true") as scene:
        await scene.dag("child", child)
        await scene.dag("build", spec)
        await scene.trigger(params={"SHA": "json:/after", "H": "header:X-H"})
        for payload in payloads:
            event = await scene.accepted({"after": payload}, X_H=payload)
            run = await scene.finished(event)
            assert (await run.log("show"), run.status) == (payload, "succeeded")
    assert not proof.exists()


# -- limits ----------------------------------------------------------------------------------------------------------


async def test_more_than_the_requests_of_a_minute_are_refused_and_other_triggers_go_on(scene: TriggerScene) -> None:
    await scene.trigger(perMinute=3)
    await scene.trigger("other")
    assert [(await scene.send({"n": n})).status_code for n in range(4)] == [202, 202, 202, 429]
    assert 0 < int((await scene.send({"n": 4})).headers["retry-after"]) <= 60
    assert (await scene.send(name="other")).status_code == 202


async def test_events_of_a_paused_trigger_wait_and_start_in_order_or_are_discarded(scene: TriggerScene) -> None:
    await scene.trigger(params={"N": "json:/n"})
    await scene.ok("POST", "/triggers/push/pause")
    for number in range(3):
        await scene.accepted({"n": number})
    shown = await scene.ok("GET", "/triggers/push")
    assert (shown["waiting"], shown["waitsFor"]) == (3, "the trigger is paused")
    assert {each["reason"] for each in await scene.events()} == {"the trigger is paused"}
    await scene.ok("POST", "/triggers/push/resume")
    found = await scene.until_settled()
    assert [each["state"] for each in found] == ["started"] * 3
    order = sorted([await scene.ok("GET", f"/dag-runs/build/{each['dagRunId']}") for each in found], key=queued_at)
    assert [each["dagRunDetails"]["params"] for each in order] == ["N=0", "N=1", "N=2"]
    await scene.ok("POST", "/triggers/push/pause")
    await scene.accepted({"n": 4})
    await scene.ok("POST", "/triggers/push/resume", discard=True)
    assert [each["state"] for each in await scene.events()] == [*["started"] * 3, "discarded"]


def queued_at(run: Any) -> str:
    return str(run["dagRunDetails"]["queuedAt"])


async def test_events_of_a_suspended_dag_wait(scene: TriggerScene) -> None:
    await scene.trigger()
    await scene.ok("POST", "/dags/build/suspend", suspend=True)
    event = await scene.accepted()
    assert (await scene.ok("GET", "/triggers/push"))["waitsFor"] == "the DAG is suspended"
    await scene.server.triggers.run_once()
    assert [each["state"] for each in await scene.events()] == ["waiting"]
    await scene.ok("POST", "/dags/build/suspend", suspend=False)
    scene.server.triggers.wake()
    await scene.finished(event)


# Runs until the test makes the file.
GATE = "maxActiveRuns: 1\nsteps: [{{name: a, command: 'while [ ! -e {gate} ]; do sleep 0.05; done'}}]\n"


async def test_events_of_a_dag_with_one_run_at_a_time_are_runs_one_after_the_other(
    scene: TriggerScene, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    await scene.dag("build", GATE.format(gate=gate))
    await scene.trigger(params={"N": "json:/n"})
    sent = [await scene.accepted({"n": number}) for number in range(5)]

    async def all_there() -> bool:
        return sorted(each["statusLabel"] for each in await scene.runs()) == [*["queued"] * 4, "running"]

    await wait_until(all_there)
    gate.touch()
    runs = [await scene.finished(event) for event in sent]
    assert [(run.status, run.details["params"]) for run in runs] == [("succeeded", f"N={n}") for n in range(5)]
    rows = select(Run.started_at, Run.finished_at).order_by(Run.id)  # the API has whole seconds
    spans = await scene.database.read(lambda connection: connection.execute(rows).all())
    times = [each for span in spans for each in span]
    assert (times, len(spans)) == (sorted(times), 5)


async def test_of_events_that_come_while_a_run_is_there_the_newest_starts(scene: TriggerScene, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    await scene.dag("build", GATE.format(gate=gate))
    await scene.trigger(collapse=True)
    first = await scene.accepted({"n": 0})

    async def running() -> bool:
        return [each["statusLabel"] for each in await scene.runs()] == ["running"]

    await wait_until(running)
    rest = [await scene.accepted({"n": number}) for number in range(1, 6)]
    gate.touch()
    await scene.finished(first)
    await scene.finished(rest[-1])
    found = await scene.until_settled()
    assert [each["state"] for each in found] == ["started", *["superseded"] * 4, "started"]
    assert [each["statusLabel"] for each in await scene.runs()] == ["succeeded"] * 2


async def test_no_more_runs_are_queued_than_a_trigger_may_have(scene: TriggerScene, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    await scene.dag("build", GATE.format(gate=gate))
    await scene.trigger(maxWaiting=2)
    for number in range(6):
        await scene.accepted({"n": number})

    async def filled() -> bool:
        return len(await scene.runs()) == 3

    await wait_until(filled)
    await scene.server.triggers.run_once()
    assert sorted(each["statusLabel"] for each in await scene.runs()) == ["queued", "queued", "running"]
    gate.touch()

    async def all_done() -> bool:
        return [each["statusLabel"] for each in await scene.runs()] == ["succeeded"] * 6

    await wait_until(all_done)


# -- what becomes of DAGs and triggers -------------------------------------------------------------------------------


async def test_a_trigger_follows_a_rename_and_its_events_are_dead_once_the_dag_is_deleted(scene: TriggerScene) -> None:
    await scene.trigger()
    await scene.ok("POST", "/dags/build/rename", newFileName="built")
    await scene.finished(await scene.accepted({"n": 1}), "built")
    await scene.ok("DELETE", "/dags/built")
    await scene.accepted({"n": 2})
    *_, dead = await scene.until_settled()
    assert (dead["state"], dead["reason"]) == ("dead", "the DAG was deleted")
    await scene.dag("other")
    await scene.ok("PATCH", "/triggers/push", dag="other")
    await scene.finished(await scene.accepted({"n": 3}), "other")
    await scene.ok("DELETE", "/triggers/push")
    assert (await scene.send({"n": 4})).status_code == 401


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("params: {SHA: x}\nrunConfig: {disableParamEdit: true}\n", "runs with its own params alone"),
        ("params: {schema: schema.json}\n", "schema"),
    ],
)
async def test_an_event_that_the_dag_refuses_is_dead_with_the_reason(
    scene: TriggerScene, spec: str, reason: str
) -> None:
    await scene.dag("build", spec + SHOW)
    await scene.trigger(params={"SHA": "json:/after"})
    await scene.accepted()
    (dead,) = await scene.until_settled()
    assert (dead["state"], reason in dead["reason"]) == ("dead", True), dead
    assert (await scene.ok("GET", "/triggers/push"))["dead"] == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "a b"}, "name"),
        ({"scheme": "sha1"}, "scheme"),
        ({"kind": "pigeon"}, "kind"),
        ({"dag": "nothing"}, "dag"),
        ({"secret": "short"}, "secret"),
        ({"settings": {"header": "X"}}, "settings"),
        ({"settings": {"key": "json:/id"}}, "settings.key"),
        ({"scheme": "hmac"}, "settings.header"),
        ({"scheme": "hmac", "settings": {"header": "X", "signed": "{time}{body}"}}, "settings.signed"),
        ({"scheme": "hmac", "settings": {"header": "X", "timeHeader": "T", "signed": "{body}"}}, "settings.signed"),
        ({"scheme": "hmac", "settings": {"header": "X-Sig"}, "params": {"A": "header:x-sig"}}, "header:x-sig"),
        ({"scheme": "token", "settings": {"key": "header:X"}}, "settings.key"),
        ({"filters": ["x"]}, "filters"),
        ({"params": {"A": "x"}}, "params.A"),
        ({"params": {"A": "item:name"}}, "item:name"),
        ({"params": {"A": "header:Authorization"}}, "params.A"),
        ({"maxBytes": 1 << 29}, "maxBytes"),
        ({"perMinute": 0}, "perMinute"),
    ],
)
async def test_what_is_invalid_is_refused_by_its_field(scene: TriggerScene, body: dict[str, Any], field: str) -> None:
    await scene.dag("build")
    answer = await scene.client.post("/triggers", json={"name": "push", "dag": "build", "scheme": "github", **body})
    assert (answer.status_code in (400, 404), answer.json()["message"].split(": ")[0]) == (True, field), answer.text


# -- servers ---------------------------------------------------------------------------------------------------------


@pytest.mark.both_engines
async def test_several_dispatchers_start_each_event_once_and_in_order(
    scene: TriggerScene, database_url: str, tmp_path: Path
) -> None:
    await scene.trigger(params={"N": "json:/n"})
    await scene.ok("POST", "/triggers/push/pause")
    sent = [await scene.accepted({"n": number}) for number in range(8)]
    is_postgres = scene.database.dialect == "postgresql"  # a SQLite file has one server
    async with AsyncExitStack() as stack:
        servers = [scene.server]
        if is_postgres:
            servers += [await stack.enter_async_context(serving(database_url, tmp_path)) for _ in range(2)]
        resumed = update(Trigger).values(paused_at=None, paused_by=None)
        await scene.database.write(lambda connection: connection.execute(resumed))
        await asyncio.gather(*(server.triggers.run_once() for server in servers for _ in range(3)))
        found = await scene.until_settled()
    assert [(each["id"], each["state"]) for each in found] == [(each["eventId"], "started") for each in sent]
    queued = [(await scene.ok("GET", f"/dag-runs/build/{each['dagRunId']}"))["dagRunDetails"] for each in sent]
    assert sorted(queued, key=lambda run: run["queuedAt"]) == queued
    assert len(await scene.runs()) == 8


async def test_a_held_server_takes_events_and_starts_them_once_it_is_resumed(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagbook.runs.recovery.hold._POLL_SECONDS", 0.05)
    async with trigger_scene(database_url, tmp_path) as before:
        await before.trigger()
        held = HoldRow(held_at=datetime.now(UTC), held_by="ann", origin="backup")
        await before.database.write(lambda connection: holds.add(connection, held))
        secrets = before.secrets
    async with trigger_scene(database_url, tmp_path) as scene:
        scene.secrets = secrets
        event = await scene.accepted()
        assert (await scene.send()).json()["duplicate"] is True
        assert [each["state"] for each in await scene.events()] == ["waiting"]
        assert await scene.runs() == []
        await scene.ok("POST", "/hold/resume")
        await scene.finished(event)

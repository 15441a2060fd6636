"""Traces of runs, sent to a receiver of OTLP over HTTP when a run has ended."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from dagbook import tries
from dagbook.db.database import WriteConnection
from dagbook.db.models import AlertDelivery, Run
from dagbook.db.repositories import queue
from dagbook.db.repositories.runs.run_writes import Fence
from dagbook.engine.status import RunStatus
from dagbook.main import Server
from dagbook.runs import trace_context
from dagbook.runs.notifications import traces
from dagbook.runs.store.finishing import force_finish
from tests.app.dagbook import Dagbook, client_of, serving
from tests.executors.web import Asked, Web, plain
from tests.otlp import Received, read
from tests.waiting import wait_until

SPEED = 100
PATH = "/v1/traces"
SECRET = "hush-hush-0451"  # noqa: S105 - of a test
INCOMING = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STEPS = "steps: [{name: a, command: 'true'}]\n"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "SPEED", SPEED)


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    opened = Web()
    await opened.start()
    opened.answers[PATH] = plain(200, '{"partialSuccess":{}}')
    yield opened
    await opened.stop()


def otel(web: Web, more: str = "") -> str:
    more += "" if "timeout" in more else ", timeout: 60s"  # divided by the speed
    return f"otel: {{enabled: true, endpoint: '{web.url}{PATH}'{more}}}\n"


def requests(web: Web) -> list[Asked]:
    return [each for each in web.asked if each.target == PATH]


async def received(web: Web, most: int = 1) -> list[Received]:
    """Return the spans of the first requests, once there are as many."""

    async def look() -> list[Asked] | None:
        return requests(web) if len(requests(web)) >= most else None

    return [span for asked in (await wait_until(look))[:most] for span in read(asked.body)]


async def receipt(dagbook: Dagbook, run_id: str, status: str = "sent") -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = (await dagbook.client.get(f"/dag-runs/{dagbook.name}/{run_id}/alerts")).json()["receipts"]
        return next((each for each in found if each["status"] == status), None)

    return await wait_until(look)


async def run_id_of(dagbook: Dagbook, spec: str) -> str:
    return str((await dagbook.run(spec)).details["dagRunId"])


def nanoseconds(text: str) -> int:
    """Read a time of the API, which has seconds alone."""
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


@pytest.mark.both_engines
async def test_a_tree_of_runs_is_sent_with_ids_and_times_of_its_rows(dagbook: Dagbook, web: Web) -> None:
    spec = (
        otel(web, ", resource: {service.name: 'reports-$DAG_NAME', count: 3, share: 0.5, live: true, list: [1]}")
        + """
handlerOn: {exit: {command: "true"}}
steps:
  - name: flaky
    command: test -e "$PWD/$DAG_RUN_ID.seen" || { touch "$PWD/$DAG_RUN_ID.seen"; exit 7; }
    retryPolicy: {limit: 2, intervalSec: 0}
  - name: fan
    call: child
    parallel: {items: [a, b, c, d, e]}
  - name: bad
    command: exit 3
    continueOn: {failure: true}
---
name: child
steps: [{name: inner, command: "true"}]
"""
    )
    ended = await dagbook.run(spec)
    spans = await received(web)
    sent = await receipt(dagbook, str(ended.details["dagRunId"]))
    assert (sent["purpose"], sent["type"], sent["channel"]) == ("trace", "trace", web.url)
    assert [each["code"] for each in sent["attempts"]] == [200]
    assert spans[0].resource == {
        "service.name": f"reports-{dagbook.name}",
        "count": "3",
        "share": 0.5,
        "live": True,
    }
    by_name: dict[str, list[Received]] = {}
    for span in spans:
        by_name.setdefault(span.name, []).append(span)
    (root,) = by_name.pop(f"DAG: {dagbook.name}")
    assert root.attributes["dag.status"] == ended.status == "partially_succeeded"
    assert root.parent == ""
    steps = [by_name.pop(f"Step: {name}")[0] for name in ("flaky", "fan", "bad", "onExit")]
    assert {each.parent for each in steps} == {root.id}
    flaky, fan, bad, _ = steps
    assert [event["name"] for event in flaky.raw["events"]] == ["retry"]
    assert bad.attributes == {"step.name": "bad", "step.status": "failed", "step.exit_code": "3"}
    children, inner = by_name.pop("DAG: child"), by_name.pop("Step: inner")
    assert (len(children), len(inner)) == (5, 5)
    assert {each.parent for each in children} == {fan.id}
    assert {link["spanId"] for link in fan.raw["links"]} == {each.id for each in children}
    assert {each.parent for each in inner} == {each.id for each in children}
    assert not by_name
    assert len({each.raw["traceId"] for each in spans}) == 1
    for name, span in (("flaky", flaky), ("bad", bad)):
        node = ended.nodes[name]
        times = [nanoseconds(node[key]) for key in ("startedAt", "finishedAt")]
        assert [time // 10**9 * 10**9 for time in span.times] == times


@pytest.mark.both_engines
async def test_a_run_without_otel_has_no_row_and_no_variable(dagbook: Dagbook, web: Web) -> None:
    ended = await dagbook.run("steps: [{name: a, command: 'echo [$TRACEPARENT]'}]\n")
    assert await ended.log("a") == "[]"
    off = f"otel: {{enabled: false, endpoint: '{web.url}{PATH}'}}\n"
    assert await (await dagbook.run(f"{off}steps: [{{name: a, command: 'echo [$TRACEPARENT]'}}]\n")).log("a") == "[]"
    found = (await dagbook.client.get(f"{ended.path}/alerts")).json()
    assert found["receipts"] == []
    assert requests(web) == []


async def test_a_step_and_a_called_run_have_the_context_of_their_spans(dagbook: Dagbook, web: Web) -> None:
    spec = (
        otel(web)
        + """
handlerOn: {exit: {command: "echo $TRACEPARENT"}}
steps:
  - {name: own, command: "echo $TRACEPARENT"}
  - {name: set, command: "echo $TRACEPARENT", env: [TRACEPARENT: mine]}
  - {name: call, call: child}
---
name: child
steps: [{name: inner, command: "echo $TRACEPARENT"}]
"""
    )
    ended = await dagbook.run(spec)
    spans = {span.name: span for span in await received(web)}
    root = spans[f"DAG: {dagbook.name}"]
    for step in ("own", "onExit"):
        text, name = (await ended.log(step)).strip(), f"Step: {step}"
        context = trace_context.parse(text)
        assert context is not None, text
        assert (context.trace, context.span) == (spans[name].raw["traceId"], spans[name].id)
    assert await ended.log("set") == "mine"
    (called,) = ended.nodes["call"]["subRuns"]
    path = f"{ended.path}/sub-dag-runs/{called['dagRunId']}/steps/inner/log"
    inner = (await dagbook.client.get(path)).json()["content"].strip()
    assert inner == f"00-{root.raw['traceId']}-{spans['Step: inner'].id}-01"


@pytest.mark.parametrize("how", ["start", "enqueue", "reschedule"])
async def test_the_trace_of_a_request_goes_on(dagbook: Dagbook, web: Web, how: str) -> None:
    path = "/dag-runs/enqueue" if how == "enqueue" else "/dag-runs"
    body = {"spec": otel(web) + STEPS, "name": dagbook.name}
    first = None if how == "reschedule" else INCOMING
    answer = await dagbook.client.post(path, json=body, headers={"traceparent": first} if first else {})
    assert answer.status_code == 200, answer.text
    own = (await received(web))[0]
    if how == "reschedule":
        assert own.parent == ""
        await dagbook.finished(answer.json()["dagRunId"])
        again = f"/dag-runs/{dagbook.name}/{answer.json()['dagRunId']}/reschedule"
        assert (await dagbook.client.post(again, json={}, headers={"traceparent": INCOMING})).status_code == 200
        own = (await received(web, 2))[-2]
    assert f"00-{own.raw['traceId']}-{own.parent}-01" == INCOMING


async def test_a_sub_run_with_otel_below_a_run_without_one_is_the_first_of_its_trace(
    dagbook: Dagbook, web: Web
) -> None:
    await dagbook.run(f"steps: [{{name: call, call: child}}]\n---\nname: child\n{otel(web)}{STEPS}")
    root, step = await received(web)
    assert (root.name, root.parent, step.parent) == ("DAG: child", "", root.id)


async def test_a_retry_is_a_span_of_its_own_with_what_it_has_run(dagbook: Dagbook, web: Web) -> None:
    spec = otel(web) + "steps: [{name: good, command: 'true'}, {name: bad, command: 'exit 1'}]\n"
    run_id = await run_id_of(dagbook, spec)
    before = await received(web)
    path = f"/dag-runs/{dagbook.name}/{run_id}"
    assert (await dagbook.client.post(f"{path}/retry", json={"dagRunId": run_id})).status_code == 200
    after = (await received(web, 2))[len(before) :]
    assert [each.name for each in after] == [f"DAG: {dagbook.name}", "Step: bad"]
    assert {each.raw["traceId"] for each in (*before, *after)} == {before[0].raw["traceId"]}
    assert not {each.id for each in before} & {each.id for each in after}


@pytest.mark.both_engines
async def test_the_trace_of_a_run_that_is_ended_by_its_rows_is_sent(dagbook: Dagbook, server: Server, web: Web) -> None:
    spec = "workerSelector: {gpu: none}\n" + otel(web) + STEPS
    answer = await dagbook.client.post("/dag-runs/enqueue", json={"spec": spec, "name": dagbook.name})
    run_id = answer.json()["dagRunId"]

    def end(connection: WriteConnection) -> None:
        key = connection.scalars(select(Run.id).where(Run.run_id == run_id)).one()
        queue.remove_entries(connection, {key})
        force_finish(connection, Fence(key, 1, 0), RunStatus.FAILED, "no worker is left", datetime.now(UTC))

    await server.services.runs.database.write(end)
    (root,) = await received(web)
    assert root.attributes["dag.status"] == "failed"
    assert root.raw["status"] == {"code": 2, "message": "no worker is left"}
    assert (await receipt(dagbook, run_id))["channel"] == "traces"


# -- receivers -------------------------------------------------------------------------------------------------------


async def test_a_receiver_that_is_away_gets_the_trace_later_with_the_same_ids(
    dagbook: Dagbook, web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    web.answers[PATH] = plain(503, "later")
    ids = [await run_id_of(dagbook, otel(web) + STEPS) for _ in range(3)]
    tried = read((await _first(web)).body)
    web.answers[PATH] = plain(200)
    for run_id in ids:
        await receipt(dagbook, run_id)
    sent = [read(each.body) for each in requests(web)]
    again = [spans for spans in sent if spans[0].raw["traceId"] == tried[0].raw["traceId"]]
    assert len(again) >= 2
    assert all(spans == tried for spans in again)
    assert len({spans[0].raw["traceId"] for spans in sent}) == 3
    assert len([each for each in caplog.messages if "did not accept a trace" in each]) == 1


async def _first(web: Web) -> Asked:
    async def look() -> Asked | None:
        return next(iter(requests(web)), None)

    return await wait_until(look)


async def test_a_trace_that_is_refused_is_given_up(dagbook: Dagbook, web: Web) -> None:
    web.answers[PATH] = plain(400, "what is this?")
    run_id = await run_id_of(dagbook, otel(web) + STEPS)
    found = await receipt(dagbook, run_id, "failed")
    assert [each["code"] for each in found["attempts"]] == [400, 400, 400]
    assert found["attempts"][0]["text"] == "what is this?"
    web.answers[PATH] = plain(200)
    assert (await dagbook.client.post(f"/alert-deliveries/{found['id']}/resend")).status_code == 200
    await receipt(dagbook, run_id)


async def failed_try(dagbook: Dagbook, run_id: str) -> dict[str, Any]:
    """Return the first try of a trace that was not accepted."""

    async def tried() -> dict[str, Any] | None:
        attempts = (await receipt(dagbook, run_id, "pending"))["attempts"]
        return attempts[0] if attempts else None

    return await wait_until(tried)


async def test_a_slow_receiver_holds_up_no_run(dagbook: Dagbook, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "SPEED", 10)

    async def says_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    web.answers[PATH] = says_nothing
    run_id = await run_id_of(dagbook, otel(web, ", timeout: 3s") + STEPS)
    assert (await failed_try(dagbook, run_id))["text"] == "no complete answer within 3 s"
    web.answers[PATH] = plain(200)
    await receipt(dagbook, run_id)


async def test_a_redirect_is_not_followed(dagbook: Dagbook, web: Web) -> None:
    web.answers[PATH] = plain(302, "", f"Location: {web.url}/elsewhere")
    run_id = await run_id_of(dagbook, otel(web) + STEPS)
    assert (await failed_try(dagbook, run_id))["text"] == "302, not followed"
    assert not [each for each in web.asked if each.target == "/elsewhere"]
    web.answers[PATH] = plain(200)
    await receipt(dagbook, run_id)


async def test_a_denied_destination_is_not_asked(database_url: str, tmp_path: Path, web: Web) -> None:
    async with serving(database_url, tmp_path, egress_deny="127.0.0.0/8") as server, client_of(server) as client:
        dagbook = Dagbook(client, "denied")
        run_id = await run_id_of(dagbook, otel(web) + STEPS)
        assert "egress_deny" in (await failed_try(dagbook, run_id))["text"]
    assert requests(web) == []


async def test_a_large_trace_goes_in_parts(dagbook: Dagbook, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_MOST_IN_PART", 2)
    await dagbook.run(otel(web) + "steps: [{name: a, command: 'true'}, {name: b, command: 'true'}]\n")
    found = await received(web, 2)
    assert [len(read(each.body)) for each in requests(web)] == [2, 1]
    assert len({each.id for each in found}) == 3


# -- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.both_engines
async def test_headers_with_secrets_appear_nowhere(
    database_url: str, tmp_path: Path, web: Web, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLECTOR_KEY", SECRET)
    web.answers[PATH] = plain(400, f"Bearer {SECRET} is not known here")
    headers = ", headers: {Authorization: 'Bearer $COLLECTOR_KEY', content-type: text/plain, Host: example.test}"
    spec = "secrets: [{name: COLLECTOR_KEY, provider: env, key: COLLECTOR_KEY}]\n" + otel(web, headers) + STEPS
    async with serving(database_url, tmp_path) as server, client_of(server) as client:
        dagbook = Dagbook(client, "hidden")
        run_id = await run_id_of(dagbook, spec)
        found = await receipt(dagbook, run_id, "failed")
        assert found["attempts"][0]["text"] == "******* is not known here"
        log = (await client.get(f"/dag-runs/hidden/{run_id}/log")).text
        database = server.services.runs.database
        rows = await database.read(lambda connection: connection.execute(select(AlertDelivery.__table__)).all())
        assert SECRET not in f"{found} {log} {rows} {caplog.text}"
    first = requests(web)[0]
    assert first.headers["authorization"] == f"Bearer {SECRET}"
    assert first.headers["content-type"] == "application/json"
    assert first.headers["host"] == web.host


@pytest.mark.parametrize("endpoint", ["localhost:4317", "http://localhost:4317"])
async def test_an_endpoint_of_grpc_is_one_line_in_the_log_of_the_run(dagbook: Dagbook, endpoint: str) -> None:
    spec = f"otel: {{enabled: true, endpoint: '{endpoint}'}}\n" + STEPS
    ended = await dagbook.run(spec)
    log = (await dagbook.client.get(f"{ended.path}/log")).json()["content"]
    lines = [line for line in log.splitlines() if "OTLP" in line]
    assert len(lines) == 1
    assert "sends OTLP over HTTP; write http://localhost:4318/v1/traces" in lines[0]
    assert (await dagbook.client.get(f"{ended.path}/alerts")).json()["receipts"] == []
    saved = await dagbook.client.post("/dags", json={"name": f"{dagbook.name}-saved", "spec": spec})
    assert saved.is_success, saved.text
    checked = await dagbook.client.post("/dags/validate", json={"spec": spec})
    assert re.search("write http://localhost:4318/v1/traces", checked.text)


async def test_an_endpoint_in_a_variable_is_read_when_the_trace_is_sent(dagbook: Dagbook, web: Web) -> None:
    spec = f"env: [OTEL: '{web.url}']\n" + "otel: {enabled: true, endpoint: '$OTEL/v1/traces'}\n" + STEPS
    run_id = await run_id_of(dagbook, spec)
    assert (await receipt(dagbook, run_id))["channel"] == "$OTEL"
    refused = spec.replace("$OTEL/v1/traces", "$OTEL")
    found = await receipt(dagbook, await run_id_of(dagbook, refused), "failed")
    assert "sends OTLP over HTTP; write http://127.0.0.1:" in found["attempts"][0]["text"]


async def test_a_base_configuration_traces_all_runs(database_url: str, tmp_path: Path, web: Web) -> None:
    base = tmp_path / "base.yaml"
    base.write_text(otel(web, ", headers: {x-team: ops}, resource: {team: ops}"))
    async with serving(database_url, tmp_path, base_config=str(base)) as server, client_of(server) as client:
        dagbook = Dagbook(client, "based")
        await dagbook.run("otel: {headers: {x-own: '1'}, resource: {own: mine}}\n" + STEPS)
        spans = await received(web)
    assert spans[0].resource == {"service.name": "dagu", "team": "ops", "own": "mine"}
    headers = requests(web)[0].headers
    assert (headers["x-team"], headers["x-own"]) == ("ops", "1")


async def test_what_waits_for_a_receiver_is_no_message_that_is_late(
    database_url: str, tmp_path: Path, web: Web
) -> None:
    web.answers[PATH] = plain(503)
    async with serving(database_url, tmp_path) as server, client_of(server) as client:
        dagbook = Dagbook(client, "late")
        await failed_try(dagbook, await run_id_of(dagbook, otel(web) + STEPS))
        assert "dagbook_alert_oldest_due_seconds 0.0" in (await client.get("/metrics")).text

"""Calls of other DAGs where rights are by grants: when a definition is saved, and when its step calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from dagbook.auth.roles import Role
from dagbook.engine.admission import Admission
from dagbook.runs.model import StartOptions
from dagbook.scheduling.due import MINUTE, floor_minute
from tests.app.dagbook import Dagbook, FinishedRun, client_of, serving
from tests.app.people import People, Person, code_of, serving_people
from tests.waiting import wait_until

STEPS = "steps: [{name: only, command: echo secret}]\n"
# Each calls X.
CALLS = {
    "a step": "steps: [{name: go, call: X}]",
    "with a suffix": "steps: [{name: go, call: X.yaml}]",
    "parallel": "steps: [{name: go, call: X, parallel: [1, 2]}]",
    "the old spelling": "steps: [{name: go, run: X}]",
    "a type": "steps: [{name: go, type: dag, call: X}]",
    "a handler": "steps: [{name: one, command: 'true'}]\nhandlerOn: {exit: {call: X}}",
    "another document": "steps: [{name: go, call: inner}]\n---\nname: inner\nsteps: [{name: deep, call: X}]",
}
COMPUTED = {
    "a param": "params: TARGET=none\nsteps: [{name: go, call: '${TARGET}'}]",
    "an output": "params: TARGET=none\nsteps:\n  - {name: one, command: 'echo ${TARGET}', output: OUT}\n"
    "  - {name: go, call: $OUT}",
    "backticks": "params: TARGET=none\nsteps: [{name: go, call: '`echo ${TARGET}`'}]",
    "parallel": "params: TARGET=none\nsteps: [{name: go, call: '${TARGET}', parallel: [1, 2]}]",
}


class Scene(msgspec.Struct, frozen=True):
    """A DAG ``pay`` of an admin, and a user who manages the DAGs ``etl-*``; all names begin with a key."""

    people: People
    admin: httpx.AsyncClient
    user: httpx.AsyncClient
    person: Person
    key: str

    def name(self, of: str) -> str:
        return f"{self.key}-{of}"

    async def store(self, client: httpx.AsyncClient, dag: str, spec: str) -> httpx.Response:
        return await client.post("/dags", json={"name": self.name(dag), "spec": spec})

    async def stored(self, dag: str, spec: str) -> None:
        """Store a DAG as the admin."""
        answer = await self.store(self.admin, dag, spec.replace("X", self.name("pay")))
        assert answer.status_code == 201, answer.text

    async def grant(self, role: str, pattern: str) -> None:
        body = {"role": role, "pattern": self.name(pattern), "userId": self.person.id}
        assert (await self.admin.post("/grants", json=body)).status_code == 201

    async def run(self, client: httpx.AsyncClient, dag: str, **body: Any) -> FinishedRun:
        answer = await client.post(f"/dags/{self.name(dag)}/start", json=body)
        assert answer.status_code == 200, answer.text
        return await Dagbook(client, self.name(dag)).finished(answer.json()["dagRunId"])

    async def retry(self, client: httpx.AsyncClient, ended: FinishedRun) -> FinishedRun:
        run_id = ended.details["dagRunId"]
        answer = await client.post(f"{ended.path}/retry", json={"dagRunId": run_id})
        assert answer.status_code == 200, answer.text
        return await Dagbook(client, ended.details["name"]).finished(run_id)

    async def tick(self, number: int) -> None:
        """Let the scheduler handle a minute, counted from one in an hour."""
        minute = floor_minute(datetime.now(UTC) + timedelta(hours=1)) + number * MINUTE
        await self.people.server.scheduler.tick(minute)

    async def scheduled(self, dag: str, number: int) -> FinishedRun:
        """Start a DAG by its schedule in a minute, and return the run."""
        before = {run["dagRunId"] for run in await self._runs(dag)}
        await self.tick(number)
        return await self.next_run(dag, before)

    async def next_run(self, dag: str, before: set[str]) -> FinishedRun:
        """Wait for a run that is none of these, and for its end."""

        async def look() -> str | None:
            new = [run["dagRunId"] for run in await self._runs(dag) if run["dagRunId"] not in before]
            return new[0] if new else None

        return await Dagbook(self.admin, self.name(dag)).finished(await wait_until(look))

    async def _runs(self, dag: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.admin.get(f"/dag-runs/{self.name(dag)}")).json()["dagRuns"]
        return found


@pytest.fixture
async def scene(people: People, name: str) -> AsyncIterator[Scene]:
    async for made in _make(people, name):
        yield made


async def _make(people: People, name: str) -> AsyncIterator[Scene]:
    boss, person = await people.add(Role.ADMIN), await people.add(Role.MANAGER)
    async with people.client(boss.token) as admin, people.client(person.token) as user:
        scene = Scene(people, admin, user, person, name)
        await scene.stored("pay", STEPS)
        answer = await admin.patch(f"/users/{person.id}", json={"scope": "granted"})
        assert answer.status_code == 200, answer.text
        await scene.grant("manager", "etl-*")
        yield scene


def _error(ended: FinishedRun, step: str = "go") -> str:
    assert ended.status == "failed", ended.details
    return str(ended.nodes[step]["error"])


# -- when it is saved --------------------------------------------------------------------------------------------------


@pytest.mark.both_engines
@pytest.mark.parametrize("call", CALLS)
async def test_a_call_without_a_grant_is_refused_like_one_of_a_dag_that_does_not_exist(scene: Scene, call: str) -> None:
    pay, missing = scene.name("pay"), scene.name("nil")
    answers = [await scene.store(scene.user, "etl-a", CALLS[call].replace("X", each)) for each in (pay, missing)]
    assert [code_of(answer) for answer in answers] == [(400, "bad_request")] * 2
    assert answers[0].text.replace(pay, missing) == answers[1].text
    assert f"there is no DAG '{missing}' to call" in answers[1].text or call == "with a suffix"
    await scene.grant("viewer", "pay")
    assert (await scene.store(scene.user, "etl-a", CALLS[call].replace("X", pay))).status_code == 400
    await scene.grant("operator", "pa?")
    assert (await scene.store(scene.user, "etl-a", CALLS[call].replace("X", pay))).status_code == 201


async def test_the_next_revision_and_a_restored_one_are_refused_as_well(scene: Scene) -> None:
    await scene.stored("etl-a", CALLS["a step"])
    assert (await scene.store(scene.user, "etl-b", STEPS)).status_code == 201
    spec = CALLS["a step"].replace("X", scene.name("pay"))
    answer = await scene.user.put(f"/dags/{scene.name('etl-b')}/spec", json={"spec": spec})
    assert f"steps[0].call: there is no DAG '{scene.name('pay')}' to call" in answer.json()["errors"][0]
    assert (await scene.user.put(f"/dags/{scene.name('etl-a')}/spec", json={"spec": STEPS})).status_code == 200
    answer = await scene.user.post(f"/dags/{scene.name('etl-a')}/revisions/1/restore", json={})
    assert "to call" in answer.json()["errors"][0]
    assert (await scene.admin.post(f"/dags/{scene.name('etl-a')}/revisions/1/restore", json={})).json()["errors"] == []


async def test_own_documents_the_dag_itself_and_granted_dags_can_be_called(scene: Scene) -> None:
    assert (await scene.store(scene.user, "etl-b", STEPS)).status_code == 201
    own = scene.name("etl-a")
    text = f"steps: [{{call: inner}}, {{call: {own}}}, {{call: {scene.name('etl-b')}}}]\n---\nname: inner\n{STEPS}"
    assert (await scene.store(scene.user, "etl-a", text)).status_code == 201


# -- at the call -------------------------------------------------------------------------------------------------------


@pytest.mark.both_engines
@pytest.mark.parametrize("call", ["a step", "parallel", "another document"])
async def test_a_call_needs_the_grant_of_who_starts_the_run(scene: Scene, call: str) -> None:
    await scene.stored("etl-a", CALLS[call])
    await scene.stored("etl-b", CALLS[call].replace("X", scene.name("nil")))
    refused, missing = await scene.run(scene.user, "etl-a"), await scene.run(scene.user, "etl-b")
    says = [_error(ended).partition("there is no DAG")[2] for ended in (refused, missing)]
    assert says[0].replace(scene.name("pay"), scene.name("nil")) == says[1] != ""
    if call != "another document":
        assert "subRuns" not in refused.nodes["go"]
    assert (await scene.run(scene.admin, "etl-a")).status == "succeeded"
    await scene.grant("operator", "pay")
    assert (await scene.run(scene.user, "etl-a")).status == "succeeded"


@pytest.mark.parametrize("call", COMPUTED)
async def test_a_computed_name_is_saved_and_checked_at_the_call(scene: Scene, call: str) -> None:
    answer = await scene.store(scene.user, "etl-a", COMPUTED[call])
    assert answer.status_code == 201, answer.text
    target = {"params": f"TARGET={scene.name('pay')}"}
    assert f"there is no DAG '{scene.name('pay')}' to call" in _error(await scene.run(scene.user, "etl-a", **target))
    assert (await scene.run(scene.admin, "etl-a", **target)).status == "succeeded"


async def test_the_rights_are_those_of_the_person_at_the_root(scene: Scene) -> None:
    await scene.stored("etl-a", f"steps: [{{name: go, call: {scene.name('etl-mid')}}}]")
    await scene.stored("etl-mid", CALLS["a step"])
    await scene.grant("operator", "etl-mid")
    refused = await scene.run(scene.user, "etl-a")
    (sub_run,) = refused.nodes["go"]["subRuns"]
    path = f"{refused.path}/sub-dag-runs/{sub_run['dagRunId']}"
    inner = (await scene.user.get(path)).json()["dagRunDetails"]
    assert "to call" in inner["nodes"][0]["error"]
    assert (await scene.run(scene.admin, "etl-a")).status == "succeeded"


async def test_who_retries_needs_the_rights(scene: Scene, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    await scene.stored("late", f"steps: [{{name: only, command: test -e {flag}}}]")
    await scene.stored("etl-a", f"steps: [{{name: go, call: {scene.name('late')}}}]")
    failed = await scene.run(scene.admin, "etl-a")
    assert "the called run" in _error(failed)
    flag.touch()
    assert f"there is no DAG '{scene.name('late')}' to call" in _error(await scene.retry(scene.user, failed))
    assert (await scene.retry(scene.admin, failed)).status == "succeeded"


async def test_a_retry_reaches_no_run_of_a_dag_that_the_name_does_not_name_any_more(
    scene: Scene, tmp_path: Path
) -> None:
    flag, target = tmp_path / "flag", tmp_path / "target"
    await scene.stored("late", f"steps: [{{name: only, command: test -e {flag}}}]")
    await scene.stored("etl-b", STEPS)
    target.write_text(scene.name("late"))
    await scene.stored("etl-a", f"steps: [{{name: go, call: '`cat {target}`'}}]")
    failed = await scene.run(scene.admin, "etl-a")
    flag.touch()
    target.write_text(scene.name("etl-b"))
    assert "could not be retried: there is no DAG" in _error(await scene.retry(scene.user, failed))


async def test_a_reschedule_counts_as_a_start_of_who_asks_for_it(scene: Scene) -> None:
    await scene.stored("etl-a", CALLS["a step"])
    done = await scene.run(scene.admin, "etl-a")
    answer = await scene.user.post(f"{done.path}/reschedule", json={})
    assert answer.status_code == 200, answer.text
    again = await Dagbook(scene.user, scene.name("etl-a")).finished(answer.json()["dagRunId"])
    assert "to call" in _error(again)


async def test_a_token_that_is_limited_to_dags_starts_no_others_by_a_call(scene: Scene) -> None:
    await scene.stored("etl-a", CALLS["a step"])
    limited = {"name": "ci", "dags": [scene.name("etl-*")]}
    token = (await scene.admin.post("/tokens", json=limited)).json()["token"]
    wider = {"name": "wide", "dags": [scene.name("etl-*"), scene.name("pa?")]}
    other = (await scene.admin.post("/tokens", json=wider)).json()["token"]
    async with scene.people.client(token) as client, scene.people.client(other) as both:
        assert "to call" in _error(await scene.run(client, "etl-a"))
        assert (await scene.run(both, "etl-a")).status == "succeeded"


# -- without a person --------------------------------------------------------------------------------------------------


EVERY_MINUTE = "schedule: '* * * * *'\n"


@asynccontextmanager
async def clocked(url: str, home: Path, name: str) -> AsyncIterator[Scene]:
    """Make the scene on a server of its own, whose scheduler the test moves."""
    async with serving_people(url, home) as people:
        async for made in _make(people, name):
            yield made


@pytest.mark.both_engines
async def test_a_scheduled_run_has_the_rights_of_the_author_of_its_revision(
    database_url: str, tmp_path: Path, name: str
) -> None:
    async with clocked(database_url, tmp_path, name) as scene:
        text = EVERY_MINUTE + COMPUTED["a param"].replace("TARGET=none", f"TARGET={scene.name('pay')}")
        assert (await scene.store(scene.user, "etl-a", text)).status_code == 201
        assert f"there is no DAG '{scene.name('pay')}' to call" in _error(await scene.scheduled("etl-a", 0))
        await scene.grant("operator", "pay")
        assert (await scene.scheduled("etl-a", 1)).status == "succeeded"
        assert (await scene.admin.delete(f"/users/{scene.person.id}")).status_code == 204
        assert "to call" in _error(await scene.scheduled("etl-a", 2))
        path = f"/dags/{scene.name('etl-a')}/spec"
        assert (await scene.admin.put(path, json={"spec": f"{text}\n"})).status_code == 200
        assert (await scene.scheduled("etl-a", 3)).status == "succeeded"


async def test_a_missed_start_has_the_rights_of_the_author_as_well(
    database_url: str, tmp_path: Path, name: str
) -> None:
    async with clocked(database_url, tmp_path, name) as scene:
        text = COMPUTED["a param"].replace("TARGET=none", f"TARGET={scene.name('pay')}")
        assert (await scene.store(scene.user, "etl-a", text)).status_code == 201
        service = scene.people.server.services.runs.run_service
        dag = await service.get_dag(scene.name("etl-a"))
        await service.enqueue_stored(dag, StartOptions(trigger="schedule", admission=Admission.UNLIMITED))
        assert "to call" in _error(await scene.next_run("etl-a", set()))


async def test_a_definition_from_a_source_calls_what_it_names(database_url: str, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "dags"
    folder.mkdir()
    async with clocked(database_url, tmp_path / "home", name) as scene:
        spec = EVERY_MINUTE + CALLS["a step"].replace("X", scene.name("pay"))
        assert (await scene.store(scene.user, "etl-a", EVERY_MINUTE + STEPS)).status_code == 201
        (folder / f"{scene.name('etl-a')}.yaml").write_text(spec)
        body = {"name": "files", "kind": "directory", "place": str(folder), "adopt": True}
        assert (await scene.admin.post("/sources", json=body)).status_code == 201
        answer = await scene.admin.post("/sources/files/sync")
        assert answer.is_success, answer.text
        assert (await scene.scheduled("etl-a", 0)).status == "succeeded"


async def test_a_file_of_a_source_is_called_with_the_rights_for_its_dag(
    database_url: str, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "dags"
    (folder / "sub").mkdir(parents=True)
    async with clocked(database_url, tmp_path / "home", name) as scene:
        (folder / f"{scene.name('etl-a')}.yaml").write_text(COMPUTED["a param"])
        (folder / f"{scene.name('file')}.yaml").write_text(STEPS)
        (folder / "sub" / "file.yaml").write_text(STEPS)
        body = {"name": "files", "kind": "directory", "place": str(folder)}
        assert (await scene.admin.post("/sources", json=body)).status_code == 201
        assert (await scene.admin.post("/sources/files/sync")).is_success
        for target in (scene.name("file"), f"./{scene.name('file')}.yaml", "sub/file"):
            params = {"params": f"TARGET={target}"}
            assert f"there is no DAG '{target}' to call" in _error(await scene.run(scene.user, "etl-a", **params))
            assert (await scene.run(scene.admin, "etl-a", **params)).status == "succeeded"


async def test_a_restart_on_schedule_has_the_rights_of_who_started_the_run(
    database_url: str, tmp_path: Path, name: str
) -> None:
    flag = tmp_path / "flag"
    wait = f"{{name: wait, command: 'while [ ! -e {flag} ]; do sleep 0.05; done'}}"
    steps = f"params: TARGET=none\nsteps: [{wait}, {{name: go, call: '${{TARGET}}'}}]"
    async with clocked(database_url, tmp_path / "home", name) as scene:
        await scene.stored("etl-a", f"schedule: {{restart: '* * * * *'}}\nrestartWaitSec: 0\n{steps}")
        body = {"params": f"TARGET={scene.name('pay')}"}
        first = (await scene.user.post(f"/dags/{scene.name('etl-a')}/start", json=body)).json()["dagRunId"]
        await Dagbook(scene.admin, scene.name("etl-a")).running(first, "wait")
        await scene.tick(0)
        await Dagbook(scene.admin, scene.name("etl-a")).finished(first)
        flag.touch()
        await scene.people.server.scheduler.finish_restarts()
        assert "to call" in _error(await scene.next_run("etl-a", {first}))


async def test_without_users_the_author_does_not_matter(database_url: str, tmp_path: Path, name: str) -> None:
    async with clocked(database_url, tmp_path, name) as scene:
        text = EVERY_MINUTE + COMPUTED["a param"].replace("TARGET=none", f"TARGET={scene.name('pay')}")
        assert (await scene.store(scene.user, "etl-a", text)).status_code == 201
    async with serving(database_url, tmp_path) as server, client_of(server) as client:
        await server.scheduler.tick(floor_minute(datetime.now(UTC) + timedelta(hours=1)))

        async def look() -> str | None:
            runs = (await client.get(f"/dag-runs/{scene.name('etl-a')}")).json()["dagRuns"]
            return runs[0]["dagRunId"] if runs else None

        run_id = await wait_until(look)
        assert (await Dagbook(client, scene.name("etl-a")).finished(run_id)).status == "succeeded"

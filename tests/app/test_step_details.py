"""One step of a run in detail: how it was carried out, variables, outputs, tries, approval; the last good run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from dagbook.auth.roles import Role
from dagbook.db.database import ReadConnection
from dagbook.engine.status import NodeStatus
from dagbook.main import Server
from dagbook.runs.runner.ran import MOST_CHARACTERS
from tests.app.dagbook import Dagbook, FinishedRun
from tests.app.people import People
from tests.app.test_secrets import MASK, VALUE, retried, spec_of
from tests.waiting import wait_until

SHELL = ["/bin/sh", "-e", "-c"]


async def _step(ended: FinishedRun, step: str, client: httpx.AsyncClient | None = None) -> dict[str, Any]:
    answer = await (client or ended.client).get(f"{ended.path}/steps/{step}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _named(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in pairs}


# -- how it was carried out ------------------------------------------------------------------------------------------


@pytest.mark.always
@pytest.mark.both_engines
async def test_a_command_is_shown_as_it_ran(dagbook: Dagbook, server: Server, tmp_path: Path) -> None:
    spec = f"""
params: [{{WHO: Ann}}]
env: [{{GREETING: Good day}}]
steps:
  - {{name: line, command: 'echo "${{GREETING}} ${{WHO}}" | cat', workingDir: {tmp_path}/made}}
  - {{name: lines, command: [echo one, 'echo "${{WHO}}"']}}
  - {{name: direct, command: echo $WHO, shell: direct}}
  - {{name: script, script: 'echo $WHO'}}
  - {{name: python, command: python3, script: 'print("${{WHO}}")'}}
"""
    ended = await dagbook.run(spec)
    assert ended.status == "succeeded", ended.details
    identity = server.services.runs.run_service._context.identity
    line = (await _step(ended, "line"))["execution"]
    assert line == {
        "type": "command",
        "commands": [[*SHELL, 'echo "${GREETING} Ann" | cat']],  # the shell reads the variable
        "directory": f"{tmp_path}/made",
        "host": identity.host,
        "service": identity.id,
    }
    assert (await _step(ended, "lines"))["execution"]["commands"] == [[*SHELL, "echo one"], [*SHELL, 'echo "Ann"']]
    assert (await _step(ended, "direct"))["execution"]["commands"] == [["echo", "Ann"]]
    script, python = [(await _step(ended, name))["execution"] for name in ("script", "python")]
    assert (script["commands"], script["script"]) == ([["/bin/sh", "-e"]], "echo Ann")
    assert (python["commands"], python["script"]) == ([["python3"]], 'print("Ann")')


async def test_a_step_that_has_not_run_has_no_execution(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps: [{name: a, command: 'false'}, {name: b, command: 'true'}]\n")
    found = await _step(ended, "b")
    assert (found["name"], found["tries"], found["outputs"], "execution" in found) == ("b", [], [], False)
    for unknown in ("c", "%00", "a%2Fb"):
        assert (await ended.client.get(f"{ended.path}/steps/{unknown}")).status_code == 404


async def test_a_long_script_is_cut_and_the_details_of_the_run_do_not_read_it(dagbook: Dagbook, server: Server) -> None:
    script = "\n".join(f"# ${{WHO}} {number}" for number in range(4_000))
    lines = "\n".join(f"      {line}" for line in script.splitlines())
    ended = await dagbook.run(f"params: WHO=Ann\nsteps:\n  - name: a\n    script: |\n{lines}\n")
    found = (await _step(ended, "a"))["execution"]
    assert found["truncated"]
    assert found["script"].startswith("# Ann 0\n# Ann 1\n")
    assert len(found["script"]) <= MOST_CHARACTERS

    def longest(connection: ReadConnection) -> int:
        statement = text("SELECT length(ran) FROM nodes JOIN runs ON runs.id = nodes.run_id WHERE dag_name = :name")
        return int(connection.execute(statement, {"name": dagbook.name}).scalar_one())

    assert MOST_CHARACTERS < await server.services.runs.database.read(longest) < MOST_CHARACTERS * 1.2


async def test_a_script_without_references_is_not_stored_again(dagbook: Dagbook, server: Server) -> None:
    await dagbook.run(f"steps: [{{name: a, script: 'echo as-written-{dagbook.name}'}}]\n")

    def stored(connection: ReadConnection) -> str:
        statement = text("SELECT ran FROM nodes JOIN runs ON runs.id = nodes.run_id WHERE dag_name = :name")
        return str(connection.execute(statement, {"name": dagbook.name}).scalar_one())

    assert "as-written" not in await server.services.runs.database.read(stored)


async def test_what_a_retry_keeps_names_the_attempt_that_ran_it(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"steps: [{{name: a, command: echo kept}}, {{name: b, command: test -e {tmp_path}/mark}}]\n"
    before = await dagbook.run(spec, dagRunId="r1")
    was = await _step(before, "a")
    after = await retried(dagbook, "r1")
    assert await _step(after, "a") == was
    assert (was["attempt"], (await _step(after, "b"))["attempt"]) == (1, 2)


async def test_a_redacted_definition_takes_what_its_runs_have_stored_with_it(dagbook: Dagbook) -> None:
    client, path = dagbook.client, f"/dags/{dagbook.name}"
    spec = "params: WHO=Ann\nsteps: [{name: a, script: 'echo ${WHO} hunter2'}]\n"
    assert (await client.post("/dags", json={"name": dagbook.name, "spec": spec})).is_success
    started = await client.post(f"{path}/start", json={})
    ended = await dagbook.finished(started.json()["dagRunId"])
    assert (await _step(ended, "a"))["execution"]["script"] == "echo Ann hunter2"
    assert (await client.put(f"{path}/spec", json={"spec": "steps: [{name: a, command: 'true'}]\n"})).is_success
    assert (await client.post(f"{path}/revisions/1/redact")).is_success
    found = await _step(ended, "a")
    assert "execution" not in found
    assert "hunter2" not in str(found)


# -- variables -------------------------------------------------------------------------------------------------------

VARIABLES = """
params: [{DAY: monday}, {MODE: param}]
env: [{BASE: /srv}, {MODE: env}, {FROM_SERVER: "${HOME}"}]
dotenv: .env
secrets: [{name: TOKEN, provider: file, key: token}]
steps:
  - {name: count, command: echo 3, output: ROWS}
  - name: use
    depends: count
    env: [{TARGET: "${BASE}/${DAY}/${ROWS}"}, {LEAK: "${TOKEN}"}]
    command: 'true'
"""


async def _with_variables(dagbook: Dagbook, folder: Path) -> FinishedRun:
    (folder / "token").write_text(VALUE)
    (folder / ".env").write_text("FROM_DOTENV=hidden-in-a-file\n")
    ended = await dagbook.run(f"workingDir: {folder}\n{VARIABLES}")
    assert ended.status == "succeeded", ended.details
    return ended


async def test_values_are_params_and_variables_of_the_run_and_the_others_have_names(
    dagbook: Dagbook, tmp_path: Path
) -> None:
    ended = await _with_variables(dagbook, tmp_path)
    found = (await _step(ended, "use"))["environment"]
    assert _named(found["values"]) == {
        "DAG_NAME": dagbook.name,
        "DAG_RUN_ID": ended.details["dagRunId"],
        "DAG_RUN_STEP_NAME": "use",
        "PWD": str(tmp_path),
        "DAY": "monday",
        "MODE": "param",
    }
    assert found["names"] == sorted(
        [
            *("BASE", "FROM_DOTENV", "FROM_SERVER", "LEAK", "ROWS", "TARGET", "TOKEN"),
            *("DAGU_PARAMS_JSON", "DAG_RUN_LOG_FILE", "DAG_RUN_STEP_STDERR_FILE", "DAG_RUN_STEP_STDOUT_FILE"),
            "DAG_SUMMARY",
        ]
    )
    # Without users everybody manages; params are stronger than env, and values of dotenv files and secrets stay hidden.
    managed = _named(found["managed"])
    assert managed == {"BASE": "/srv", "FROM_SERVER": managed["FROM_SERVER"], "TARGET": "/srv/monday/3", "LEAK": MASK}
    assert "hidden-in-a-file" not in str(found)


async def test_what_is_inherited_from_the_server_is_not_shown(
    dagbook: Dagbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "inherited-terminal")
    found = await _step(await dagbook.run("steps: [{name: a, command: 'true'}]\n"), "a")
    assert "inherited-terminal" not in str(found)
    assert not {"PATH", "HOME", "TERM"} & set(found["environment"]["names"])


@pytest.fixture
async def world(people: People, name: str) -> AsyncIterator[tuple[People, Dagbook, str]]:
    """A server with users, and a DAG with a run on it."""
    admin = await people.add(Role.ADMIN)
    async with people.client(admin.token) as client:
        spec = "env: [{BASE: of-the-dag}]\nsteps: [{name: a, command: 'true', env: [{OWN: of-the-step}]}]\n"
        assert (await client.post("/dags", json={"name": name, "spec": spec})).is_success
        dagbook = Dagbook(client, name)
        started = await client.post(f"/dags/{name}/start", json={})
        ended = await dagbook.finished(started.json()["dagRunId"])
        yield people, dagbook, f"{ended.path}/steps/a"


@pytest.mark.parametrize("role", list(Role))
async def test_the_values_of_env_are_for_managers(world: tuple[People, Dagbook, str], role: Role) -> None:
    people, _, path = world
    async with people.client((await people.add(role)).token) as client:
        found = (await client.get(path)).json()["environment"]
    assert {"BASE", "OWN"} <= set(found["names"])
    is_manager = role in (Role.MANAGER, Role.ADMIN)
    assert ("managed" in found, "of-the-" in str(found)) == (is_manager, is_manager)


@pytest.mark.parametrize("role", ["viewer", "operator", "manager"])
async def test_the_values_of_env_are_for_who_manages_the_dag_by_a_grant(
    world: tuple[People, Dagbook, str], role: str
) -> None:
    people, dagbook, path = world
    person = await people.add(Role.VIEWER)
    scope = await dagbook.client.patch(f"/users/{person.id}", json={"scope": "granted"})
    assert scope.is_success, scope.text
    grant = {"role": role, "pattern": dagbook.name, "userId": person.id}
    assert (await dagbook.client.post("/grants", json=grant)).is_success
    async with people.client(person.token) as client:
        found = (await client.get(path)).json()["environment"]
    assert ("managed" in found) == (role == "manager")


async def test_a_token_of_a_manager_for_reading_shows_no_values_of_env(world: tuple[People, Dagbook, str]) -> None:
    people, dagbook, path = world
    made = await dagbook.client.post("/tokens", json={"name": "reads", "scopes": ["read"]})
    assert made.is_success, made.text
    async with people.client(made.json()["token"]) as client:
        found = (await client.get(path)).json()["environment"]
    assert "managed" not in found


@pytest.mark.both_engines
async def test_no_secret_is_in_the_details_nor_a_part_of_one_where_they_are_cut(
    dagbook: Dagbook, tmp_path: Path
) -> None:
    file = tmp_path / "secret.txt"
    file.write_text(VALUE)
    pad = "x" * (MOST_CHARACTERS - 40)
    steps = f"""
  - name: a
    env: [{{HEADER: "Bearer ${{SEC}}"}}]
    command: echo "${{SEC}}"
  - name: b
    script: |
      # {pad} ${{SEC}} ${{SEC}}
"""
    ended = await dagbook.run(spec_of(file, steps))
    told = str([await _step(ended, "a"), await _step(ended, "b")])
    assert VALUE[:6] not in told
    assert MASK in told


# -- tries -----------------------------------------------------------------------------------------------------------


async def test_each_try_has_its_times_exit_code_and_error(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
steps:
  - name: a
    command: |
      echo x >> {tmp_path}/n; n=$(wc -l < {tmp_path}/n); test $n = 3 || {{ echo "try $n" >&2; exit $((n + 3)); }}
    retryPolicy: {{limit: 3, intervalSec: 1}}
"""
    ended = await dagbook.run(spec)
    tries = (await _step(ended, "a"))["tries"]
    assert [(each["number"], each["exitCode"]) for each in tries] == [(1, 4), (2, 5), (3, 0)]
    assert [each.get("error", "").splitlines()[-1:] for each in tries] == [["try 1"], ["try 2"], []]
    assert [each["status"] for each in tries] == [NodeStatus.FAILED, NodeStatus.FAILED, NodeStatus.SUCCEEDED]
    edges = [each[name] for each in tries for name in ("startedAtMillis", "finishedAtMillis")]
    assert edges == sorted(edges)
    assert tries[0]["startedAt"].endswith("Z")


async def test_a_running_step_has_a_try_without_an_end(dagbook: Dagbook) -> None:
    run_id = await dagbook.start("steps: [{name: a, command: echo up; sleep 60}]\n")
    await dagbook.running(run_id, "a", "up")
    running = FinishedRun(await dagbook.get(run_id), dagbook.client)
    (only,) = (await _step(running, "a"))["tries"]
    assert (only["number"], {"finishedAt", "exitCode", "status"} & only.keys()) == (1, set())
    ended = await dagbook.stop(run_id)
    (only,) = (await _step(ended, "a"))["tries"]
    assert (only["status"], only["exitCode"], only["error"]) == (NodeStatus.ABORTED, -1, "signal: SIGTERM")


async def test_of_many_tries_the_newest_are_shown(dagbook: Dagbook) -> None:
    spec = "steps: [{name: a, command: 'true', repeatPolicy: {repeat: while, exitCode: [0], limit: 120}}]\n"
    found = await _step(await dagbook.run(spec), "a")
    assert (len(found["tries"]), found["triesLeftOut"]) == (100, 20)
    assert (found["tries"][-1]["number"], {each["status"] for each in found["tries"]}) == (120, {NodeStatus.SUCCEEDED})


# -- outputs and approvals -------------------------------------------------------------------------------------------


async def test_outputs_are_shown(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps: [{name: a, command: echo 3, output: ROWS}]\n")
    assert (await _step(ended, "a"))["outputs"] == [{"name": "ROWS", "value": "3"}]


async def test_an_approval_says_who_decided_when_and_with_what(dagbook: Dagbook) -> None:
    spec = """
steps:
  - name: gate
    type: hitl
    config: {prompt: "Go on?", input: [TICKET], required: [TICKET]}
  - {name: next, depends: gate, command: 'echo $TICKET'}
"""
    run_id = await dagbook.start(spec)
    path = f"/dag-runs/{dagbook.name}/{run_id}/steps/gate"

    async def waits() -> bool:
        return "approval" in (await dagbook.client.get(path)).json()

    await wait_until(waits)
    asked = (await dagbook.client.get(path)).json()["approval"]
    assert (asked["prompt"], "approved" in asked) == ("Go on?", False)
    assert (await dagbook.client.post(f"{path}/approve", json={"inputs": {"TICKET": "OPS-1"}})).is_success
    ended = await dagbook.finished(run_id)
    decided = (await _step(ended, "gate"))["approval"]
    assert (decided["approved"], decided["inputs"], decided["by"]) == (True, {"TICKET": "OPS-1"}, "anonymous")
    assert decided["at"] >= decided["askedAt"]
    assert "TICKET" in (await _step(ended, "next"))["environment"]["names"]


# -- the last good run -----------------------------------------------------------------------------------------------


@pytest.mark.both_engines
async def test_the_last_good_run_is_the_newest_one_before_that_succeeded(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"params: DAY=monday\nsteps: [{{name: a, command: test -e {tmp_path}/mark}}]\n"
    alone = await dagbook.run(spec, dagRunId="r0")
    assert (await alone.client.get(f"{alone.path}/last-good")).json() == {}
    (tmp_path / "mark").touch()
    for number in (1, 2):
        assert (await dagbook.run(spec, dagRunId=f"r{number}")).status == "succeeded"
    (tmp_path / "mark").unlink()
    for run_id, params in (("r3", {}), ("r4", {"params": "DAY=sunday"})):
        failed = await dagbook.run(spec, dagRunId=run_id, **params)
        good = (await failed.client.get(f"{failed.path}/last-good")).json()["run"]
        assert (good["dagRunId"], good["statusLabel"], good["sameParams"]) == ("r2", "succeeded", not params)
        assert good["durationSeconds"] >= 0
    assert (await alone.client.get(f"{alone.path}/last-good")).json() == {}

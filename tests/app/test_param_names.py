"""Params with names that a loader, shell or interpreter reads are refused, whatever way they come in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from dagbook.db.models.run import Run, RunInput
from dagbook.main import Server
from tests.app.dagbook import Dagbook, client_of, serving
from tests.app.program import CommandResult
from tests.conftest import Copies
from tests.pure.spec.reserved_names import RESERVED, USUAL

FEW = ("BASH_ENV", "PATH", "PERL5OPT", "http_proxy", "BASH_FUNC_echo%%", "LD_PRELOAD")
FORMS: dict[str, Callable[[str, str], str]] = {
    "JSON": lambda name, value: json.dumps({name: value}),
    "a JSON list": lambda name, value: json.dumps([{name: value}]),
    "words": lambda name, value: f'{name}="{value}"',
}
HELLO = "shell: bash\nparams: A=a\nsteps: [{command: echo hello}]\n"
DIRECT = ("start", "enqueue", "start of a text", "enqueueing of a text")


async def _send(dagbook: Dagbook, way: str, params: str) -> httpx.Response:
    stored, text = f"/dags/{dagbook.name}", {"spec": HELLO, "name": dagbook.name}
    match way:
        case "start":
            return await dagbook.client.post(f"{stored}/start", json={"params": params})
        case "enqueue":
            return await dagbook.client.post(f"{stored}/enqueue", json={"params": params})
        case "start of a text":
            return await dagbook.client.post("/dag-runs", json={**text, "params": params})
    return await dagbook.client.post("/dag-runs/enqueue", json={**text, "params": params})


async def _refuses(dagbook: Dagbook, tmp_path: Path, reserved: tuple[str, ...]) -> None:
    answer = await dagbook.client.post("/dags", json={"name": dagbook.name, "spec": HELLO})
    assert answer.status_code == 201, answer.text
    hit = tmp_path / "hit"
    for name in reserved:
        for form, write in FORMS.items():
            for way in DIRECT:
                answer = await _send(dagbook, way, write(name, f"$(touch {hit})"))
                assert (answer.status_code, name in answer.text) == (400, True), (way, form, name, answer.text)
    runs = await dagbook.client.get("/dag-runs", params={"name": dagbook.name})
    assert runs.json()["dagRuns"] == []
    assert not hit.exists()


async def test_a_start_with_a_reserved_name_is_refused(dagbook: Dagbook, tmp_path: Path) -> None:
    await _refuses(dagbook, tmp_path, FEW)


@pytest.mark.full
async def test_a_start_with_any_reserved_name_is_refused(dagbook: Dagbook, tmp_path: Path) -> None:
    await _refuses(dagbook, tmp_path, RESERVED)


def _callers(name: str, hit: Path) -> dict[str, dict[str, Any]]:
    """Return steps that call a DAG with a param of the name, which is data except in the first ones."""
    value = f"$(touch {hit})"
    depends: dict[str, Any] = {"depends": ["read"]}
    return {
        "map": {"params": {name: value}},
        "text": {"params": f'{name}="{value}"'},
        "name": {"params": '${NAME}="x"', **depends},
        "map item": {"parallel": [{name: value}]},
        "text item": {"parallel": [f'{name}="{value}"']},
        "items": {"parallel": "${ITEMS}", **depends},
        "lone": {"parallel": ["${LINE}"], **depends},
    }


async def _fails_calls(dagbook: Dagbook, tmp_path: Path, name: str) -> None:
    hit = tmp_path / "hit"
    (tmp_path / "items").write_text(json.dumps([{"A": "1"}, {"A": "2", name: f"$(touch {hit})"}]))
    (tmp_path / "line").write_text(f'{name}="$(touch {hit})"')
    (tmp_path / "name").write_text(name)
    readers: list[dict[str, Any]] = [
        {"name": each, "command": f"cat {each}", "output": each.upper()} for each in ("items", "line", "name")
    ]
    readers.append({"name": "read", "command": "true", "depends": ["items", "line", "name"]})
    calls = _callers(name, hit)
    dag = {
        "type": "graph",
        "workingDir": str(tmp_path),
        "steps": [*readers, *({"name": f"call {each}", "call": "below", **call} for each, call in calls.items())],
    }
    below = 'name: below\nshell: bash\nparams: A=a\nsteps: [{command: "echo ${A} >> ran"}]\n'
    ended = await dagbook.run(f"{json.dumps(dag)}\n---\n{below}")
    for each in calls:
        node = ended.nodes[f"call {each}"]
        error = node["error"]
        assert (node["statusLabel"], name in error) == ("failed", True), (each, error)
    assert (tmp_path / "ran").read_text() == "1\n"  # of the item that has no such name
    assert not hit.exists()


async def test_a_call_or_an_item_with_a_reserved_name_fails(dagbook: Dagbook, tmp_path: Path) -> None:
    await _fails_calls(dagbook, tmp_path, "BASH_ENV")


@pytest.mark.full
@pytest.mark.parametrize("reserved", sorted(set(RESERVED) - {"BASH_ENV"}))
async def test_a_call_or_an_item_with_any_reserved_name_fails(dagbook: Dagbook, tmp_path: Path, reserved: str) -> None:
    await _fails_calls(dagbook, tmp_path, reserved)


async def test_a_call_may_give_any_name_literally_for_its_definition_says_so(dagbook: Dagbook) -> None:
    spec = """
steps:
  - {name: call, call: kid, params: {CDPATH: /opt, A: a}}
---
name: kid
steps:
  - {command: 'printenv CDPATH', output: SEEN}
"""
    ended = await dagbook.run(spec)
    assert json.loads(await ended.log("call"))["outputs"] == {"SEEN": "/opt"}, ended.nodes["call"]
    assert "failed" in (await dagbook.run(spec.replace("/opt", "$(echo /opt)"))).statuses


async def test_usual_names_are_refused_on_no_way_in(dagbook: Dagbook, tmp_path: Path) -> None:
    values = dict.fromkeys(USUAL, "v")
    lines = "".join(f"{name}=v\n" for name in USUAL)
    (tmp_path / ".env").write_text(lines)
    (tmp_path / "items").write_text(json.dumps([values]))
    show = "[{name: show, command: printenv ENV AWS_REGION}]"
    for words in (json.dumps(values), lines.replace("\n", " ")):
        assert await (await dagbook.run(f"steps: {show}", params=words)).log("show") == "v\nv"
    dag = {
        "env": [{name: "v"} for name in USUAL],
        "steps": [
            {"name": "items", "command": f"cat {tmp_path}/items", "output": "ITEMS"},
            {"name": "literal", "call": "kid", "params": values},
            {"name": "evaluated", "call": "kid", "params": dict.fromkeys(USUAL, "${ENV}")},
            {"name": "item", "call": "kid", "parallel": [values]},
            {"name": "of an output", "call": "kid", "parallel": "${ITEMS}"},
        ],
    }
    kid = f"name: kid\nworkingDir: {tmp_path}\ndotenv: .env\nsteps: {show}\n"
    assert (await dagbook.run(f"{json.dumps(dag)}\n---\n{kid}")).status == "succeeded"
    stored = await dagbook.client.post("/dags", json={"name": dagbook.name, "spec": f"steps: {show}"})
    assert stored.status_code == 201, stored.text
    for number, some in enumerate((USUAL[:50], USUAL[50:])):
        name, params = f"{dagbook.name}-{number}", dict.fromkeys(some, "json:/v")
        trigger = {"name": name, "dag": dagbook.name, "scheme": "github", "params": params}
        added = await dagbook.client.post("/triggers", json=trigger)
        assert added.status_code == 201, added.text
        tried = await dagbook.client.post(f"/triggers/{name}/test", json={"body": '{"v": "v"}'})
        assert tried.json()["plan"]["params"] == dict.fromkeys(some, "v"), tried.text


@pytest.mark.parametrize("again", ["retry", "reschedule"])
async def test_a_run_of_before_that_has_a_reserved_name_says_how_to_go_on(
    dagbook: Dagbook, server: Server, tmp_path: Path, again: str
) -> None:
    hit = tmp_path / "hit"
    first = await dagbook.run("shell: bash\nsteps: [{command: exit 1}]", params="B=b")
    given = [["BASH_ENV", f"$(touch {hit})"]]

    def as_before(connection: Any) -> None:
        key = connection.scalar(select(Run.id).where(Run.run_id == first.details["dagRunId"]))
        connection.execute(update(RunInput).where(RunInput.run_id == key).values(params=given))
        connection.execute(update(Run).where(Run.id == key).values(params=given))

    await server.services.runs.database.write(as_before)
    body = {"dagRunId": first.details["dagRunId"]} if again == "retry" else {}
    answer = await dagbook.client.post(f"{first.path}/{again}", json=body)
    assert answer.status_code == 400, answer.text
    message = answer.json()["message"]
    assert "BASH_ENV" in message
    assert "start the DAG again" in message
    assert not hit.exists()


async def test_names_that_the_definition_declares_are_variables(dagbook: Dagbook, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"properties": {"PYTHONPATH": {"type": "string"}}}')
    for params in ("PYTHONPATH=none", f"{{schema: {tmp_path}/s.json}}"):
        spec = f"params: {params}\nsteps: [{{name: s, command: printenv PYTHONPATH}}]"
        ended = await dagbook.run(spec, params="PYTHONPATH=/opt/lib")
        assert await ended.log("s") == "/opt/lib", params
    spec = f"params: {{schema: {tmp_path}/s.json}}\nsteps: [{{command: echo hello}}]"
    answer = await dagbook.client.post(
        "/dag-runs", json={"spec": spec, "name": dagbook.name, "params": '{"LD_PRELOAD": "x"}'}
    )
    assert (answer.status_code, "LD_PRELOAD" in answer.text) == (400, True)


async def test_a_pending_evaluation_does_not_delay_the_refusal(dagbook: Dagbook) -> None:
    spec = "env: [A: '`echo a`']\nsteps: [{command: echo hello}]"
    answer = await dagbook.client.post("/dag-runs", json={"spec": spec, "name": dagbook.name, "params": "LD_PRELOAD=x"})
    assert (answer.status_code, "LD_PRELOAD" in answer.text) == (400, True)


async def test_positional_params_are_in_texts_and_not_in_arguments_or_variables(dagbook: Dagbook) -> None:
    spec = """
steps:
  - {name: text, command: 'echo "${1}" $2'}
  - {name: variable, command: printenv 1 || echo none}
  - name: arguments
    command: tr '\\0' '\\n' < /proc/$PPID/cmdline | grep -c ^1= || true
"""
    ended = await dagbook.run(spec, params="POSITIONAL two")
    assert [await ended.log(step) for step in ended.nodes] == ["POSITIONAL two", "none", "0"]


@pytest.mark.parametrize("setting", ["text", "refuse"])
async def test_the_setting_decides_about_other_names(copies: Copies, tmp_path: Path, setting: str) -> None:
    async for url in copies.copy():
        async with serving(url, tmp_path, undeclared_params=setting) as server, client_of(server) as client:
            await _check_setting(Dagbook(client, "flow"), setting)


async def _check_setting(dagbook: Dagbook, setting: str) -> None:
    spec = """
params: A=a
steps:
  - {name: text, command: 'echo "${A}" "${B}"'}
  - {name: variables, command: printenv A B || true}
  - {name: call, call: kid, params: {C: c}, continueOn: {failure: true}}
---
name: kid
env: [OF_CALLER: "${A}${B}"]
steps:
  - command: printenv C || echo "${C}" is text
    output: SEEN
  - command: echo "${OF_CALLER}"
    output: INHERITED
"""
    if setting == "refuse":
        answer = await dagbook.client.post("/dag-runs", json={"spec": spec, "name": "flow", "params": "A=1 B=b"})
        assert (answer.status_code, '\\"B\\"' in answer.text) == (400, True)
        ended = await dagbook.run(spec, params="A=1")
        assert '"C"' in ended.nodes["call"]["error"]
    else:
        ended = await dagbook.run(spec, params="A=1 B=b")
        assert await ended.log("text") == "1 b"
        assert await ended.log("variables") == "1"
        assert json.loads(await ended.log("call"))["outputs"] == {"SEEN": "c is text", "INHERITED": "1"}


def test_usual_names_may_be_given_to_a_command(command: Callable[..., CommandResult], tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text("steps: [{command: printenv ENV}]")
    assert command("run", file, "--", *(f"{name}=v" for name in USUAL)).status == 0


@pytest.mark.parametrize("way", ["run FILE", "run NAME", "enqueue", "dry"])
@pytest.mark.parametrize("given", [["--", "BASH_ENV=x"], ["-p", '{"BASH_ENV": "x"}']], ids=["words", "option"])
def test_a_command_with_a_reserved_name_is_refused(
    command: Callable[..., CommandResult], tmp_path: Path, way: str, given: list[str]
) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(HELLO)
    assert command("dag", "save", file).status == 0
    what: str | Path = file if way in ("run FILE", "dry") else "flow"
    said = command(way.split(maxsplit=1)[0], what, *given)
    assert (said.status != 0, "BASH_ENV" in said.err, "Traceback" in said.err) == (True, True, False), said

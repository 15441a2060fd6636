"""Secrets reach the steps of a run and nobody else (runtime 29, DAG format 2.16 and 5.4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from dagbook.db.database import ReadConnection
from dagbook.db.models.run import RunInput
from dagbook.db.types import Base
from dagbook.main import Server
from tests.app.dagbook import Dagbook, FinishedRun, client_of, serving
from tests.mailserver import HOST, mail_server

VALUE = "s3cr3t/battery+staple horse"
MASK = "*******"
ENCODED = {
    "raw": 'printf "%s" "$SEC"',
    "base64": 'printf "user:%s!" "$SEC" | base64 -w0',
    "url-safe": 'printf "%s" "$SEC" | base64 -w0 | tr +/ -_',
    "percent": """python3 -c 'import os, urllib.parse; print(urllib.parse.quote(os.environ["SEC"], safe=""))'""",
    "json": """python3 -c 'import json, os; print(json.dumps([os.environ["SEC"]]))'""",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A secret in a file, with the end of line that most files have."""
    path = tmp_path / "secret.txt"
    path.write_text(f"{VALUE}\n")
    return path


def spec_of(file: Path, steps: str, head: str = "") -> str:
    return f"""
secrets:
  - {{name: FILE_SEC, provider: file, key: '{file}'}}
  - {{name: SEC, provider: env, key: SOURCE}}
env:
  - SOURCE: "`cat '{file}'`"
{head}
steps:
{steps}
"""


def stored_text(connection: ReadConnection) -> str:
    """Give all that is in the database, sealed values as they lie there."""
    rows = (tuple(row) for table in Base.metadata.sorted_tables for row in connection.execute(table.select()))
    return "\n".join(map(repr, rows))


async def is_stored(server: Server, text: str) -> bool:
    return text in await server.services.runs.database.read(stored_text)


async def everything(ended: FinishedRun) -> str:
    """Give all that the API tells of a run."""
    told = [str(ended.details), (await ended.client.get(f"{ended.path}/log")).text]
    for name in ended.nodes:
        for stream in ("stdout", "stderr"):
            answer = await ended.client.get(f"{ended.path}/steps/{name}/log", params={"stream": stream})
            told.append(answer.text)
    return "\n".join(told)


async def retried(dagbook: Dagbook, run_id: str, **body: Any) -> FinishedRun:
    answer = await dagbook.client.post(f"/dag-runs/{dagbook.name}/{run_id}/retry", json={"dagRunId": run_id, **body})
    assert answer.status_code == 200, answer.text
    return await dagbook.finished(run_id)


# -- what steps get ------------------------------------------------------------------------------------------------


async def test_a_step_gets_the_values_as_they_are(dagbook: Dagbook, file: Path) -> None:
    check = f"""
  - name: a
    command: |
      test "$SEC" = "$(cat {file})" && test "${{#FILE_SEC}}" = {len(VALUE) + 1} && echo both
"""
    assert await (await dagbook.run(spec_of(file, check))).log("a") == "both"


@pytest.mark.parametrize(
    ("extra", "seen"),
    [
        ("", "from-secret"),
        ("env: [{S: from-env}]", "from-secret"),
        ("params: S=from-param", "from-param"),
    ],
)
async def test_a_secret_comes_before_env_and_after_params(
    dagbook: Dagbook, tmp_path: Path, extra: str, seen: str
) -> None:
    (tmp_path / "s").write_text("from-secret")
    (tmp_path / ".env").write_text("S=from-dotenv\n")
    spec = f"""
workingDir: {tmp_path}
{extra}
secrets: [{{name: S, provider: file, key: s}}]
steps:
  - {{name: a, command: 'test "$S" = {seen} && echo right'}}
"""
    assert await (await dagbook.run(spec)).log("a") == "right"


@pytest.mark.parametrize(
    ("env", "seen"), [("", "from-output"), ("env: [{S: from-step}]", "from-step")], ids=["output", "step env"]
)
async def test_outputs_and_step_env_come_before_a_secret(dagbook: Dagbook, tmp_path: Path, env: str, seen: str) -> None:
    (tmp_path / "s").write_text("from-secret")
    spec = f"""
secrets: [{{name: S, provider: file, key: {tmp_path}/s}}]
steps:
  - {{name: a, command: echo from-output, output: S}}
  - name: b
    depends: a
    command: test "$S" = {seen} && echo right
    {env}
"""
    assert await (await dagbook.run(spec)).log("b") == "right"


async def test_a_relative_file_is_looked_for_in_the_directory_of_the_run_then_beside_the_definition(
    dagbook: Dagbook, tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "one").write_text("in-the-directory")
    for name in ("one", "two"):
        (tmp_path / name).write_text("beside-the-file")
    spec = f"""
workingDir: {tmp_path}/work
secrets: [{{name: A, provider: file, key: one}}, {{name: B, provider: file, key: two}}]
steps:
  - {{name: a, command: 'echo "$A $B" | tr - _'}}
"""
    ended = await dagbook.run(spec, sourceDirectory=str(tmp_path))
    assert await ended.log("a") == "in_the_directory beside_the_file"


async def test_a_secret_that_no_variable_can_be_named_after_is_in_texts_but_in_nobody_s_arguments(
    dagbook: Dagbook, file: Path
) -> None:
    spec = f"""
secrets: [{{name: my.secret, provider: file, key: {file}}}]
steps:
  - name: a
    command: |
      cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c "$(head -c 6 {file})[/]battery" || true
      test "$(echo "$GIVEN")" = "$(cat {file})" && echo given
    env: [{{GIVEN: "${{my.secret}}"}}]
"""
    assert await (await dagbook.run(spec)).log("a") == "0\ngiven"


async def test_conditions_that_are_commands_do_not_see_secrets(dagbook: Dagbook, file: Path) -> None:
    steps = "  - {name: a, command: echo ran, preconditions: ['test -z \"$FILE_SEC\"']}\n"
    assert await (await dagbook.run(spec_of(file, steps))).log("a") == "ran"


async def test_a_secret_reaches_the_settings_of_a_mail_server(dagbook: Dagbook, file: Path) -> None:
    async with mail_server() as sink:
        head = f"smtp: {{host: {HOST}, port: {sink.port}}}"
        steps = """
  - name: a
    executor: {type: mail, config: {from: a@example.test, to: b@example.test, subject: "${SEC}", message: x}}
"""
        await dagbook.run(spec_of(file, steps, head))
        (mail,) = await sink.received()
    assert mail.subject == VALUE


# -- what everybody else gets --------------------------------------------------------------------------------------


@pytest.mark.always
@pytest.mark.parametrize("form", ENCODED)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_what_a_step_prints_is_masked(dagbook: Dagbook, file: Path, form: str, stream: str) -> None:
    to = " >&2" if stream == "stderr" else ""
    steps = f"  - name: a\n    command: |\n      {{ {ENCODED[form]}; }}{to}\n"
    shown = await (await dagbook.run(spec_of(file, steps))).log("a", stream)
    assert MASK in shown
    assert len(shown) < len(MASK) + 15
    assert VALUE not in shown


async def test_a_secret_that_is_written_in_two_pieces_is_masked(dagbook: Dagbook, file: Path, tmp_path: Path) -> None:
    """The second half comes after the first was seen to have been read: the line before it is in the log."""
    steps = f"""
  - name: a
    command: |
      printf 'begin\\nhalf '
      printf '%s' "$SEC" | head -c 10
      while [ ! -e {tmp_path}/go ]; do sleep 0.01; done
      printf '%s' "$SEC" | tail -c +11
"""
    run_id = await dagbook.start(spec_of(file, steps))
    await dagbook.running(run_id, "a", "begin")
    (tmp_path / "go").touch()
    ended = await dagbook.finished(run_id)
    assert await ended.log("a") == f"begin\nhalf {MASK}"


async def test_a_secret_of_several_lines_is_masked(dagbook: Dagbook, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("-----BEGIN-----\nabcdef\nghijkl\n-----END-----\n")
    spec = f"""
secrets: [{{name: KEY, provider: file, key: {tmp_path}/key}}]
steps:
  - {{name: a, command: 'echo before; echo "$KEY"; echo $KEY; echo after'}}
"""
    assert await (await dagbook.run(spec)).log("a") == f"before\n{MASK}\n\n{MASK}\nafter"


async def test_a_redirected_stream_is_masked(dagbook: Dagbook, file: Path, tmp_path: Path) -> None:
    steps = f'  - {{name: a, command: \'printf "it is %s" "$SEC"\', stdout: {tmp_path}/copy}}\n'
    await dagbook.run(spec_of(file, steps))
    assert (tmp_path / "copy").read_text() == f"it is {MASK}"


async def test_the_error_of_a_step_is_masked_and_its_stderr_is_not_cut_into_a_secret(
    dagbook: Dagbook, file: Path
) -> None:
    steps = "  - {name: a, command: 'for n in $(seq 200); do echo \"$n $SEC\" >&2; done; exit 3'}\n"
    error = (await dagbook.run(spec_of(file, steps))).nodes["a"]["error"]
    assert error.startswith("exit status 3")
    assert f"200 {MASK}" in error
    assert not any(word in error for word in ("s3cr3t", "battery", "staple", "horse"))


async def test_an_output_is_handed_on_whole_and_stored_sealed(dagbook: Dagbook, server: Server, file: Path) -> None:
    steps = """
  - {name: a, command: 'echo "token=$FILE_SEC"', output: OUT}
  - name: b
    depends: a
    command: test "${OUT}" = "token=$SEC" && echo whole
"""
    ended = await dagbook.run(spec_of(file, steps))
    assert await ended.log("b") == "whole"
    assert VALUE not in await everything(ended)
    assert not await is_stored(server, VALUE)
    assert await is_stored(server, f"token={MASK}")


async def test_params_and_env_that_hold_a_secret_are_masked_where_they_are_stored(
    dagbook: Dagbook, server: Server, file: Path, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(f"D={VALUE}\n")
    spec = f"""
workingDir: {tmp_path}
env: [{{E: "`cat {file}`"}}]
params: P=1
secrets: [{{name: SEC, provider: file, key: {file}}}]
steps:
  - {{name: a, command: 'printf "%s\\n" "$P" "$E" "$D" >{tmp_path}/seen'}}
"""
    ended = await dagbook.run(spec, params=f'P="{VALUE}"')
    assert (tmp_path / "seen").read_text().splitlines() == [VALUE, VALUE, VALUE]
    assert ended.details["params"] == f"P={MASK}"
    assert not await is_stored(server, VALUE)


async def test_evaluated_commands_are_masked(dagbook: Dagbook, server: Server, file: Path) -> None:
    steps = "  - {name: a, shell: direct, command: 'echo ${SEC}'}\n"
    ended = await dagbook.run(spec_of(file, steps))
    assert MASK in ended.nodes["a"]["step"]["args"]
    assert not await is_stored(server, VALUE)


async def test_the_value_of_a_condition_is_masked_even_where_its_message_is_cut(
    dagbook: Dagbook, server: Server, file: Path
) -> None:
    steps = "  - {name: a, command: echo, preconditions: [{condition: '%s${FILE_SEC}', expected: x}]}\n" % ("y" * 1020)
    ended = await dagbook.run(spec_of(file, steps))
    (condition,) = ended.nodes["a"]["step"]["preconditions"]
    assert "yyy****" in condition["error"]
    assert not await is_stored(server, VALUE[:4])


async def test_a_step_that_reads_the_log_of_its_run_finds_no_secret(dagbook: Dagbook, file: Path) -> None:
    steps = """
  - {name: a, command: 'echo "$SEC" >&2; exit 1', continueOn: failed}
  - {name: b, depends: a, command: 'tr a-z A-Z <"$DAG_RUN_LOG_FILE"'}
"""
    log = await (await dagbook.run(spec_of(file, steps))).log("b")
    assert MASK in log
    assert VALUE.upper() not in log


async def test_a_mail_about_a_run_is_masked(dagbook: Dagbook, file: Path) -> None:
    async with mail_server() as sink:
        head = f"""
smtp: {{host: {HOST}, port: {sink.port}}}
errorMail: {{from: a@example.test, to: b@example.test, attachLogs: true}}
mailOn: {{failure: true}}
"""
        await dagbook.run(spec_of(file, '  - {name: a, command: \'echo "$SEC"; echo "$SEC" >&2; exit 1\'}\n', head))
        (mail,) = await sink.received()
    assert MASK in mail.html
    assert VALUE not in mail.html
    assert [MASK.encode() in data and VALUE.encode() not in data for data in mail.attachments.values()] == [True]


# -- runs that cannot begin ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret", "told"),
    [
        ("{name: S, provider: env, key: SURELY_NOT_SET}", "secret S: the environment variable 'SURELY_NOT_SET'"),
        ("{name: S, provider: file, key: absent.txt}", "secret S: there is no file 'absent.txt'"),
        ("{name: S, provider: telepathy, key: x}", "secret S: there is no provider 'telepathy'"),
    ],
)
async def test_a_secret_without_a_value_fails_the_run_at_once(
    dagbook: Dagbook, tmp_path: Path, secret: str, told: str
) -> None:
    spec = f"""
workingDir: {tmp_path}
secrets: [{secret}]
preconditions: ['touch {tmp_path}/condition']
handlerOn:
  init: {{command: touch {tmp_path}/init}}
  failure: {{command: touch {tmp_path}/failure}}
  exit: {{command: touch {tmp_path}/exit}}
steps:
  - {{name: a, command: touch {tmp_path}/step}}
"""
    ended = await dagbook.run(spec)
    assert (ended.status, ended.statuses) == ("failed", ["not_started"])
    assert told in (await ended.client.get(f"{ended.path}/log")).json()["content"]
    assert list(tmp_path.iterdir()) == []


async def test_all_secrets_without_a_value_are_named_and_no_mail_is_sent(dagbook: Dagbook) -> None:
    async with mail_server() as sink:
        spec = f"""
smtp: {{host: {HOST}, port: {sink.port}}}
errorMail: {{from: a@example.test, to: b@example.test}}
mailOn: {{failure: true}}
secrets: [{{name: ONE, provider: env, key: NO_ONE}}, {{name: TWO, provider: env, key: NO_TWO}}]
steps: [{{name: a, command: echo}}]
"""
        ended = await dagbook.run(spec)
        log = (await ended.client.get(f"{ended.path}/log")).json()["content"]
        assert "NO_ONE" in log
        assert "NO_TWO" in log
        assert sink.mails == []


# -- retries -------------------------------------------------------------------------------------------------------

RETRIED = """
secrets: [{{name: SEC, provider: file, key: {0}/secret.txt}}]
steps:
  - {{name: a, command: 'echo "$SEC"', output: OUT}}
  - {{name: b, depends: a, command: 'echo "$SEC and $OUT"; echo "$OUT" >{0}/seen; test -e {0}/go'}}
"""


async def test_a_retry_hands_on_what_kept_steps_gave(dagbook: Dagbook, server: Server, file: Path) -> None:
    ended = await dagbook.run(RETRIED.format(file.parent))
    assert ended.statuses == ["succeeded", "failed"]
    (file.parent / "go").touch()
    again = await retried(dagbook, ended.details["dagRunId"])
    assert (again.status, await again.log("b")) == ("succeeded", f"{MASK}\n and {MASK}")
    assert (file.parent / "seen").read_text() == f"{VALUE}\n"
    assert not await is_stored(server, VALUE)


async def test_a_retry_reads_the_secret_again_and_still_hides_the_old_one(
    dagbook: Dagbook, server: Server, file: Path
) -> None:
    ended = await dagbook.run(RETRIED.format(file.parent))
    file.write_text("rotated-value")
    (file.parent / "go").touch()
    again = await retried(dagbook, ended.details["dagRunId"])
    assert await again.log("b") == f"{MASK} and {MASK}"
    assert not await is_stored(server, VALUE)
    assert not await is_stored(server, "rotated-value")


async def test_a_retry_without_its_secret_fails_at_once_and_keeps_what_was_done(dagbook: Dagbook, file: Path) -> None:
    ended = await dagbook.run(RETRIED.format(file.parent))
    file.unlink()
    again = await retried(dagbook, ended.details["dagRunId"])
    assert (again.status, again.statuses) == ("failed", ["succeeded", "not_started"])


async def test_a_run_that_lacked_its_secret_runs_when_it_is_tried_again(
    dagbook: Dagbook, file: Path, tmp_path: Path
) -> None:
    file.unlink()
    ended = await dagbook.run(RETRIED.format(file.parent))
    assert ended.statuses == ["not_started", "not_started"]
    file.write_text(VALUE)
    (tmp_path / "go").touch()
    again = await retried(dagbook, ended.details["dagRunId"])
    assert (again.status, await again.log("b")) == ("succeeded", f"{MASK} and {MASK}")


async def test_a_reschedule_hands_on_masked_params_whole(dagbook: Dagbook, file: Path) -> None:
    spec = f"""
params: P=1
secrets: [{{name: SEC, provider: file, key: {file}}}]
steps: [{{name: a, command: 'test "$P" = "$(cat {file})" && echo whole'}}]
"""
    ended = await dagbook.run(spec, params=f'P="{VALUE}"')
    answer = await dagbook.client.post(f"{ended.path}/reschedule", json={})
    again = await dagbook.finished(answer.json()["dagRunId"])
    assert (await again.log("a"), again.details["params"]) == ("whole", f"P={MASK}")


# -- calls ---------------------------------------------------------------------------------------------------------


async def sub_log(ended: FinishedRun, child: str, step: str) -> str:
    answer = await ended.client.get(f"{ended.path}/sub-dag-runs/{child}/steps/{step}/log")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["content"])


def child_of(ended: FinishedRun, step: str) -> str:
    (child,) = ended.nodes[step]["subRuns"]
    return str(child["dagRunId"])


async def test_a_called_run_can_use_the_secrets_of_its_caller_and_hides_them(
    dagbook: Dagbook, server: Server, file: Path
) -> None:
    spec = f"""
secrets: [{{name: SEC, provider: file, key: {file}}}]
steps:
  - {{name: go, call: kid, params: 'P="${{SEC}}"', output: R}}
  - name: use
    depends: go
    command: test "${{R.outputs.OUT}}" = "$(cat {file})" && echo whole
---
name: kid
secrets: [{{name: MINE, provider: env, key: SEC}}]
env: [{{E: "${{SEC}}"}}]
params: P=0
steps:
  - {{name: think, command: 'echo "$MINE|$E|$P"'}}
  - {{name: tell, command: 'printf "%s" "$MINE"', output: OUT}}
"""
    ended = await dagbook.run(spec)
    assert (ended.status, await ended.log("use")) == ("succeeded", "whole")
    shown = await sub_log(ended, child_of(ended, "go"), "think")
    assert shown.replace("\n", "") == f"{MASK}|{MASK}|{MASK}"
    assert VALUE not in await everything(ended)
    assert not await is_stored(server, VALUE)


async def test_a_secret_that_only_the_called_run_knows_is_hidden_by_its_caller_too(
    dagbook: Dagbook, server: Server, file: Path
) -> None:
    spec = f"""
steps:
  - {{name: go, call: kid, output: R}}
  - {{name: use, depends: go, command: 'echo "${{R.outputs.OUT}}"; test "${{R.outputs.OUT}}" = "$(cat {file})"; false'}}
---
name: kid
steps:
  - {{name: deeper, call: grandkid, output: G}}
  - {{name: tell, depends: deeper, command: 'echo "${{G.outputs.OUT}}"', output: OUT}}
---
name: grandkid
secrets: [{{name: MINE, provider: file, key: {file}}}]
steps:
  - {{name: tell, command: 'echo "$MINE"', output: OUT}}
"""
    ended = await dagbook.run(spec)
    assert await ended.log("use") == MASK
    assert VALUE not in await everything(ended)
    assert not await is_stored(server, VALUE)
    again = await retried(dagbook, ended.details["dagRunId"], stepName="use")
    assert await again.log("use") == MASK
    assert not await is_stored(server, VALUE)


# -- dotenv and the server's own variables --------------------------------------------------------------------------


async def test_values_of_dotenv_files_are_stored_sealed(dagbook: Dagbook, server: Server, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DOTTED=of-the-dotenv-file\n")
    spec = f"""
workingDir: {tmp_path}
dotenv: .env
steps:
  - {{name: own, command: 'test "$DOTTED" = "$(cut -d= -f2 .env)" && echo whole'}}
  - {{name: go, depends: own, call: kid, output: R}}
---
name: kid
env: [{{E: "${{DOTTED}}"}}]
steps:
  - {{name: tell, command: 'test "$E" = "$(cut -d= -f2 {tmp_path}/.env)"'}}
"""
    ended = await dagbook.run(spec)
    assert (ended.status, await ended.log("own")) == ("succeeded", "whole")
    rows = [(row.dotenv, row.base_environment) for row in await _inputs(server)]
    assert ([["DOTTED", MASK]], None) in rows
    assert MASK in [base["DOTTED"] for _, base in rows if base and "DOTTED" in base]
    again = await retried(dagbook, ended.details["dagRunId"], stepName="own")
    assert await again.log("own") == "whole"


async def _inputs(server: Server) -> Sequence[Any]:
    return await server.services.runs.database.read(lambda connection: connection.execute(select(RunInput)).all())


async def test_a_credential_of_the_server_s_environment_is_masked(
    database_url: str, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", VALUE)
    spec = """
env: [{T: "${DEPLOY_TOKEN}"}]
steps:
  - {name: a, command: 'echo "is $T"', output: OUT}
  - {name: b, depends: a, command: 'test "$OUT" = "is $T" && echo same'}
"""
    async with serving(database_url, tmp_path) as server, client_of(server) as client:
        ended = await Dagbook(client, name).run(spec)
        assert [await ended.log(step) for step in ("a", "b")] == [f"is {MASK}", "same"]
        assert VALUE not in await everything(ended)
        assert not await is_stored(server, VALUE)


# -- no secret, no change ------------------------------------------------------------------------------------------


async def test_a_run_without_secrets_is_not_masked(dagbook: Dagbook, client: httpx.AsyncClient) -> None:
    assert client is dagbook.client
    ended = await dagbook.run("params: P=1\nsteps: [{name: a, command: echo ******* $P}]\n".replace("*******", "'*'"))
    assert await ended.log("a") == "* 1"


# -- the audit of what is read -----------------------------------------------------------------------------------------


async def reads(client: httpx.AsyncClient, run: str) -> list[dict[str, Any]]:
    """Return the entries of what a run has read, oldest first."""
    found = (await client.get("/audit", params={"action": "secret.read", "object": run})).json()["entries"]
    return [entry["after"] for entry in reversed(found)]


async def test_every_attempt_that_reads_secrets_is_an_entry_without_values(dagbook: Dagbook, file: Path) -> None:
    ended = await dagbook.run(spec_of(file, "  - {name: a, command: 'false'}"), dagRunId="r1")
    client, run = ended.client, f"{dagbook.name}/r1"
    assert (await client.post(f"/dag-runs/{run}/retry", json={"dagRunId": "r1"})).status_code == 200
    secrets = [
        {"name": "FILE_SEC", "provider": "file", "key": str(file)},
        {"name": "SEC", "provider": "env", "key": "SOURCE"},
    ]
    assert await reads(client, run) == [
        {"attempt": 1, "secrets": secrets, "count": 2, "sealed": False},
        {"attempt": 2, "secrets": secrets, "count": 2, "sealed": True},
    ]


async def test_a_run_that_no_person_started_has_its_entry_too(dagbook: Dagbook, file: Path) -> None:
    called = f"---\nname: {dagbook.name}-low\n" + spec_of(file, "    - {name: a, command: 'true'}")
    ended = await dagbook.run(f"steps: [{{name: go, call: {dagbook.name}-low}}]\n{called}", dagRunId="r1")
    assert (ended.status, await reads(dagbook.client, f"{dagbook.name}/r1")) == ("succeeded", [])
    found = (await dagbook.client.get("/audit", params={"action": "secret.read", "limit": 1000})).json()["entries"]
    [entry] = [one for one in found if one["object"].startswith(f"{dagbook.name}-low/")]
    assert (entry["via"], "actor" in entry, entry["after"]["count"]) == ("none", False, 2)


async def test_taking_over_encrypted_values_is_an_entry(dagbook: Dagbook, file: Path) -> None:
    await dagbook.run(spec_of(file, "  - {name: a, command: 'true'}"), dagRunId="r1")
    answer = await dagbook.client.post(f"/dag-runs/{dagbook.name}/r1/reschedule", json={})
    [entry] = await reads(dagbook.client, f"{dagbook.name}/{answer.json()['dagRunId']}")
    assert (entry["attempt"], entry["sealed"]) == (1, True)


async def test_a_run_without_secrets_has_no_such_entry(dagbook: Dagbook) -> None:
    await dagbook.run("steps: [{name: a, command: 'true'}]", dagRunId="r1")
    assert await reads(dagbook.client, f"{dagbook.name}/r1") == []

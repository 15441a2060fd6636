"""``dagbook dry``: what a run would do, with nothing run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.app.program import CommandLine, CommandResult

Command = Callable[..., CommandResult]


class Dry:
    """The command, and the file that it is given."""

    def __init__(self, command: Command, folder: Path) -> None:
        self._command = command
        self.folder = folder
        folder.mkdir()

    def __call__(self, text: str, *arguments: str | Path) -> CommandResult:
        path = self.folder / "flow.yaml"
        path.write_text(text)
        return self._command("dry", path, *arguments)

    def shows(self, text: str, *arguments: str | Path) -> dict[str, str]:
        """Give what is told under each label, ``1.command`` for that of the first step."""
        said = self(text, *arguments)
        assert said.status == 0, said.err
        return read(said.out)


def read(shown: str) -> dict[str, str]:
    found: dict[str, str] = {}
    part = label = ""
    for line in shown.splitlines():
        if line and not line.startswith(" "):
            part, label = f"{line.split(maxsplit=1)[0].strip('.,')}.", ""
            found[f"{part}title"] = line
        elif line.startswith("   ") and label:
            found[label] += "\n" + line[17:]
        elif told := re.match(r"  (\S.{13}) (.*)", line):
            label = f"{part.removeprefix('flow.')}{told[1].strip()}"
            found[label] = f"{found[label]}\n{told[2]}" if label in found else told[2]
        elif line:
            found[f"{part}note"] = line.strip()
    return found


@pytest.fixture
def dry(command: Command, tmp_path: Path) -> Dry:
    return Dry(command, tmp_path / "flows")


# -- nothing is run --------------------------------------------------------------------------------------------------


def test_no_command_of_a_definition_is_run_wherever_it_stands(dry: Dry, tmp_path: Path) -> None:
    mark = f"touch {tmp_path}/ran"
    said = dry(f"""
params: ["P=`{mark}`"]
env: [E: "`{mark}`"]
dotenv: "`{mark}`"
smtp: {{host: "`{mark}`", port: 25, username: "`{mark}`"}}
errorMail: {{from: a@x, to: "`{mark}`"}}
mailOn: {{failure: true}}
preconditions: ["{mark}", {{condition: "`{mark}`", expected: x}}]
steps:
  - name: plain
    command: {mark}
    preconditions: ["{mark}", {{condition: "`{mark}`", expected: x}}]
    env: [S: "`{mark}`"]
    stdout: "`{mark}`"
    output: O
    retryPolicy: {{limit: "`{mark}`", intervalSec: 1}}
  - {{name: ticks, command: "echo `{mark}`", repeatPolicy: {{repeat: while, condition: "{mark}"}}}}
  - {{name: script, script: "#!/bin/sh\\n{mark}\\n"}}
  - {{name: shell, command: x, shell: "`{mark}`"}}
  - {{name: mail, executor: {{type: mail, config: {{from: a@x, to: b@x, message: "`{mark}`"}}}}}}
  - {{name: call, call: "`{mark}`", params: "A=`{mark}`"}}
  - {{name: many, call: child, parallel: "`{mark}`"}}
  - {{name: local, call: child, parallel: ["`{mark}`"]}}
handlerOn: {{init: {{command: {mark}}}, exit: {{command: "echo `{mark}`"}}}}
---
name: child
params: "C=`{mark}`"
steps: [{{command: {mark}}}]
""")
    assert said.status == 0, said.err
    assert "would fail" not in said.out
    assert not (tmp_path / "ran").exists()


def test_nothing_is_made_on_the_disk(dry: Dry, tmp_path: Path) -> None:
    (tmp_path / "dagbook.sqlite3").unlink()
    dry("workingDir: sub\nsteps: [{command: 'true', workingDir: deep, stdout: out.txt}]\n")
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == {"flows", "flows/flow.yaml"}


def test_commands_in_backticks_are_shown_and_said_not_to_have_been_run(dry: Dry) -> None:
    said = dry("""
params: ["DAY=`date +%F`"]
env: [DIR: "/data/`hostname`"]
steps:
  - {name: a, command: "echo ${DAY} `id`"}
  - {name: b, executor: {type: http, config: {body: "on ${DAY} in ${DIR}"}}, command: GET http://x.test}
""")
    shown = read(said.out)
    assert (shown["params"], shown["env"]) == ("DAY=`date +%F`", "DIR=/data/`hostname`")
    assert shown["1.command"] == "echo `date +%F` `id`"
    assert shown["2.config"] == "body: on `date +%F` in /data/`hostname`"
    assert "which was not run" in said.out
    assert said.out.endswith("Nothing was run.\n")


def test_without_backticks_nobody_hears_of_them(dry: Dry) -> None:
    assert "`" not in dry("steps: [{command: echo hi}]\n").out


# -- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "params", "line"),
    [
        ([], "A=1\nB=two", "echo 1 two"),
        (["--params", "A=5"], "A=5\nB=two", "echo 5 two"),
        (["-p", '{"B": "x y"}'], "A=1\nB=x y", "echo 1 x y"),
        (["--", "B=x y", "A=7"], "A=7\nB=x y", "echo 7 x y"),
    ],
)
def test_params_are_given_as_for_a_run(dry: Dry, arguments: list[str], params: str, line: str) -> None:
    shown = dry.shows("params: A=1 B=two\nsteps: [{command: 'echo ${A} ${B}'}]\n", *arguments)
    assert (shown["params"], shown["1.command"]) == (params, line)


def test_positional_params_are_given_behind_the_dashes(dry: Dry) -> None:
    shown = dry.shows("params: one\nsteps: [{command: 'echo $1 $2'}]\n", "--", "x", "y")
    assert shown["1.command"] == "echo x y"


def test_a_step_shows_its_command_shell_directory_and_files(dry: Dry) -> None:
    shown = dry.shows("""
shell: /bin/bash
env: [ROOT: /srv]
steps:
  - {name: a, command: echo hi, workingDir: "${ROOT}/sub", stdout: "${ROOT}/out", env: [X: "${ROOT}/x"]}
  - {name: b, command: echo "hi there", shell: direct}
  - {name: c, script: "#!/usr/bin/env python3\\nprint()\\n"}
""")
    assert (shown["1.command"], shown["1.shell"], shown["1.directory"]) == ("echo hi", "/bin/bash -e -c", "/srv/sub")
    assert (shown["1.stdout to"], shown["1.env"]) == ("/srv/out", "X=/srv/x")
    assert shown["2.command"] == 'echo "hi there"'
    assert (shown["3.command"], shown["3.script"]) == (
        "/usr/bin/env python3 <script>",
        "#!/usr/bin/env python3\nprint()",
    )


def test_a_file_is_dry_run_where_it_lies(dry: Dry) -> None:
    (dry.folder / ".env").write_text("FROM=dotenv\n")
    shown = dry.shows("steps: [{script: 'echo', stdout: '${FROM}.txt'}]\n")
    assert (shown["directory"].replace("\n  ", ""), shown["dotenv"]) == (str(dry.folder), "FROM=dotenv")
    assert shown["1.stdout to"].replace("\n  ", "") == f"{dry.folder}/dotenv.txt"


def test_outputs_of_steps_and_facts_of_the_run_stay_references(dry: Dry) -> None:
    said = dry("""
steps:
  - {name: a, id: first, command: echo 1, output: OUT}
  - {name: b, command: 'echo "${OUT}" ${OUT.a.b} $OUT ${first.stdout} ${DAG_RUN_STEP_STDOUT_FILE}'}
  - {name: c, command: GET http://x.test, executor: {type: http, config: {body: "${OUT} ${OUT.a} ${DAG_RUN_ID}"}}}
""")
    shown = read(said.out)
    assert shown["1.output"] == "stdout becomes ${OUT}"
    assert shown["2.command"].replace("\n  ", " ") == (
        'echo "${OUT}" ${OUT.a.b} ${OUT} ${first.stdout} ${DAG_RUN_STEP_STDOUT_FILE}'
    )
    assert shown["3.config"] == "body: ${OUT} ${OUT.a} ${DAG_RUN_ID}"
    assert "are known only while the run is running" in said.out


def test_an_executor_shows_its_config_and_place(dry: Dry) -> None:
    shown = dry.shows("""
params: WHO=ops
smtp: {host: "mail.${WHO}.test", port: 587, username: robot, password: hunter2}
steps:
  - executor: {type: mail, config: {from: a@x.test, to: ["${WHO}@x.test"], message: "one\\ntwo"}}
""")
    assert shown["1.executor"] == "mail"
    assert shown["1.config"] == "from: a@x.test\nto:\n- ops@x.test\nmessage: |-\n  one\n  two"
    assert shown["1.smtp"] == "mail.ops.test:587, as robot"


def test_containers_of_steps_and_of_the_dag_are_shown_without_their_variables(dry: Dry) -> None:
    said = dry("""
params: TAG=3
container: {image: "service:$TAG"}
steps:
  - {container: {image: "tool:$TAG", env: [PASSWORD: s3cret]}, env: [TOKEN: s3cret], command: echo $TAG}
  - {container: inner, command: echo in}
  - echo shared
""")
    shown = read(said.out)
    assert [shown[f"{part}container"] for part in ("", "1.", "2.", "3.")] == [
        "service:$TAG",
        "tool:3",
        "inner, which runs already",
        "service:3",
    ]
    assert "s3cret" not in said.out + said.err


def test_an_executor_that_is_not_there_would_fail(dry: Dry) -> None:
    shown = dry.shows("steps: [{executor: {type: gha}, command: actions/checkout@v4}]\n")
    assert "cannot run GitHub Actions" in shown["1.would fail"].replace("\n  ", " ")


def test_policies_are_told_with_their_pauses(dry: Dry) -> None:
    shown = dry.shows("""
env: [TIMES: 2]
steps:
  - {name: a, command: x, retryPolicy: {limit: 3, intervalSec: 5, backoff: 2, maxIntervalSec: 12, exitCode: [1, 2]}}
  - {name: b, command: x, retryPolicy: {limit: "${TIMES}", intervalSec: 7}}
  - {name: c, command: x, retryPolicy: {limit: "`nproc`", intervalSec: 7}}
  - {name: d, command: x, repeatPolicy: {repeat: until, condition: test -e x, intervalSec: 3, limit: 5}}
  - {name: e, command: x, continueOn: {failure: true, exitCode: [3], markSuccess: true}, timeoutSec: 9}
""")
    assert shown["1.retries"] == "up to 3 times on exit code 1 or 2, after 5 s, 10 s, 12 s"
    assert shown["2.retries"] == "up to 2 times, after 7 s each time"
    assert shown["3.retries"] == "from `nproc`, evaluated when it runs"
    assert shown["4.repeats"].replace("\n  ", " ") == "until test -e x succeeds, every 3 s, at most 5 executions"
    assert (shown["5.continues on"], shown["5.time limit"]) == ("failure, exit code 3; counts as success", "9 s")


# -- secrets ---------------------------------------------------------------------------------------------------------


def test_secrets_are_never_shown(dry: Dry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROD_KEY", "s3cret-a")
    monkeypatch.setenv("API_TOKEN", "s3cret-b")
    (dry.folder / ".env").write_text("MAIL_PASSWORD=s3cret-c\n")
    (dry.folder / "key").write_text("s3cret-d")
    said = dry(
        """
secrets: [{name: ONE, provider: env, key: PROD_KEY}, {name: TWO, provider: file, key: key}]
params: DB_PASSWORD=s3cret-e
env: [SECRET_WORD: s3cret-f, COPY: "x${API_TOKEN}y", URL: "http://${SECRET_WORD}@x.test"]
smtp: {host: x, port: 25, username: u, password: s3cret-g}
preconditions: [{condition: "${API_TOKEN}", expected: right}]
steps:
  - name: web
    command: "GET http://x.test/${ONE}/${TWO}/${DB_PASSWORD}/${COPY}/${MAIL_PASSWORD}/${URL}/${STEP_TOKEN}"
    env: [STEP_TOKEN: s3cret-h]
    executor: {type: http, config: {headers: {Authorization: s3cret-i, X: "${API_TOKEN}"}}}
  - {name: shell, command: 'echo ${DB_PASSWORD} ${STEP_TOKEN}', env: [STEP_TOKEN: s3cret-j]}
  - {name: mail, executor: {type: mail, config: {from: a@x, to: b@x, message: "${TWO}"}}}
""",
        "-p",
        "DB_PASSWORD=s3cret-k",
    )
    assert said.status == 0, said.err
    assert "s3cret" not in said.out + said.err
    shown = read(said.out)
    assert shown["secrets"] == "ONE from env PROD_KEY\nTWO from file key"
    assert shown["1.command"].replace("\n  ", "").count("*******") == 7
    assert shown["2.command"] == "echo ******* *******"
    assert shown["precondition"].startswith("would be compared when it runs")


# -- preconditions ---------------------------------------------------------------------------------------------------


def test_texts_are_compared_and_commands_only_named(dry: Dry) -> None:
    shown = dry.shows("""
params: MODE=full
steps:
  - {name: a, command: x, preconditions: [{condition: "${MODE}", expected: full}]}
  - {name: b, command: x, preconditions: ["test -d ${MODE}"]}
  - {name: c, command: x, preconditions: [{condition: "test -d x", negate: true}]}
  - {name: d, command: x, preconditions: [{condition: "`date +%u`", expected: '7'}]}
""")
    assert shown["1.precondition"] == 'holds: "full" is full'
    assert (
        shown["2.precondition"].replace("\n  ", " ")
        == "would be checked by running `test -d full`, which has to succeed"
    )
    assert shown["3.precondition"].replace("\n  ", " ") == "would be checked by running `test -d x`, which has to fail"
    assert shown["4.precondition"] == "would be compared when it runs: `date +%u` is 7"
    assert not any(label.endswith("note") for label in shown if label[0].isdigit())


def test_a_step_whose_condition_does_not_hold_is_skipped_with_what_depends_on_it(dry: Dry) -> None:
    said = dry("""
type: graph
params: MODE=full
steps:
  - {name: a, command: x, preconditions: [{condition: "${MODE}", expected: quick}]}
  - {name: b, command: x, depends: a}
  - {name: c, command: x}
""")
    shown = read(said.out)
    assert shown["1.precondition"] == 'condition not met: expected "quick", but the value is "full"'
    assert (shown["1.note"], shown["2.note"]) == ("would be skipped", "would be skipped: a step before it is skipped")
    assert "3.note" not in shown
    assert shown["2.after"] == "a"
    assert "the run ends succeeded" in said.out


def test_a_run_whose_precondition_does_not_hold_begins_no_step(dry: Dry) -> None:
    said = dry("preconditions: [{condition: a, expected: b}]\nsteps: [{name: x, command: x}]\n")
    assert read(said.out)["1.note"] == "would not start"
    assert "The run would be aborted before its first step" in said.out


# -- handlers, calls, mails ------------------------------------------------------------------------------------------


def test_handlers_are_told_with_their_occasions(dry: Dry) -> None:
    shown = dry.shows("""
steps: [{name: a, command: echo 1, output: OUT}]
handlerOn:
  init: {command: "echo ${DAG_RUN_STATUS}"}
  failure: {command: echo oh}
  exit: {command: "echo ${DAG_RUN_STATUS} ${OUT}"}
""")
    assert shown["onInit.title"] == "onInit (before the steps)"
    assert shown["onFailure.title"] == "onFailure (if the run fails)"
    assert shown["onInit.command"] == "echo running"
    assert shown["onExit.command"] == "echo ${DAG_RUN_STATUS} ${OUT}"


def test_a_called_document_of_the_same_file_is_shown_with_its_params(dry: Dry) -> None:
    said = dry("""
steps:
  - {name: one, call: child, params: "N=5"}
  - {name: many, call: other, parallel: [x, y], params: "N=${ITEM}"}
  - {name: far, call: elsewhere}
---
name: child
params: N=0
steps: [{command: 'echo ${N}'}, {name: back, call: child}]
---
name: other
params: N=0
steps: [{command: 'echo ${N}'}]
""")
    shown = read(said.out.partition("\nchild")[0])
    assert (shown["1.calls"], shown["1.params"]) == ("child", 'N="5"')
    assert shown["2.runs"] == "2, at most 10 at a time, with"
    assert shown["2.params"] == 'N="x"\nN="y"'
    assert "child, called by step one\n" in said.out
    assert "other, called by step many, the first of 2 runs\n" in said.out
    assert "echo 5\n" in said.out
    assert "echo x\n" in said.out
    assert said.out.count("child, called by") == 1


def test_who_would_get_mails_is_told(dry: Dry) -> None:
    shown = dry.shows("""
params: WHO=ops
smtp: {host: x, port: 25}
errorMail: {from: a@x.test, to: ["${WHO}@x.test", b@x.test]}
infoMail: {from: a@x.test, to: c@x.test}
mailOn: {failure: true}
steps: [{command: x, mailOnError: true}]
""")
    assert shown["mail"] == "if it fails: ops@x.test, b@x.test"
    assert shown["1.mail"] == "to errorMail, when it fails"


def test_the_base_configuration_counts(dry: Dry, tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    base.write_text("env: [FROM: base]\n")
    assert dry.shows("steps: [{command: x}]\n", "--base-config", base)["env"] == "FROM=base"


# -- how it looks, and what goes wrong -------------------------------------------------------------------------------


def test_lines_fit_into_80_columns(dry: Dry) -> None:
    said = dry(f"steps:\n  - {{name: a, command: 'echo {'word ' * 60} {'x' * 200}'}}\n", "--", "P=" + "y" * 200)
    assert max(map(len, said.out.splitlines())) <= 80
    assert said.out.count("word") == 60
    assert said.out.count("x") >= 200


def test_no_text_speaks_to_the_terminal(dry: Dry) -> None:
    said = dry('steps:\n  - {name: a, command: "echo \\e[2J\\e]0;x\\a"}\n')
    assert "\x1b" not in said.out
    assert "\\u001b[2J" in said.out


def test_an_invalid_file_tells_all_its_problems(dry: Dry) -> None:
    said = dry("schedule: nonsense\nsteps:\n  - {name: a, comand: x}\n")
    lines = said.err.splitlines()
    assert (said.status, said.out) == (1, "")
    assert [line.split(":")[1] for line in lines] == ["1", "3", *["3"] * (len(lines) - 2)]
    assert any("comand" in line for line in lines)


def test_a_file_that_is_not_there_is_named(command: Command, tmp_path: Path) -> None:
    said = command("dry", tmp_path / "gone.yaml")
    assert said.status == 1
    assert "gone.yaml: No such file or directory" in said.err


SCHEMA = '{"type": "object", "properties": {"N": {"type": "integer"}}}'


def test_params_that_a_run_would_refuse_are_refused(dry: Dry) -> None:
    (dry.folder / "params.json").write_text(SCHEMA)
    said = dry("params: {schema: params.json}\nsteps: [{command: x}]\n", "-p", "N=many")
    assert said.status == 1
    assert "params: the values do not match the schema" in said.err


def test_params_that_only_a_run_knows_are_not_checked(dry: Dry) -> None:
    (dry.folder / "params.json").write_text(SCHEMA)
    text = 'params: {schema: params.json, values: {N: "`nproc`"}}\nsteps: [{command: x}]\n'
    assert dry.shows(text)["schema"].replace("\n  ", " ") == (
        "would be checked against params.json once all of them are known"
    )


async def test_a_stored_dag_is_dry_run_by_its_name(tmp_path: Path) -> None:
    line, spec = CommandLine(tmp_path), "params: A=1\nsteps: [{name: a, command: 'echo ${A}'}]\n"
    async with line.server() as address, httpx.AsyncClient(base_url=f"{address}/api/v2") as client:
        assert (await client.post("/dags", json={"name": "flow", "spec": spec})).status_code == 201
        said = await line.run("dry", "flow", "-p=A=5")
    assert said.status == 0, said.err
    shown = read(said.out)
    assert (shown["params"], shown["1.command"]) == ("A=5", "echo 5")
    missing = await line.run("dry", "none")
    assert missing == CommandResult(1, "", "Error: there is no file and no stored DAG named 'none'\n")


def test_what_the_last_success_gives_is_shown(dry: Dry, command: Command) -> None:
    text = """
params: [{SINCE: "${DAG_LAST_OUTPUTS.lastId}"}]
steps: [{name: a, command: 'echo 41', output: LAST_ID}, {name: b, command: 'echo "${SINCE}"'}]
"""
    assert dry.shows(text)["params"] == "SINCE="
    assert command("run", dry.folder / "flow.yaml").status == 0
    shown = dry.shows(text)
    assert (shown["params"], shown["2.command"]) == ("SINCE=41", 'echo "41"')
    assert "lastId" in shown["env"]

"""``dagbook exec``: one command as a recorded run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from dagbook.cli.runs.exec import quote_word
from dagbook.spec.reading.load import load
from tests.app.program import CommandResult

Command = Callable[..., CommandResult]
HOSTILE = ["$HOME", "`id`", '"${V}"', "${V}", "it's", "a  b", "", "~", "x;y|z", "$(id)", r"\n", "new\nline", "$$", "*"]
HOSTILE += ["${HOME:-x}", "$", "$1", r"\$V", "!x", "#c", "a\\", '"', "é", "${V.items | length}", "-n", "--json"]


def test_a_command_runs_and_is_recorded_with_its_output(command: Command, tmp_path: Path) -> None:
    said = command("exec", "-r", "r1", "--", sys.executable, "-c", "print('recorded')")
    assert (said.status, said.out.splitlines()[-1]) == (0, "succeeded"), said.err
    name = f"exec-{Path(sys.executable).name}"
    assert said.out.startswith(f"{name}  r1\n")
    assert command("logs", name, "r1", "--step", "main").out == "recorded\n"
    assert command("exec", "--workdir", tmp_path, "-N", "failing", "--", "sh", "-c", "pwd; exit 3").status == 1
    assert command("exec", "--exit-code", "-N", "failing", "--", "sh", "-c", "exit 3").status == 3
    assert command("exec", "--exit-code", "-N", "good", "--", "true").status == 0
    first = json.loads(command("runs", "failing", "--json").out)["dagRuns"][-1]["dagRunId"]
    assert command("logs", "failing", first).out == f"main | {tmp_path}\n"
    assert "exit status 3" in command("why", "failing").out


def test_the_program_gets_its_arguments_and_variables_as_they_are(command: Command, tmp_path: Path) -> None:
    script = tmp_path / "told.py"
    script.write_text(
        "import json, os, sys; json.dump([os.environ['V'], os.environ['W'], sys.argv[1:]], open('told', 'w'))"
    )
    value = " ".join(HOSTILE)
    variables = ["-E", f"V={value}", "--env", "W="]
    said = command("exec", "--workdir", tmp_path, *variables, "--", sys.executable, script, *HOSTILE)
    assert said.status == 0, said.out + said.err
    assert json.loads((tmp_path / "told").read_text()) == [value, "", HOSTILE]


def test_words_that_need_no_quotes_have_none() -> None:
    assert [quote_word(word) for word in ("rsync", "-a", "/srv/a_b", "k=v")] == ["rsync", "-a", "/srv/a_b", "'k=v'"]


def test_variables_come_from_a_file_and_the_shell_is_chosen(command: Command, tmp_path: Path) -> None:
    (tmp_path / "my.env").write_text("FROM_FILE=here\n")
    words = ("--dotenv", tmp_path / "my.env", "--shell", "bash", "--", "sh", "-c", "echo $FROM_FILE")
    assert command("exec", "-N", "dot", *words).status == 0
    assert command("logs", "dot", "--step", "main").out == "here\n"


def test_a_queue_or_a_label_queues_the_run_and_no_queue_starts_it(command: Command) -> None:
    assert command("exec", "-u", "night", "-r", "q1", "--", "true").out == "run q1 of DAG exec-true is queued\n"
    assert "exec-true" in command("queue", "show", "night").out
    said = command("exec", "--worker-label", "gpu=true", "-r", "q2", "--json", "--", "true")
    assert json.loads(said.out) == {"name": "exec-true", "dagRunId": "q2"}
    said = command("exec", "-u", "night", "-n", "-r", "q3", "--json", "--", "true")
    assert json.loads(said.out)["dagRunDetails"]["statusLabel"] == "succeeded"


def test_a_schedule_prints_the_dag_to_keep_and_runs_nothing(command: Command, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("histRetentionDays: 7\nmaxActiveRuns: 5\n")
    options = ("-N", "backup", "--workdir", tmp_path, "--base", tmp_path / "base.yaml", "--singleton", "-u", "night")
    said = command("exec", "--schedule", "0 5 * * *", *options, "--", "touch", tmp_path / "made it")
    assert said.status == 0, said.err
    assert yaml.safe_load(said.out) == {
        "histRetentionDays": 7,
        "maxActiveRuns": 1,
        "name": "backup",
        "schedule": "0 5 * * *",
        "workingDir": str(tmp_path),
        "queue": "night",
        "steps": [{"name": "main", "command": f"touch '{tmp_path}/made it'"}],
    }
    assert not load(said.out, name="backup").problems
    assert "Notice: nothing was run" in said.err
    assert not (tmp_path / "made it").exists()
    (tmp_path / "backup.yaml").write_text(said.out)
    assert command("dag", "save", tmp_path / "backup.yaml").status == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "Missing argument '-- COMMAND [ARGUMENT]...'"),
        (["-E", "bad", "--", "true"], "--env: 'bad' is not a variable such as MODE=full"),
        (["-E", "a-b=1", "--", "true"], "--env: 'a-b' is not the name of a variable"),
        (["--worker-label", "gpu", "--", "true"], "--worker-label: 'gpu' is not a label"),
        (["--workdir", "/no/such", "--", "true"], "--workdir: there is no directory '/no/such'"),
        (["--dotenv", "/no/such", "--", "true"], "--dotenv: there is no file '/no/such'"),
        (["--base", "/no/such", "--", "true"], "/no/such: No such file or directory"),
        (["--shell", "pwsh", "--", "true"], "--shell: 'pwsh' is not a POSIX shell"),
        (["--schedule", "0 5", "--", "true"], "is not a schedule: 5 fields are needed"),
        (["-N", "a b", "--", "true"], "'a b' cannot be the name of a DAG"),
        (["-r", "a/b", "--", "true"], "a/b"),
    ],
)
def test_what_cannot_run_is_an_error_and_leaves_no_run(command: Command, words: list[str], told: str) -> None:
    said = command("exec", *words)
    assert (said.status, said.out) == (1, "")
    assert told in said.err
    assert "Traceback" not in said.err
    assert json.loads(command("runs", "--json").out) == {"dagRuns": []}


def test_a_directory_that_a_definition_would_evaluate_is_refused(command: Command, tmp_path: Path) -> None:
    odd = tmp_path / "a$b"
    odd.mkdir()
    said = command("exec", "--workdir", odd, "--", "true")
    assert (said.status, "which a definition evaluates" in said.err) == (1, True)
    assert os.path.isdir(odd)  # noqa: PTH112 - as it was

"""``help``, ``completion``, and words of Dagu that mean nothing here."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from dagbook import __version__
from dagbook.cli import COMMANDS, cli
from dagbook.cli import execute as run
from dagbook.cli.commands import GlobalOptions
from dagbook.unix.privacy import forbid_inspection
from tests.app.program import CommandResult
from tests.conftest import ROOT
from tests.waiting import PATIENCE_SECONDS

Command = Callable[..., CommandResult]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "dagbook"),
        (["run"], "dagbook run"),
        (["queue"], "dagbook queue"),
        (["queue", "list"], "dagbook queue list"),
    ],
)
def test_help_tells_what_the_option_tells(command: Command, words: list[str], line: str) -> None:
    told, option = command("help", *words), command(*words, "--help")
    assert told.status == 0
    assert told.out.startswith(f"Usage: {line} ")
    assert told.out == option.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["serv"], "No such command 'serv'. Did you mean 'serve'?"),
        (["queue", "lst"], "No such command 'lst'. Did you mean 'list'?"),
        (["run", "it"], "dagbook run has no commands, and none named 'it'."),
    ],
)
def test_help_for_what_is_no_command_is_an_error(command: Command, words: list[str], told: str) -> None:
    said = command("help", *words)
    assert (said.status, said.out) == (1, "")
    assert said.err.endswith(f"Error: {told}\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_can_be_loaded_and_has_a_help(command: Command, name: str) -> None:
    said = command(name, "-h")
    assert (said.status, said.out.startswith(f"Usage: dagbook {name} "), said.err) == (0, True, "")
    assert command(name, "--help") == said


def _all_commands(
    command: click.Command, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if words:
        yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _all_commands(below, (*words, name))


def test_every_command_has_an_example_in_its_help_that_can_be_parsed() -> None:
    for words, command in _all_commands(cli):
        assert isinstance(command, GlobalOptions)
        assert f"\nExample:\n  {command.example}" in command.get_help(click.Context(command)), words
        parts = shlex.split(command.example.removeprefix("EDITOR=nano "))
        assert parts[0] == "dagbook", words
        line = parts[1 : parts.index(">")] if ">" in parts else parts[1:]
        with cli.make_context("dagbook", line) as context:
            name, found, rest = cli.resolve_command(context, [*context._protected_args, *context.args])
            assert found is not None
            while isinstance(found, click.Group):
                name, found, rest = found.resolve_command(context, rest)
                assert found is not None
            found.make_context(str(name), rest)


@pytest.mark.parametrize(
    ("words", "value"), [(["version"], {"version": __version__}), (["tokens", "list"], {"tokens": []})]
)
def test_json_is_printed_by_commands_of_both_kinds(command: Command, words: list[str], value: object) -> None:
    said = command(*words, "--json")
    assert (said.status, json.loads(said.out), said.out.count("\n")) == (0, value, 1)


# Each brings libraries that take longer than the whole of a short command may.
SHORT = ("dagbook.cli", "dagbook.cli.runs.show", "dagbook.cli.local", "dagbook.cli.remote")
HEAVY = ("alembic", "asyncpg", "jsonschema", "litestar", "rich", "sqlalchemy", "uvicorn")


@pytest.mark.parametrize("module", SHORT)
def test_a_short_command_imports_no_library_that_it_does_not_need(module: str) -> None:
    program = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    env = os.environ | {"PYTHONPATH": f"{ROOT}/app"}
    said = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert said.stdout == "\n"


@pytest.mark.parametrize(("shell", "part"), [("bash", "complete "), ("zsh", "#compdef dagbook"), ("fish", "complete ")])
def test_a_completion_script_calls_the_program(command: Command, shell: str, part: str) -> None:
    said = command("completion", shell)
    assert (said.status, said.err) == (0, "")
    assert part in said.out
    assert "_DAGBOOK_COMPLETE" in said.out


def test_a_shell_that_has_no_completion_is_told_with_those_that_have(command: Command) -> None:
    said = command("completion", "powershell")
    assert (said.status, said.out) == (1, "")
    assert "'powershell' is not one of 'bash', 'zsh', 'fish'" in said.err


@pytest.fixture(scope="module")
def folder_of_dagbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder for PATH with the program in it."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "dagbook"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}/app" exec "{sys.executable}" -m dagbook "$@"\n')
    program.chmod(0o700)
    return folder


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        (["queu"], ["queue"]),
        (["serv"], ["serve"]),
        (["queue", "pa"], ["pause"]),
        (["-q", "run", "--para"], ["--params"]),
        (["serve", "--peer.insecure", "--tls-key-f"], ["--tls-key-file"]),
        (["help", "compl"], ["completion"]),
        (["run", "flo"], ["flow.yaml"]),
    ],
    ids=str,
)
def test_bash_completes_what_is_typed(
    tmp_path: Path, folder_of_dagbook: Path, words: list[str], completions: list[str]
) -> None:
    (tmp_path / "flow.yaml").touch()
    script = (
        'eval "$(dagbook completion bash)"; COMP_WORDS=(dagbook "$@"); COMP_CWORD=$#\n'
        '_dagbook_completion dagbook 2>/dev/null; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    env = os.environ | {"PATH": f"{folder_of_dagbook}:{os.environ['PATH']}"}
    said = subprocess.run(
        ["bash", "-c", script, "bash", *words],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    assert said.stdout.split() == completions


@pytest.mark.parametrize("name", ["scheduler", "coordinator"])
@pytest.mark.parametrize("words", [[], ["-d", "dags", "--peer.insecure", "-H=0.0.0.0", "--unknown"]], ids=str)
def test_what_every_server_does_has_no_command_of_its_own(command: Command, name: str, words: list[str]) -> None:
    said = command(name, *words)
    assert (said.status, said.out, said.err.count("\n")) == (1, "", 1)
    assert said.err.startswith("Error: ")
    assert "every server" in said.err
    assert "'dagbook serve'" in said.err


WORDS_OF_DAGU = [
    "--coordinator.host=0.0.0.0",
    "--coordinator.port=50055",
    "-A=here",
    "--peer.insecure=true",
    "--peer.cert-file=x",
    "--peer.key-file=x",
    "--peer.client-ca-file=x",
    "--peer.skip-tls-verify",
    "-d=dags",
    "--cpu-profile",
    "--dagu-home=x",
]


def test_options_of_dagu_are_accepted_with_a_notice(command: Command) -> None:
    said = command("start-all", "--host", "192.0.2.1", *WORDS_OF_DAGU)
    *notices, error = said.err.splitlines()
    names = {word.partition("=")[0] for word in WORDS_OF_DAGU} - {"-A", "-d"} | {"--coordinator.advertise", "--dags"}
    assert sorted(text.partition(" is ignored: ")[0] for text in notices) == sorted(f"Notice: {name}" for name in names)
    assert (said.status, said.out) == (1, "")
    assert error.startswith(
        "Error: host (--host): 192.0.2.1 "
    )  # the options that count are read beside those that do not


def test_a_quiet_command_gives_no_notices(command: Command) -> None:
    assert command("start-all", "--host", "192.0.2.1", *WORDS_OF_DAGU, "-q") == CommandResult(1, "", "")


def test_an_option_that_is_switched_off_is_not_told(command: Command) -> None:
    assert command("version", "--cpu-profile=false").err == ""


def test_a_worker_takes_the_options_of_dagu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAGBOOK_HOME", str(tmp_path))
    words = ["--worker.id=w1", "--worker.labels=a=1,b=2", "-m=3", "--peer.insecure"]
    assert run(["worker", *words, "--database-url", "postgresql://nobody@127.0.0.1:1/none"]) == 1
    notice, error = capsys.readouterr().err.splitlines()
    assert notice.startswith("Notice: --peer.insecure is ignored: ")
    assert error == "Error: the database is unavailable: PostgreSQL cannot be reached"
    assert run(["worker", "--worker.labels=a"]) == 1
    assert "'a' is not a label" in capsys.readouterr().err


def test_only_a_command_that_owns_its_process_takes_credentials_out_of_the_environment(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGBOOK_AUTH_TOKEN", "long enough for every address")
    forbid_inspection()  # a change of file system ids has the same effect
    command("config")
    assert "DAGBOOK_AUTH_TOKEN" in os.environ
    run(["config"], owns_process=True)
    assert "DAGBOOK_AUTH_TOKEN" not in os.environ

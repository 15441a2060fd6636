"""Completion of DAG names and run ids in bash, zsh and fish: from the database, from a remote server, or not at all."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.app.dagbook import client_of, serving
from tests.app.program import CommandResult
from tests.app.remote_server import RemoteDagbook
from tests.conftest import ROOT, PostgresCopies
from tests.waiting import PATIENCE_SECONDS

Command = Callable[..., CommandResult]
SPEC = "steps: [{name: a, command: 'true'}]\n"


def _complete(words: list[str], shell: str = "bash", **environ: str) -> list[str]:
    """Return what a shell is told for a line that ends with an unfinished word; it prints no error."""
    env: Mapping[str, str] = {name: text for name, text in os.environ.items() if not name.startswith("DAGBOOK_")}
    position = words[-1] if shell == "fish" else str(len(words))
    line = {
        "COMP_WORDS": " ".join(["dagbook", *words]),
        "COMP_CWORD": position,
        "_DAGBOOK_COMPLETE": f"{shell}_complete",
    }
    said = subprocess.run(
        [sys.executable, "-m", "dagbook"],
        env={**env, **line, **environ, "PYTHONPATH": f"{ROOT}/app"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert said.stderr == ""
    return [told for told in said.stdout.split("\n") if told]


@pytest.fixture
def home(command: Command, tmp_path: Path) -> Path:
    """A home with DAGs and runs, and no server."""
    for name in ("etl", "etl-load", "other"):
        (tmp_path / f"{name}.yaml").write_text(SPEC)
        assert command("dag", "save", tmp_path / f"{name}.yaml").status == 0
    for run_id in ("r1", "r2", "s1"):
        assert command("run", "etl", "-r", run_id).status == 0
    return tmp_path


@pytest.mark.parametrize(
    ("shell", "told"),
    [
        ("bash", ["plain,etl", "plain,etl-load"]),
        ("zsh", ["plain", "etl", "_", "plain", "etl-load", "_"]),
        ("fish", ["plain,etl", "plain,etl-load"]),
    ],
)
def test_each_shell_completes_the_names_of_dags(home: Path, shell: str, told: list[str]) -> None:
    assert _complete(["dag", "show", "et"], shell, DAGBOOK_HOME=str(home)) == told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["status", "etl", "r"], ["plain,r2", "plain,r1"]),  # the newest first
        (["logs", "-f", "etl", ""], ["plain,s1", "plain,r2", "plain,r1"]),
        (["why", "other", ""], []),
        (["dag", "suspend", "etl", "o"], ["plain,other"]),
        (["run", "oth"], ["plain,other", "file,oth"]),
        (["dag", "show", "%"], []),
    ],
    ids=str,
)
def test_names_and_runs_are_completed_where_they_stand(home: Path, words: list[str], told: list[str]) -> None:
    assert _complete(words, DAGBOOK_HOME=str(home)) == told


_ASK_BASH = """
eval "$(dagbook completion bash)" || exit
compopt() { :; }  # works in an interactive shell alone
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_dagbook_completion dagbook "${COMP_WORDS[COMP_CWORD]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def ask_bash(home: Path) -> Callable[..., list[str]]:
    """Return what bash offers for a line, in a directory with files."""
    folder = home / "files"
    (folder / "etc").mkdir(parents=True)
    (folder / "etl.yaml").touch()
    (folder / "two words.yaml").touch()
    program = folder.with_name("bin") / "dagbook"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dagbook "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    env = {"PATH": path, "DAGBOOK_HOME": str(home), "PYTHONPATH": f"{ROOT}/app"}

    def ask(*words: str) -> list[str]:
        command = ["bash", "--norc", "-c", _ASK_BASH, "bash", "dagbook", *words]
        said = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True, timeout=60)
        assert said.stderr == ""
        return said.stdout.splitlines()

    return ask


def test_bash_offers_names_runs_and_files(ask_bash: Callable[..., list[str]]) -> None:
    asked = {
        ("run", "et"): ["etl", "etl-load", "etc", "etl.yaml"],
        ("run", "etl."): ["etl.yaml"],
        ("status", "etl", "r"): ["r2", "r1"],
        ("status", "other", "r"): [""],
        ("dag", "suspend", "etl"): ["etl", "etl-load"],
        ("dag", "save", "two"): ["two words.yaml"],
        ("dag", "show", "nothing"): [""],
        ("histor",): ["history"],
    }
    found = {words: ask_bash(*words) for words in asked}
    assert {words: sorted(told) for words, told in found.items()} == {
        words: sorted(told) for words, told in asked.items()
    }
    assert found["run", "et"][:2] == ["etl", "etl-load"]


def test_nothing_is_made_by_a_completion_in_an_empty_home(tmp_path: Path) -> None:
    assert _complete(["dag", "show", "e"], DAGBOOK_HOME=str(tmp_path / "none")) == []
    assert list(tmp_path.iterdir()) == []


def test_names_come_from_the_server_of_the_line(remote: RemoteDagbook, tmp_path: Path) -> None:
    remote.request("POST", "/dags", json={"name": "afar", "spec": SPEC})
    remote.request("POST", "/dags/afar/start", json={"dagRunId": "f1"})
    token = {"DAGBOOK_TOKEN": remote.token, "DAGBOOK_HOME": str(tmp_path)}
    assert _complete(["--server", remote.url, "dag", "show", "a"], **token) == ["plain,afar"]
    assert _complete(["logs", "afar", ""], DAGBOOK_SERVER=remote.url, **token) == ["plain,f1"]
    assert (
        _complete(["logs", "afar", ""], DAGBOOK_SERVER=remote.url, DAGBOOK_HOME=str(tmp_path)) == []
    )  # without a token


def test_a_server_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert _complete(["dag", "show", "a"], DAGBOOK_SERVER=url, DAGBOOK_HOME=str(tmp_path)) == []


async def test_names_come_from_postgresql(postgres_copies: PostgresCopies, tmp_path: Path) -> None:
    async for url in postgres_copies.copy():
        async with serving(url, tmp_path) as server, client_of(server) as client:
            assert (await client.post("/dags", json={"name": "stored", "spec": SPEC})).status_code == 201
            assert (await client.post("/dags/stored/start", json={"dagRunId": "p1"})).status_code == 200
            environ = {"DAGBOOK_DATABASE_URL": url, "DAGBOOK_HOME": str(tmp_path)}
            names = await asyncio.to_thread(_complete, ["dag", "show", "s"], **environ)
            runs = await asyncio.to_thread(_complete, ["status", "stored", ""], **environ)
        assert (names, runs) == (["plain,stored"], ["plain,p1"])

"""``dagbook source``: each command, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.program import CommandResult
from tests.app.sources import BROKEN, Repository, good

Command = Callable[..., CommandResult]


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "a.yaml").write_text(good())
    return folder


def test_a_directory_is_added_listed_synced_and_removed(command: Command, dags: Path) -> None:
    assert "there are no sources" in command("source", "list").out
    added = command("source", "add", "team", dags)
    assert (added.status, added.err) == (0, "")
    assert added.out.splitlines() == [f"added the source team: {dags}", "team: 1 file, 0 with problems"]
    (dags / "b.yaml").write_text(BROKEN)
    synced = command("source", "sync", "team")
    assert (synced.status, synced.out) == (1, "team: 2 files, 1 with problems\n")
    assert synced.err.startswith("b.yaml:3: steps[0].comand: ")
    head, row = command("source", "list").out.splitlines()
    assert head.split() == ["NAME", "PLACE", "FILES", "PROBLEMS", "COMMIT", "SYNCED"]
    assert row.split()[:4] == ["team", str(dags), "2", "1"]
    assert command("source", "remove", "team").out == "removed the source team; its DAGs stay\n"
    assert command("dag", "show", "a").out == good()


def test_a_repository_is_added_with_branch_and_path(command: Command, dags: Path, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    dags.rename(repository.folder / "dags")
    commit = repository.commit("Add a")
    added = command("source", "add", "ops", repository.place, "--branch", "main", "--path", "dags")
    assert (added.status, added.err) == (0, "")
    assert f"ops at commit {commit[:12]}: 1 file," in added.out
    assert f"{repository.place} (main) /dags" in command("source", "list").out
    assert "Add a" in command("dag", "history", "a").out


def test_a_secret_of_the_webhook_comes_from_a_file_and_is_not_printed(
    command: Command, dags: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret of the webhook of the team\n")
    said = [command("source", "add", "team", dags, "--hook-secret-file", secret), command("source", "list")]
    assert [one.status for one in said] == [0, 0]
    assert "a secret of the webhook" not in str(said)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("add", "team", "https://ann:pass@host/x.git"), "place: must contain no user, password or token"),
        (("add", "a/b", "/srv"), "name: 'a/b' does not fit"),
        (("add", "team", "file:///nowhere", "--branch", "main"), "file:///nowhere could not be fetched"),
        (("add", "team", "/nowhere"), "/nowhere does not exist; is it mounted?"),
        (("sync", "unknown"), "there is no source named 'unknown'"),
        (("remove", "unknown"), "there is no source named 'unknown'"),
    ],
)
def test_what_goes_wrong_is_one_sentence(command: Command, arguments: tuple[str, ...], problem: str) -> None:
    said = command("source", *arguments)
    assert said.status == 1
    assert said.err.splitlines()[-1].startswith(f"Error: {problem}")
    assert "Traceback" not in said.err


def test_a_dag_of_a_source_is_not_opened_in_an_editor(
    command: Command, dags: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "editor"
    editor.write_text(f"#!/bin/sh\ntouch {tmp_path}/opened\n")
    editor.chmod(0o700)
    monkeypatch.setenv("VISUAL", str(editor))
    command("source", "add", "team", dags)
    told = "Error: the DAG a comes from the file a.yaml of the source team; edit it there, and `dagbook source sync` "
    said = command("dag", "edit", "a")
    assert (said.status, said.err.startswith(told), (tmp_path / "opened").exists()) == (1, True, False)
    command("source", "remove", "team")
    command("source", "add", "own", dags, "--writable", "--adopt")
    assert command("dag", "edit", "a").status == 0
    assert (tmp_path / "opened").exists()

"""``dagbook dag list``, ``save``, ``edit``, ``delete``, ``rename``, ``suspend``, ``resume`` and ``tags``."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dagbook.cli.dags.stored import find_editor
from tests.app.program import CommandResult

Command = Callable[..., CommandResult]
SPEC = "tags: [finance]\nschedule: '0 5 * * *'\nsteps: [{name: a, command: echo one}]\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "etl.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def stored(command: Command, file: Path) -> Command:
    assert command("dag", "save", file).status == 0
    return command


def test_a_file_is_saved_as_a_new_dag_and_as_its_next_revision(stored: Command, file: Path) -> None:
    file.write_text(SPEC.replace("one", "two"))
    assert stored("dag", "save", file, "--note", "two").out == "the DAG etl is stored, as revision 2\n"
    assert "echo two" in stored("dag", "show", "etl").out
    assert stored("dag", "history", "etl").out.splitlines()[1].endswith("two")
    assert json.loads(stored("dag", "save", file, "--name", "other", "--json").out) == {
        "name": "other",
        "revision": 1,
        "created": True,
    }


def test_a_definition_is_saved_from_standard_input(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(SPEC))
    assert command("dag", "save", "-", "--name", "piped").out == "the DAG piped is stored, as revision 1\n"
    assert "give --name" in command("dag", "save", "-").err


@pytest.mark.parametrize("is_new", [True, False])
def test_a_definition_with_problems_is_not_saved(stored: Command, file: Path, is_new: bool) -> None:
    file.write_text("steps: 5\n")
    name = "fresh" if is_new else "etl"
    said = stored("dag", "save", file, "--name", name)
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith("[1:8] steps: ")
    assert said.err.endswith(f"Error: the DAG {name} is not stored; correct the problems and save it again\n")
    assert json.loads(stored("dag", "save", file, "--name", name, "--json").out)["errors"]
    assert ("fresh" in stored("dag", "list").out) is False


def test_a_save_can_require_a_revision_or_a_new_name(stored: Command, file: Path) -> None:
    said = stored("dag", "save", file, "--revision", "7")
    assert (said.status, "revision" in said.err) == (1, True)
    said = stored("dag", "save", file, "--new")
    assert (said.status, "exists already" in said.err) == (1, True)
    assert stored("dag", "save", file, "--revision", "1").status == 0


def test_dags_are_listed_by_name_and_tag_with_their_schedules(stored: Command, file: Path) -> None:
    head, row = stored("dag", "list", "--tag", "finance").out.splitlines()
    assert head.split() == ["NAME", "STATUS", "LAST", "RUN", "SCHEDULE", "TAGS"]
    assert row.split("  ")[0] == "etl"
    assert "0 5 * * *" in row
    assert stored("dag", "list", "--name", "zzz").out == "there are no such DAGs\n"
    assert [dag["fileName"] for dag in json.loads(stored("dag", "list", "--json").out)["dags"]] == ["etl"]
    assert stored("dag", "tags").out == "finance\n"
    for number in range(3):
        stored("dag", "save", file, "--name", f"more{number}")
    assert len(stored("dag", "list", "--limit", "2").out.splitlines()) == 3


def test_schedules_are_suspended_and_resumed(stored: Command) -> None:
    assert stored("dag", "suspend", "etl").out == "the schedules of the DAG etl are suspended\n"
    assert "suspended (0 5 * * *)" in stored("dag", "list").out
    assert "suspended" in stored("why", "etl").out
    assert json.loads(stored("dag", "resume", "etl", "--json").out) == {"name": "etl", "suspended": False}
    assert "suspended" not in stored("dag", "list").out


def test_a_dag_is_renamed_and_deleted_after_a_confirmation(stored: Command) -> None:
    assert stored("dag", "rename", "etl", "load").out == "the DAG etl is now load\n"
    said = stored("dag", "delete", "load")
    assert (said.status, said.err) == (1, "Error: no terminal to ask for confirmation; add --yes\n")
    assert stored("dag", "delete", "load", "--yes").out == "the DAG load is deleted; its runs are kept\n"
    said = stored("dag", "delete", "load", "-y")
    assert (said.status, "load" in said.err) == (1, True)


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Set the editor: a shell script whose argument is the file."""

    def choose(script: str) -> None:
        path = tmp_path / "my editor"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        monkeypatch.delenv("VISUAL", raising=False)
        monkeypatch.setenv("EDITOR", f"'{path}'")
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    return choose


def test_an_edited_text_is_saved_as_the_next_revision(
    stored: Command, editor: Callable[[str], None], tmp_path: Path
) -> None:
    editor('sed -i s/one/edited/ "$1"; stat -c %a "$1"')
    said = stored("dag", "edit", "etl", "--note", "by hand")
    assert said.out == "600\nthe DAG etl is stored, as revision 2\n"
    assert "echo edited" in stored("dag", "show", "etl").out
    assert list(tmp_path.glob("etl-*")) == []


def test_an_unchanged_text_is_not_saved(stored: Command, editor: Callable[[str], None]) -> None:
    editor("true")
    assert stored("dag", "edit", "etl").out == "the DAG etl is unchanged\n"


def test_problems_are_shown_and_the_text_can_be_edited_again(
    stored: Command, editor: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    editor('if grep -q wrong "$1"; then sed -i s/wrong/right/ "$1"; else echo \'steps: wrong\' > "$1"; fi')
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    said = stored("dag", "edit", "etl")
    assert said.status == 1  # `steps: right` is wrong as well, and there is no more input
    assert said.err.count("Edit it again?") == 2
    kept = Path(said.err.rpartition("the edited text is in ")[2].strip())
    assert kept.read_text() == "steps: right\n"


@pytest.mark.parametrize(("answer", "is_saved"), [("y\n", True), ("n\n", False), ("", False)])
def test_a_newer_revision_is_shown_and_not_overwritten_silently(
    stored: Command,
    editor: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    answer: str,
    is_saved: bool,
) -> None:
    from dagbook.cli import execute  # noqa: PLC0415 - what the other user does while the editor is open

    def meanwhile(command: list[str], **_options: object) -> object:
        newer = tmp_path / "newer.yaml"
        newer.write_text(SPEC.replace("one", "theirs"))
        if "theirs" not in stored("dag", "show", "etl").out:
            execute(["dag", "save", str(newer), "--name", "etl", "--quiet"])
        path = Path(command[-1])
        path.write_text(path.read_text().replace("one", "mine"))
        return type("Done", (), {"returncode": 0})()

    editor("true")
    monkeypatch.setattr("subprocess.run", meanwhile)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    said = stored("dag", "edit", "etl")
    assert "Notice: revision 2 was saved by " in said.err
    assert "+steps: [{name: a, command: echo theirs}]" in said.err
    assert (said.status == 0) is is_saved
    assert ("echo mine" in stored("dag", "show", "etl").out) is is_saved
    assert ("the edited text is in " in said.err) is not is_saved


def test_what_cannot_be_edited_is_an_error(stored: Command, editor: Callable[[str], None]) -> None:
    editor("exit 3")
    said = stored("dag", "edit", "nosuch")
    assert said.err == "Error: there is no DAG named 'nosuch'; `dagbook dag save FILE` stores one\n"
    said = stored("dag", "edit", "etl")
    assert (said.status, "failed, so nothing is saved" in said.err) == (1, True)


def test_the_editor_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "nano -w")
    monkeypatch.setenv("VISUAL", "code --wait")
    assert find_editor() == ["code", "--wait"]
    monkeypatch.delenv("VISUAL")
    assert find_editor() == ["nano", "-w"]

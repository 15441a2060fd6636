"""``dagbook import --crontab``: what is printed and written, and what is said of lines that were left out."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from dagbook.transfer.crontab import MAX_CHARACTERS
from tests.app.program import CommandResult

Command = Callable[..., CommandResult]
CRONTAB = "@daily /srv/one\n30 2 * * 7 /srv/two\n"


def test_definitions_are_printed_as_documents(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "crontab"
    file.write_text(CRONTAB)
    said = command("import", "--crontab", file)
    assert said.status == 0
    assert [dag["schedule"] for dag in yaml.safe_load_all(said.out)] == ["0 0 * * *", "30 2 * * 0"]
    hint = "each document is a DAG of its own, and --output DIR writes a file for each"
    assert said.err == f"Notice: 2 DAGs, 0 lines left out; {hint}\n"
    assert command("dag", "list").out.startswith("there are no DAGs")


def test_lines_without_a_counterpart_are_told_with_their_number(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stdin:
        buffer = io.BytesIO(b"@reboot /srv/agent\n1 2 * * * /srv/one\n")

    monkeypatch.setattr("sys.stdin", Stdin())
    said = command("import", "--crontab", "-")
    assert (said.status, yaml.safe_load(said.out)["name"]) == (1, "one")
    left, counts = said.err.splitlines()
    assert left.startswith("stdin:1: nothing starts at a boot; ")
    assert left.endswith(": '@reboot /srv/agent'")
    assert counts == "Notice: 1 DAG, 1 line left out"


def test_a_file_for_each_is_written_stored_and_not_overwritten(command: Command, tmp_path: Path) -> None:
    file, folder = tmp_path / "crontab", tmp_path / "dags"
    file.write_text(CRONTAB)
    said = command("import", "--crontab", file, "-o", folder)
    assert said == CommandResult(0, "", f"2 DAGs, 0 lines left out; the files are in {folder}\n")
    assert command("check", folder).status == 0
    assert command("dag", "save", folder / "two.yaml").status == 0
    assert "30 2 * * 0" in command("dag", "list").out
    (folder / "one.yaml").write_text("changed")
    (folder / "two.yaml").unlink()
    said = command("import", "--crontab", file, "-o", folder)
    assert (said.status, (folder / "one.yaml").read_text()) == (1, "changed")
    assert f"{folder / 'one.yaml'} exists already" in said.err
    assert (folder / "two.yaml").exists()


def test_a_crontab_of_the_system_is_read_with_an_option_and_shown_as_json(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "crontab"
    file.write_text("1 2 * * * root /srv/one\n@reboot root /srv/two\n")
    said = command("import", "--crontab", file, "--system", "--json")
    found = json.loads(said.out)
    assert (said.status, [(dag["name"], dag["line"]) for dag in found["dags"]]) == (1, [("one", 1)])
    assert found["leftOut"][0]["line"] == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"#" * (MAX_CHARACTERS + 1), "has more than 262,144 characters, the limit of a crontab"),
        (b"1 2 * * * \xff", "is not UTF-8 text, at byte 10"),
        (b"\0", "is no text: it holds NUL bytes"),
    ],
    ids=["large", "bytes", "nul"],
)
def test_what_is_no_crontab_is_refused(command: Command, tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "crontab"
    file.write_bytes(content)
    assert command("import", "--crontab", file) == CommandResult(1, "", f"Error: {file}: {told}\n")


def test_options_of_other_imports_do_not_apply(command: Command, tmp_path: Path) -> None:
    assert "name either a home, a server or a crontab" in command("import", tmp_path, "--crontab", "-").err
    assert "add --crontab FILE" in command("import", tmp_path, "--system").err

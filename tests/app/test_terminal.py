"""What commands print of others' texts, in a real terminal and into a pipe."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.program import CommandResult
from tests.app.remote_server import RemoteDagbook
from tests.conftest import ROOT

HOSTILE = "\x1b]0;title\x07 \x9b2J \u202etxet \x1b[31mred\x1b[0m"
SAFE = "\\u001b]0;title\\u0007 \\u009b2J \\u202etxet red"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    octal = "".join(f"\\{byte:03o}" for byte in HOSTILE.encode())
    path = tmp_path / "hostile.yaml"
    path.write_text(f"steps:\n  - name: a\n    command: printf '{octal}\\n'\n")
    return path


def in_a_terminal(home: Path, *arguments: str | Path) -> str:
    """Run a command in a terminal of its own and return what that shows."""
    own, other = pty.openpty()
    environment = {
        **os.environ,
        "DAGBOOK_HOME": str(home),
        "PYTHONPATH": f"{ROOT}/app",
        "DAGBOOK_LOG_ENCODING": "utf-8",
    }
    command = [sys.executable, "-m", "dagbook", *map(str, arguments)]
    process = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, env=environment, cwd=home)
    os.close(other)
    shown = b""
    try:
        while block := os.read(own, 65_536):
            shown += block
    except OSError:  # the last process has closed the terminal
        pass
    finally:
        os.close(own)
        process.wait()
    return shown.decode().replace("\r\n", "\n")


def test_a_terminal_shows_output_without_the_characters_that_control_it(tmp_path: Path, file: Path) -> None:
    shown = in_a_terminal(tmp_path, "run", file)
    assert f"  {SAFE}\n" in shown
    for character in "\x07\x9b\u202e":
        assert character not in shown


def test_a_pipe_gets_output_as_it_is(command: Callable[..., CommandResult], tmp_path: Path, file: Path) -> None:
    (tmp_path / "dagbook.yaml").write_text("log_encoding: utf-8\n")
    assert f"  {HOSTILE}\n" in command("run", file).out


def test_names_and_errors_are_escaped_everywhere(command: Callable[..., CommandResult]) -> None:
    for arguments in (("status", HOSTILE), ("dag", "show", HOSTILE), (HOSTILE,), ("validate", HOSTILE)):
        said = command(*arguments)
        assert said.status != 0
        assert not [character for character in "\x1b\x07\x9b\u202e" if character in said.out + said.err]


def test_a_terminal_shows_the_page_of_a_saved_dag_where_a_server_runs(remote: RemoteDagbook, tmp_path: Path) -> None:
    file = tmp_path / "shown.yaml"
    file.write_text("steps: ['true']\n")
    shown = in_a_terminal(tmp_path, "--server", remote.url, "--token", remote.token, "dag", "save", file)
    assert shown.endswith(f"the DAG shown is stored, as revision 1\n{remote.url}/dags/shown\n")

"""What a step reaches of the server that starts it, under the same account."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import processes
from tests.process.conftest import end
from tests.process.program import ROOT, Prefixed, Program
from tests.process.waiting import wait_for

ORDINARY_USER = 65534
TOKEN = "bXktc2VjcmV0LXRva2VuLW9mLXRoaXMtc2VydmVy"  # noqa: S105 - of a server that lasts as long as its test
# The text is put together by the step: nothing but the environment of a server has it as a whole.
SEARCH = """
steps:
  - name: look
    command: |
      wanted=$(printf %s%s bXktc2VjcmV0LXRva2Vu LW9mLXRoaXMtc2VydmVy)
      for file in /proc/[0-9]*/environ; do
        grep -qs "$wanted" "$file" && echo "found in $file"
      done
      grep -qs . /proc/$PPID/environ && echo "can read its shim"
      echo "done as $(id -u)"
"""

# Asks at the socket in its working directory, and prints the head of the answer.
CLIENT = """
import socket
client = socket.socket(socket.AF_UNIX)
client.connect("dagbook.sqlite3.sock")
client.sendall(b"GET /api/v2/dags HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
print(client.recv(1000).decode().split("\\r\\n")[0], flush=True)
"""


def _account() -> list[str]:
    """Return what starts a program under an account without privileges; nothing if this is one."""
    if os.geteuid() != 0:
        return []
    prefix = ["setpriv", f"--reuid={ORDINARY_USER}", f"--regid={ORDINARY_USER}", "--clear-groups"]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "app")}
    try:
        subprocess.run(
            [*prefix, sys.executable, "-P", "-c", "import dagbook.main"], env=environ, capture_output=True, check=True
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("no account without privileges can start this Python here")
    return prefix


@pytest.fixture(scope="module")
def ordinary(migrated_file: Path) -> Iterator[Program]:
    """A server of an account without privileges, with a token in its environment."""
    prefix = _account()
    with tempfile.TemporaryDirectory(prefix="dagbook-test-") as folder:  # pytest's are closed to other accounts
        home = Path(folder, "home")
        home.mkdir(mode=0o700)
        shutil.copy(migrated_file, home)
        if prefix:
            for path in (Path(folder), home, home / migrated_file.name):
                os.chown(path, ORDINARY_USER, ORDINARY_USER)
        server = Prefixed(prefix, home, "", settings={"auth_token": TOKEN})
        try:
            server.start().api.client.headers["Authorization"] = f"Bearer {TOKEN}"
            yield server
        finally:
            end(server)


def test_a_step_finds_no_secret_of_its_server_in_proc(ordinary: Program) -> None:
    run_id = ordinary.api.start(SEARCH)
    ordinary.api.ended(run_id)
    uid = ORDINARY_USER if os.geteuid() == 0 else os.geteuid()
    assert ordinary.api.log(run_id, "look").split("\n") == ["can read its shim", f"done as {uid}"]


def test_a_secret_of_a_server_s_environment_is_wiped_after_reading(ordinary: Program) -> None:
    shown = processes.read(ordinary.pid, "environ")  # root's eyes are not kept out
    assert TOKEN.encode() not in shown
    assert b"DAGBOOK_PORT=" in shown or os.geteuid() != 0


def test_no_file_of_the_home_has_the_token_in_it(ordinary: Program) -> None:
    ordinary.api.ended(ordinary.api.start(SEARCH))
    wait_for("the removal of the run's files", lambda: not ordinary.spooled())
    files = [path for path in ordinary.home.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    "prefix",
    ["", "setsid --wait", "setsid --fork", "env -i", "sh -c '\"$@\"; true' sh"],
    ids=lambda prefix: prefix[:12],
)
def test_a_step_is_refused_at_the_socket_of_its_server(ordinary: Program, prefix: str) -> None:
    client, answer = ordinary.home / "client.py", ordinary.home / "answer"
    client.write_text(CLIENT)
    client.chmod(0o644)
    command = f"cd {ordinary.home} && {prefix} python3 -I client.py >{answer} 2>&1"
    ordinary.api.ended(ordinary.api.start(f"steps:\n  - {{name: ask, command: {json.dumps(command)}}}\n"))
    assert wait_for("the answer", answer.read_text) == "HTTP/1.1 403 Forbidden\n"


def test_a_process_that_no_step_has_started_is_answered_at_the_socket(ordinary: Program) -> None:
    command = [*_account(), sys.executable, "-I", "-c", CLIENT]
    asked = subprocess.run(command, cwd=ordinary.home, capture_output=True, check=True)
    assert asked.stdout == b"HTTP/1.1 200 OK\n"


def test_a_command_of_a_step_says_what_to_do_instead(tmp_path: Path, migrated_file: Path) -> None:
    (tmp_path / "home").mkdir()
    shutil.copy(migrated_file, tmp_path / "home")
    server = Program(tmp_path / "home", "")
    program = f"env DAGBOOK_HOME={server.home} PYTHONPATH={ROOT / 'app'} {sys.executable} -P -m dagbook"
    try:
        api = server.start().api
        run_id = api.start(f"steps:\n  - {{name: ask, command: {json.dumps(f'{program} runs flow')}}}\n")
        api.ended(run_id)
        told = api.log(run_id, "ask", stream="stderr")
    finally:
        end(server)
    assert told == (
        "Error: a step cannot use the socket of the server that runs it; give it a token, and use the API by HTTP"
    )

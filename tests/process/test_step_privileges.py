"""What a step reaches of the server that starts it, under the same account."""

from __future__ import annotations

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


@pytest.fixture
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
    files = [path for path in ordinary.home.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []

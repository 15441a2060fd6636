"""The modes of the files that Dagbook makes, whatever umask and home; and the files of others that it tells of."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from dagbook.settings import read
from dagbook.settings.open_files import find_open_files
from dagbook.unix.files import make_private_folder
from tests.app.program import CommandLine, CommandResult
from tests.waiting import wait_until

SPEC = """
env:
  - LOG: ${DAG_RUN_LOG_FILE}
secrets:
  - {name: HIDDEN, provider: env, key: HOME}
steps:
  - name: a
    command: echo out; echo err >&2; cat "$LOG"; sleep 60
"""


class Open(CommandLine):
    """Processes whose umask takes nothing away."""

    async def begin(self, *arguments: str | Path) -> Process:
        command = ("sh", "-c", 'umask 000; exec "$@"', "sh", sys.executable, "-m", "dagbook", *map(str, arguments))
        return await asyncio.create_subprocess_exec(
            *command, env=self._env, cwd="/", stdin=PIPE, stdout=PIPE, stderr=PIPE
        )


def others(home: Path) -> dict[str, str]:
    """Return what other users may use, but for the working directories of steps, in ``work`` and in the spool."""
    found = {}
    for path in home.rglob("*"):
        with suppress(FileNotFoundError):  # the server deletes files of the spool meanwhile
            mode = path.lstat().st_mode
            is_working = home / "work" in path.parents or path.name.endswith("_work")
            if not stat.S_ISLNK(mode) and not is_working and mode & 0o077:
                found[str(path.relative_to(home))] = oct(stat.S_IMODE(mode))
    return found


@pytest.mark.parametrize("exists", [False, True], ids=["new home", "open home of others' making"])
async def test_nothing_in_a_home_is_open_to_other_users(tmp_path: Path, exists: bool) -> None:
    home = tmp_path / "above" / "home"
    if exists:
        (home / "spool").mkdir(parents=True)
        for folder in (home, home / "spool"):
            folder.chmod(0o777)
        (home / "dagbook.sqlite3").touch(0o666)
        (home / "dagbook.sqlite3").chmod(0o666)
    async with Open(home).server() as address, httpx.AsyncClient(base_url=f"{address}/api/v2") as client:
        assert (await client.post("/dag-runs", json={"name": "x", "spec": SPEC, "dagRunId": "one"})).status_code == 200

        async def has_output() -> bool:
            answer = await client.get("/dag-runs/x/one/steps/a/log")
            return answer.is_success and "out" in answer.json()["content"]

        await wait_until(has_output)
        assert {"dagbook.sqlite3-wal", "dagbook.sqlite3-shm", "dagbook.sqlite3.lock", "dagbook.sqlite3.sock"} <= {
            path.name for path in home.iterdir()
        }
        found = others(home)
        await client.post("/dag-runs/x/one/stop")
    assert found == {}
    assert others(home) == {}
    assert stat.S_IMODE(home.stat().st_mode) == (0o777 if exists else 0o700)
    assert exists or stat.S_IMODE(home.parent.stat().st_mode) == 0o700


def test_a_folder_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        (tmp_path / "old").mkdir(0o755)
        make_private_folder(tmp_path / "old" / "new" / "newest")
        make_private_folder(tmp_path / "old")
    finally:
        os.umask(before)
    names = ("old", "old/new", "old/new/newest")
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names] == [0o755, 0o700, 0o700]


@pytest.mark.parametrize(
    ("mode", "told"), [(0o600, False), (0o640, False), (0o644, True), (0o660, True), (0o602, True)]
)
@pytest.mark.parametrize("name", ["dagbook.yaml", "secret.key", "tls.key"])
def test_config_and_key_files_that_others_may_use_are_told_of(tmp_path: Path, name: str, mode: int, told: bool) -> None:
    file = tmp_path / name
    file.write_text("port: 1\n" if name == "dagbook.yaml" else "")
    file.chmod(mode)
    settings = read({"home": str(tmp_path), "tls_key_file": str(tmp_path / "tls.key")}, {}, tmp_path)
    (*warnings,) = find_open_files(settings)
    assert bool(warnings) is told
    assert all(str(file) in warning and "chmod" in warning for warning in warnings)


def test_serve_and_doctor_tell_of_them(command: Callable[..., CommandResult], tmp_path: Path) -> None:
    (tmp_path / "dagbook.yaml").write_text("port: 1\n")
    (tmp_path / "dagbook.yaml").chmod(0o644)
    assert f"Warning: {tmp_path}/dagbook.yaml " in command("serve", "--host", "192.0.2.1", "--insecure").err
    said = command("doctor")
    assert said.status == 0
    assert f"Warning: {tmp_path}/dagbook.yaml " in said.err

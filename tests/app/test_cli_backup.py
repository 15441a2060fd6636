"""``dagbook backup``, ``restore`` and ``resume`` as people use them."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.app.program import CommandLine, CommandResult

Command = Callable[..., CommandResult]


def test_a_backup_goes_to_another_home_and_is_held_there(command: Command, tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("k" * 64)
    (tmp_path / "other").mkdir()
    file, other = tmp_path / "backup.sqlite3", tmp_path / "other"
    said = command("backup", file, "--with-keys", "--json")
    assert said.status == 0, said.err
    made = json.loads(said.out)
    assert (made["file"], made["bytes"], made["keys"]) == (str(file), file.stat().st_size, f"{file}.keys")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = command("backup", file)
    assert (again.status, "exists already" in again.err) == (1, True)
    assert command("backup", file, "--force").status == 0
    restored = command("restore", file, "--home", other)
    assert (restored.status, "nothing" in restored.out) == (0, False), restored.err
    assert "is held" in restored.err
    assert (other / "secret.key").read_text().strip() == "k" * 64
    refused = command("exec", "--home", other, "--", "true")
    assert (refused.status, "is held" in refused.err) == (1, True)
    assert "is held" in command("ps", "--home", other).err
    resumed = command("resume", "--home", other, "--json")
    nothing = dict.fromkeys(("failedRuns", "queuedRuns", "droppedDeliveries", "closedAlerts", "deadEvents"), 0)
    assert (resumed.status, json.loads(resumed.out)) == (0, nothing)
    assert command("exec", "--home", other, "--", "true").status == 0
    assert "not held" in command("resume", "--home", other).err


def test_what_cannot_be_done_is_said_in_a_sentence(command: Command, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("x")
    for words, text in (
        (("backup", tmp_path), "is a folder"),
        (("backup", tmp_path / "none" / "file"), "there is no folder"),
        (("restore", tmp_path / "none"), "there is no file"),
        (("restore", tmp_path / "text", "--home", tmp_path / "new"), "is neither a SQLite database nor"),
        (("backup", tmp_path / "file", "--home", tmp_path / "new"), "there is no database"),
        (("snapshot", tmp_path / "file", "--home", tmp_path / "new"), "there is no database"),
        (("serve", "--snapshot", tmp_path / "text"), "is neither a SQLite database nor"),
    ):
        said = command(*words)
        assert (said.status, text in said.err, "Traceback" in said.err) == (1, True, False), said.err


def test_a_disk_that_fails_is_said_in_a_sentence(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert command("db", "upgrade").status == 0
    monkeypatch.setattr("dagbook.maintenance.backup.files.os.fsync", fail)
    said = command("backup", tmp_path / "backup")
    assert (said.status, said.err) == (1, "Error: the file could not be written: No space left on device\n")
    assert list(tmp_path.glob("*backup*")) == []


def test_only_a_file_is_replaced_and_not_the_database(command: Command, tmp_path: Path) -> None:
    assert command("db", "upgrade").status == 0
    database = tmp_path / "dagbook.sqlite3"
    (second_name := tmp_path / "second").hardlink_to(database)
    (link := tmp_path / "link").symlink_to(database)
    (dangling := tmp_path / "dangling").symlink_to(tmp_path / "none")
    (tmp_path / "file.keys").symlink_to(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    before = database.read_bytes()
    for words, text in (
        (("backup", database, "--force"), "is the database itself"),
        (("snapshot", second_name, "--force"), "is the database itself"),
        (("backup", tmp_path, "--force"), "is a folder"),
        (("backup", tmp_path / "pipe", "--force"), "is a device or a pipe"),
        (("backup", link, "--force"), f"is a link to {database}"),
        (("snapshot", dangling), f"is a link to {tmp_path / 'none'}"),
        (("backup", tmp_path / "file", "--with-keys", "--force"), "file.keys is a link to"),
    ):
        said = command(*words)
        assert (said.status, text in said.err) == (1, True), said.err
    assert (database.read_bytes(), link.is_symlink(), dangling.is_symlink()) == (before, True, True)
    assert not (tmp_path / "file").exists()


def test_a_backup_is_restored_through_a_link_but_only_from_a_file(command: Command, tmp_path: Path) -> None:
    assert command("db", "upgrade").status == 0
    assert command("backup", tmp_path / "backup").status == 0
    (link := tmp_path / "newest").symlink_to("backup")
    (dangling := tmp_path / "dangling").symlink_to("none")
    os.mkfifo(tmp_path / "pipe")
    (new := tmp_path / "new").mkdir()
    (new / "dagbook.sqlite3").symlink_to("elsewhere")
    for file, text in (
        (tmp_path, "is a folder"),
        (tmp_path / "pipe", "is a device or a pipe"),
        (dangling, "is a link to none, where no file is"),
    ):
        said = command("restore", file, "--home", new)
        assert (said.status, text in said.err) == (1, True), said.err
    restored = command("restore", link, "--home", new)
    assert restored.status == 0, restored.err
    assert ((new / "dagbook.sqlite3").is_symlink(), (new / "elsewhere").is_file()) == (True, True)


def test_only_what_a_killed_command_has_left_long_ago_is_removed(command: Command, tmp_path: Path) -> None:
    assert command("db", "upgrade").status == 0
    old, young, other = (tmp_path / name for name in (".dagbook-a.part-wal", ".dagbook-b.part", ".other.part"))
    for file in (old, young, other):
        file.touch()
    for file in (old, other):
        os.utime(file, (0, 0))
    assert command("backup", tmp_path / "backup").status == 0
    assert [file.name for file in (old, young, other) if file.exists()] == [young.name, other.name]


@pytest.mark.full
async def test_a_snapshot_is_shown_without_a_change_of_its_file(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "incident"
    home.mkdir()
    here = CommandLine(home)
    assert (await here.run("exec", "--name", "failed", "--", "false")).status == 1
    made = await here.run("snapshot", file, "--json")
    assert (made.status, json.loads(made.out)["file"]) == (0, str(file)), made.err
    before = file.read_bytes()
    (other := tmp_path / "other").mkdir()
    async with CommandLine(other).server("--snapshot", file) as address, httpx.AsyncClient(base_url=address) as client:
        (run,) = (await client.get("/api/v2/dag-runs")).json()["dagRuns"]
        assert (run["name"], run["statusLabel"]) == ("failed", "failed")
        page = (await client.get("/")).text
        assert "incident" in page
        for method, path in (("POST", "/dag-runs"), ("PUT", "/dags/x/spec"), ("GET", "/dag-runs/a/b/dequeue")):
            refused = await client.request(method, f"/api/v2{path}")
            assert (refused.status_code, "shows the snapshot incident" in refused.json()["message"]) == (403, True)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("incident")] == ["incident"]
    assert not list(other.glob("dagbook*"))


async def test_a_running_server_is_backed_up_and_a_held_one_is_resumed_through_its_socket(tmp_path: Path) -> None:
    (home := tmp_path / "home").mkdir()
    (other := tmp_path / "other").mkdir()
    here, there = CommandLine(home), CommandLine(other)
    async with here.server():
        assert (await here.run("exec", "--", "echo", "answered")).status == 0
        assert (await here.run("backup", tmp_path / "file")).status == 0
    with closing(sqlite3.connect(tmp_path / "file")) as file:
        assert file.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    assert (await there.run("restore", tmp_path / "file")).status == 0
    async with there.server():
        refused, resumed = await there.run("exec", "--", "true"), await there.run("resume")
        assert (refused.status, "is held" in refused.err) == (1, True)
        assert (resumed.status, resumed.out) == (0, "resumed: 0 runs failed, 0 start from their queues\n")
        async with asyncio.timeout(30):
            while (await there.run("exec", "--", "true")).status:
                pass

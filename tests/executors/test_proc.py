"""What Linux tells about processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dagbook.unix import proc
from dagbook.unix.proc import ProcessId

TAIL = "R 1 2 3 0 -1 4194304 67 0 0 0 0 0 0 0 20 0 1 0 645990 2744320"


@pytest.mark.parametrize("command", ["sh", "a b", "a) R 1", ") (", "((", "\N{REPLACEMENT CHARACTER}"])
def test_an_identity_is_read_whatever_the_command_is_called(command: str) -> None:
    assert proc.parse_stat(f"77 ({command}) {TAIL}\n") == ProcessId(77, 645990)


@pytest.mark.parametrize("line", ["", "\n", "77", "77 (sh", "77 (sh) R 1 2", f"x (sh) {TAIL}", f"77 (sh) {TAIL}"[:60]])
def test_an_incomplete_line_is_no_identity(line: str) -> None:
    assert proc.parse_stat(line) is None


def test_when_a_process_began_is_known_without_asking_for_it() -> None:
    """Ticks are counted as the kernel counts them, so one that begins and is there within one tick began in it."""
    known = 0
    while known < 20:
        before = proc.boot_ticks()
        child = subprocess.Popen(["true"])
        if proc.boot_ticks() == before:
            known += 1
            line = proc.write_stat(ProcessId(child.pid, before)).decode()
            assert proc.parse_stat(line) == proc.parse_stat(proc.read_stat(child.pid).decode())
            assert proc.parse_stat(line) == ProcessId(child.pid, before)
        child.wait()


def test_a_process_lives_until_it_ends_and_a_zombie_does_not() -> None:
    child = subprocess.Popen(["sleep", "30"])
    found = proc.identify(child.pid)
    assert found is not None
    assert proc.is_alive(found)
    assert not proc.is_alive(ProcessId(found.pid, found.started + 1))  # another one with the same number
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert proc.identify(child.pid) is None
    child.wait()
    assert proc.identify(child.pid) is None


def test_a_session_has_its_members_and_no_others() -> None:
    child = subprocess.Popen(["sh", "-c", "sleep 30 & echo; wait"], start_new_session=True, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    members = proc.session_members(child.pid)
    assert child.pid in members
    assert len(members) == 2
    assert os.getpid() not in members
    os.killpg(child.pid, 9)
    child.communicate()


def test_a_file_has_writers_while_somebody_holds_it_open_for_writing(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert proc.has_writers(path) is False
    with path.open("w"):
        assert proc.has_writers(path) is True
    with path.open("r"):
        assert proc.has_writers(path) is False
    with path.open("w"):  # and does not have to wait for a lease
        pass


def test_a_writer_that_opens_the_file_during_the_lease_does_not_end_this_process(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    looks = """
import sys; from pathlib import Path; from dagbook.unix import proc
for _ in range(20_000): proc.has_writers(Path(sys.argv[1]))
"""
    looking = subprocess.Popen([sys.executable, "-c", looks, path])
    while looking.poll() is None:
        os.close(os.open(path, os.O_WRONLY))
    assert looking.returncode == 0


def test_the_writers_of_a_file_are_found_and_its_readers_are_not(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    assert proc.find_writers(path.stat()) == []
    with path.open("a") as file:
        writer = subprocess.Popen(["sleep", "30"], stdout=file)
        assert proc.find_writers(path.stat()) == [writer.pid]  # and not this process
    with path.open() as file:
        reader = subprocess.Popen(["sleep", "30"], stdin=file)
    assert proc.find_writers(path.stat()) == [writer.pid]
    for child in (reader, writer):
        child.kill()
        child.wait()
    assert proc.find_writers(path.stat()) == []


def test_a_boot_and_a_namespace_have_names() -> None:
    assert re.fullmatch(r"[0-9a-f-]{36}", proc.boot_id())
    assert proc.pid_namespace().isdigit()

"""One process per SQLite file, and the socket at which it is asked."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dagbook.db.sqlite.lock_file import DatabaseOwned, Owner, acquire
from tests.conftest import ROOT

CLAIM_AND_WAIT = """
import sys
from dagbook.db.sqlite.lock_file import acquire
lock = acquire(sys.argv[1], "http://127.0.0.1:9")
print("claimed", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "dagbook.db"


def owner_of(file: Path) -> Owner | None:
    """Return who holds the file; where there is none it is held for an instant."""
    try:
        acquire(file, "test").release()
    except DatabaseOwned as error:
        return error.owner
    return None


def lock_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.lock")


def test_no_process_holds_a_file_that_none_uses(file: Path) -> None:
    assert owner_of(file) is None


def test_the_holder_is_known_by_address_process_and_socket(file: Path) -> None:
    lock = acquire(file, "http://127.0.0.1:8080")
    assert owner_of(file) == Owner(address="http://127.0.0.1:8080", pid=os.getpid(), socket=f"{file}.sock")
    lock.release()


def test_the_lock_file_holds_nothing_that_lets_anyone_in(file: Path) -> None:
    lock = acquire(file, "first")
    assert set(json.loads(lock_of(file).read_text())) == {"address", "pid", "socket"}
    lock.release()


def test_lock_file_and_socket_are_for_the_holders_user_only(file: Path) -> None:
    lock_of(file).touch(mode=0o644)
    before = os.umask(0)
    try:
        lock = acquire(file, "first")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (lock_of(file), Path(f"{file}.sock"))]
    assert modes == [0o600, 0o600]
    lock.release()


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://127.0.0.1:8080", r"the Dagbook server at http://127\.0\.0\.1:8080 \(process {}\); stop that server"),
        ("dagbook run", r"in use by dagbook run \(process {}\); wait until it has finished"),
    ],
)
def test_a_second_holder_is_refused_with_a_sentence(file: Path, address: str, told: str) -> None:
    lock = acquire(file, address)
    with pytest.raises(DatabaseOwned, match=told.format(os.getpid())):
        acquire(file, "http://127.0.0.1:8081")
    lock.release()


def test_the_next_process_may_after_the_first_let_go(file: Path) -> None:
    first = acquire(file, "first")
    first.release()
    first.release()
    assert not Path(f"{file}.sock").exists()
    second = acquire(file, "second")
    found = owner_of(file)
    assert found is not None
    assert found.address == "second"
    second.release()


def test_another_name_of_the_file_is_the_same_file(file: Path) -> None:
    file.touch()
    link = file.with_name("link.db")
    link.symlink_to(file)
    lock = acquire(link, "first")
    with pytest.raises(DatabaseOwned):
        acquire(file, "second")
    lock.release()


def test_a_killed_process_holds_nothing_and_its_socket_is_not_in_the_way(file: Path) -> None:
    command = [sys.executable, "-c", CLAIM_AND_WAIT, str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"claimed\n"
        found = owner_of(file)
        process.kill()
    assert found == Owner(address="http://127.0.0.1:9", pid=process.pid, socket=f"{file}.sock")
    assert Path(f"{file}.sock").exists()
    lock = acquire(file, "second")
    assert _can_connect(lock.listener, f"{file}.sock")
    lock.release()


def test_a_process_that_is_about_to_run_another_program_keeps_no_lock(file: Path) -> None:
    lock = acquire(file, "first")
    (held,) = [int(path.name) for path in Path("/proc/self/fd").iterdir() if _leads_to(path, lock_of(file))]
    copy = os.dup(held)  # as a child has it between fork and exec
    lock.release()
    assert owner_of(file) is None
    os.close(copy)


def test_a_socket_whose_path_would_be_too_long_is_in_a_private_folder(file: Path) -> None:
    deep = file.with_name("d" * 100) / file.name
    deep.parent.mkdir()
    first = acquire(deep, "first")
    found = owner_of(deep)
    assert found is not None
    path = Path(found.socket)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert _can_connect(first.listener, str(path))
    first.release()
    assert not path.parent.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_private_folder_of_another_user_is_not_used(file: Path) -> None:
    deep = file.with_name("d" * 100) / file.name
    deep.parent.mkdir()
    usual = _folder_of_socket(deep)
    usual.mkdir(mode=0o700)
    os.chown(usual, 65_534, 65_534)
    other = _folder_of_socket(deep)
    usual.rmdir()
    assert other != usual


def _folder_of_socket(file: Path) -> Path:
    lock = acquire(file, "first")
    found = owner_of(file)
    lock.release()
    assert found is not None
    return Path(found.socket).parent


def test_a_file_that_is_no_socket_is_let_be(file: Path) -> None:
    Path(f"{file}.sock").write_text("of the user")
    lock = acquire(file, "first")
    found = owner_of(file)
    lock.release()
    assert found is not None
    assert found.socket != f"{file}.sock"
    assert Path(f"{file}.sock").read_text() == "of the user"


def _leads_to(link: Path, file: Path) -> bool:
    try:
        return link.readlink() == file
    except FileNotFoundError:  # that of the folder that was listed
        return False


def _can_connect(listener: socket.socket, path: str) -> bool:
    listener.listen()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        return client.connect_ex(path) == 0

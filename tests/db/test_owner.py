"""One server per SQLite file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.db.owner import DatabaseOwned, Owner, claim, read_owner
from tests.conftest import ROOT

SECRET = "of a start"  # noqa: S105 - of tests
CLAIM_AND_WAIT = """
import sys
from app.db.owner import claim
lock = claim(sys.argv[1], "http://127.0.0.1:9")
print("claimed", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "dagbook.db"


def test_nobody_owns_a_file_that_no_server_uses(file: Path) -> None:
    assert read_owner(file) is None


def test_the_owner_is_known_by_address_and_process(file: Path) -> None:
    lock = claim(file, "http://127.0.0.1:8080")
    assert read_owner(file) == Owner(address="http://127.0.0.1:8080", pid=os.getpid())
    lock.release()


def test_the_token_of_a_server_is_for_its_own_user_only(file: Path) -> None:
    file.with_name(f"{file.name}.lock").touch(mode=0o644)
    lock = claim(file, "http://127.0.0.1:8080", SECRET)
    assert read_owner(file) == Owner(address="http://127.0.0.1:8080", pid=os.getpid(), token=SECRET)
    assert file.with_name(f"{file.name}.lock").stat().st_mode & 0o777 == 0o600
    with pytest.raises(DatabaseOwned) as caught:
        claim(file, "http://127.0.0.1:9")
    assert SECRET not in str(caught.value)
    lock.release()


def test_a_second_server_is_refused_with_a_sentence(file: Path) -> None:
    lock = claim(file, "http://127.0.0.1:8080")
    with pytest.raises(DatabaseOwned, match=rf"http://127\.0\.0\.1:8080 \(process {os.getpid()}\)"):
        claim(file, "http://127.0.0.1:8081")
    lock.release()


def test_the_next_server_may_after_the_first_let_go(file: Path) -> None:
    first = claim(file, "first")
    first.release()
    first.release()
    assert read_owner(file) is None
    second = claim(file, "second")
    assert read_owner(file) == Owner(address="second", pid=os.getpid())
    second.release()


def test_another_name_of_the_file_is_the_same_file(file: Path) -> None:
    file.touch()
    link = file.with_name("link.db")
    link.symlink_to(file)
    lock = claim(link, "first")
    with pytest.raises(DatabaseOwned):
        claim(file, "second")
    lock.release()


def test_a_killed_server_owns_nothing(file: Path) -> None:
    command = [sys.executable, "-c", CLAIM_AND_WAIT, str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"claimed\n"
        assert read_owner(file) == Owner(address="http://127.0.0.1:9", pid=process.pid)
        process.kill()
    assert read_owner(file) is None
    claim(file, "second").release()

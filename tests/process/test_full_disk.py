"""The disk under home and database is full for a while."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.process import conftest, invariants, processes
from tests.process.program import Program, node
from tests.process.waiting import wait_for

_SIZE = "8m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    path = tmp_path / "disk"
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", path], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small file system for the test could not be mounted: {done.stderr.strip()}")
    try:
        yield path
    finally:
        # Lazily: whatever still holds a file open must not keep the folder from being removed.
        subprocess.run(["umount", "--lazy", path], check=True)


@pytest.fixture
def server(disk: Path) -> Iterator[Program]:
    program = Program(disk / "home", log=disk.with_name("server.log"))
    try:
        yield program.start()
    finally:
        conftest.end(program)
        wait_for("the disk to be free", lambda: not processes.with_argument(str(disk)))
    assert invariants.find_violations(program.database_url) == []


def _fill(path: Path) -> None:
    """Take every byte that is left."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (65536, 4096, 1):
            while _write(descriptor, b"x" * size):
                pass
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> int:
    try:
        return os.write(descriptor, data)
    except OSError:
        return 0


def test_a_full_disk_is_told_and_nothing_false_is_stored(server: Program, disk: Path, tmp_path: Path) -> None:
    witness, go = tmp_path / "witness", tmp_path / "go"
    spec = f"""
maxActiveRuns: 10
steps:
  - name: first
    command: echo first >>{witness}; while [ ! -e {go} ]; do sleep 0.05; done
  - name: second
    command: echo second >>{witness}; echo whole
    output: SAID
"""
    run_id = server.api.start(spec)
    wait_for("the step", witness.exists)
    _fill(disk / "ballast")

    refused = wait_for("a refusal", lambda: _refusal(server, spec))
    assert refused.json()["code"] == "internal_error"
    assert "disk is full" in refused.json()["message"]
    unhealthy = server.api.client.get("/health")
    assert (unhealthy.status_code, unhealthy.json()["status"]) == (503, "unhealthy")
    assert "full" in unhealthy.json()["problem"]
    go.touch()
    wait_for("the end of the step", lambda: not server.shims("first"))
    assert server.api.run(run_id)["statusLabel"] == "running"

    (disk / "ballast").unlink()
    run = server.api.ended(run_id)
    assert run["statusLabel"] == "succeeded", node(run, "second")
    assert server.api.log(run_id, "second") == "whole"
    assert witness.read_text().split() == ["first", "second"]
    assert server.api.ended(server.api.start(spec))["statusLabel"] == "succeeded"
    wait_for("a healthy server", lambda: server.api.client.get("/health").status_code == httpx.codes.OK)


def test_health_tells_a_full_disk_though_no_request_writes(server: Program, disk: Path) -> None:
    health = server.api.client.get("/health")
    assert (health.status_code, "problem" in health.json()) == (200, False)
    _fill(disk / "ballast")
    assert "full" in _problem(server)
    (disk / "ballast").unlink()
    wait_for("a healthy server", lambda: server.api.client.get("/health").status_code == httpx.codes.OK)


def _problem(server: Program) -> str:
    """Wait until the server is unhealthy."""

    def look() -> str:
        answer = server.api.client.get("/health")
        return str(answer.json()["problem"]) if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else ""

    return wait_for("an unhealthy server", look)


def _refusal(server: Program, spec: str) -> httpx.Response | None:
    """Start runs until the database has no room left in the space it had taken before."""
    answer = server.api.post_run(spec, name="other")
    return answer if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else None


def test_a_step_whose_spool_has_no_room_fails_with_the_reason(server: Program, disk: Path) -> None:
    """Only the spool is full: the database lies elsewhere."""
    server.kill()
    elsewhere = Program(disk / "home", f"sqlite:///{disk.parent}/elsewhere.sqlite3", log=disk.with_name("other.log"))
    try:
        elsewhere.start()
        _fill(disk / "ballast")
        run = elsewhere.api.ended(elsewhere.api.start("steps:\n  - name: only\n    command: echo out\n"))
        assert run["statusLabel"] == "failed"
        assert "No space left" in node(run, "only")["error"] or "could not begin" in node(run, "only")["error"]
        (disk / "ballast").unlink()
        assert elsewhere.api.ended(elsewhere.api.start("steps:\n  - echo out\n"))["statusLabel"] == "succeeded"
    finally:
        conftest.end(elsewhere)

"""How much work starts are: seconds of processor time, which other programs of a busy machine change little."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import conftest, processes
from tests.process.program import ROOT, Program

# On two idle cores: help 0.1, a command with a server 0.2, without one 0.9, a server 1.1, with a new database 1.4.
HELP, WITH_SERVER, ALONE, SERVER, NEW_SERVER = 0.4, 0.9, 3.0, 3.0, 4.0
# Libraries that only some requests, steps or databases need, and that take a fifth of the time of a command.
LATER = ("alembic", "apscheduler", "jsonschema", "pydantic")
STATUS = ("status", "flow")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server with one run; modules are compiled once, as an installer does."""
    folder = tmp_path_factory.mktemp("start-up")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(folder / "compiled"))
        patch.setenv("PYTHONPATH", str(ROOT / "app"))
        server = Program(folder / "home")
        try:
            server.start()
            server.api.ended(server.api.start("steps:\n  - echo one\n"))
            assert seconds(server, "status", "flow") > 0  # compiles the modules of commands
            yield server
        finally:
            conftest.end(server)


def seconds(server: Program, *words: str) -> float:
    """Return the processor time of a command."""
    command = subprocess.Popen(
        [sys.executable, "-P", "-m", "dagbook", *words],
        env=os.environ | {"DAGBOOK_HOME": str(server.home)},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(command.pid, 0)
    command.returncode = os.waitstatus_to_exitcode(status)
    assert command.returncode == 0
    return usage.ru_utime + usage.ru_stime


def until_answered(server: Program) -> float:
    """Start a server; return the processor time that it has taken at its first answer."""
    server.start()
    fields = processes.read(server.pid, "stat").rpartition(b") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_commands_start_at_once_beside_a_server_and_soon_without(server: Program) -> None:
    assert seconds(server, "--help") < HELP
    assert seconds(server, *STATUS) < WITH_SERVER
    server.terminate()
    assert seconds(server, *STATUS) < ALONE
    program = (
        f"import sys, dagbook.cli; assert dagbook.cli.execute({STATUS!r}) == 0; print(*sys.modules, file=sys.stderr)"
    )
    alone = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=os.environ | {"DAGBOOK_HOME": str(server.home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"litestar", "sqlalchemy"} <= set(alone.stderr.split())  # it has answered by itself
    assert not set(LATER) & set(alone.stderr.split())


def test_a_server_answers_soon_also_with_a_new_database(server: Program, tmp_path: Path) -> None:
    server.kill()
    assert until_answered(server) < SERVER
    new = Program(tmp_path / "home")
    try:
        assert until_answered(new) < NEW_SERVER
    finally:
        conftest.end(new)

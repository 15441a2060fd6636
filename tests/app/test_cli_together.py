"""Several commands on one SQLite file, with and without a server: the holder of the file answers the others."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
from asyncio.subprocess import Process
from pathlib import Path

import msgspec
import pytest

from dagbook.accounts.auth_setup import command_settings
from dagbook.db.migrations.upgrade import upgrade
from dagbook.db.sqlite.lock_file import DatabaseOwned, ServerLock, acquire
from dagbook.main import open_server
from dagbook.runs.model import StartOptions
from dagbook.settings import read
from dagbook.unix.unix_accounts import account_name
from tests.app.program import CommandLine, CommandResult, end
from tests.waiting import PATIENCE_SECONDS, until_written, wait_until

ORDINARY_USER = 65_534
# What a start needs is open and a run has begun; which of these were loaded for that?
LOADED = """
import asyncio, sys
from pathlib import Path
from dagbook.cli.transport import Mode
from dagbook.cli.local import ServerTransport
from dagbook.settings import read

async def main():
    holder = ServerTransport(read({}, {}, Path(sys.argv[1])), "run", Mode.RUN)
    server = await holder.enter()
    from dagbook.runs.model import StartOptions
    await server.services.runs.run_service.start_text("steps: [{command: 'true'}]", "flow", StartOptions())
    print(sorted({"litestar", "uvicorn"} & set(sys.modules)))
    await holder.aclose()

asyncio.run(main())
"""


class Flow:
    """A definition whose first step waits until it is let go; how often it began is written down."""

    def __init__(self, home: Path, name: str) -> None:
        self.name = name
        self.path = home / f"{name}.yaml"
        self._begun, self._go = home / f"{name}-begun", home / f"{name}-go"
        wait = f"while [ ! -e {self._go} ]; do sleep 0.02; done"
        first = f"echo x >>{self._begun}; echo {name} begins; {wait}; echo {name} ends"
        steps = [
            {"name": "first", "command": first},
            {"name": "second", "command": f"echo {name} is over", "depends": "first"},
        ]
        self.path.write_text(json.dumps({"steps": steps}))

    async def until_begun(self) -> None:
        await until_written(self._begun)

    def let_go(self) -> None:
        self._go.touch()

    @property
    def times_begun(self) -> int:
        return len(self._begun.read_text().split())

    def assert_done(self, said: CommandResult) -> None:
        """See that the command was told of everything, and of each thing once."""
        assert said.status == 0, said
        shown = re.sub(rf"^{self.name}  .*$", "RUN", said.out, flags=re.MULTILINE).splitlines()
        steps = ["▶ first", f"  {self.name} begins", f"  {self.name} ends", "✓ first"]
        assert shown == ["RUN", *steps, "▶ second", f"  {self.name} is over", "✓ second", "succeeded"], said
        assert self.times_begun == 1


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all tables, for migrations take longer than all that is seen here."""
    path = tmp_path_factory.mktemp("migrated") / "dagbook.sqlite3"
    asyncio.run(upgrade(f"sqlite:///{path}"))
    return path


@pytest.fixture
def file(tmp_path: Path, migrated: Path) -> Path:
    return Path(shutil.copy(migrated, tmp_path / "dagbook.sqlite3"))


@pytest.fixture
def line(file: Path) -> CommandLine:
    return CommandLine(file.parent)


async def until_held(file: Path, pid: int) -> None:
    """Wait until a process holds the file and answers there."""

    async def look() -> bool:
        try:
            acquire(file, "test").release()
        except DatabaseOwned as error:
            return error.owner.pid == pid and _answers(error.owner.socket)
        return False

    await wait_until(look)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        return client.connect_ex(path) == 0


async def two_runs(line: CommandLine, file: Path, first: Flow, second: Flow) -> tuple[Process, Process]:
    """Begin two runs, of which the first one's command holds the file."""
    holder = await line.begin("start", first.path)
    await until_held(file, holder.pid)
    other = await line.begin("start", second.path)
    await second.until_begun()
    return holder, other


async def test_two_commands_at_a_time_both_run(line: CommandLine, tmp_path: Path) -> None:
    flows = [Flow(tmp_path, name) for name in ("one", "two")]
    processes = [await line.begin("start", flow.path) for flow in flows]
    for flow in flows:
        await flow.until_begun()
        flow.let_go()
    for flow, process in zip(flows, processes, strict=True):
        flow.assert_done(await end(process))


async def test_the_run_of_a_command_goes_on_when_the_one_that_drove_it_is_done(
    line: CommandLine, tmp_path: Path, file: Path
) -> None:
    first, second = Flow(tmp_path, "one"), Flow(tmp_path, "two")
    holder, other = await two_runs(line, file, first, second)
    first.let_go()
    first.assert_done(await end(holder))
    await until_held(file, other.pid)
    second.let_go()
    second.assert_done(await end(other))


async def test_the_run_of_a_command_goes_on_when_the_one_that_drove_it_is_killed(
    line: CommandLine, tmp_path: Path, file: Path
) -> None:
    first, second = Flow(tmp_path, "one"), Flow(tmp_path, "two")
    holder, other = await two_runs(line, file, first, second)
    holder.send_signal(signal.SIGKILL)
    await end(holder)
    await until_held(file, other.pid)
    first.let_go()
    assert "succeeded" in await wait_until(lambda: _over(line, first))
    second.let_go()
    second.assert_done(await end(other))
    assert first.times_begun == 1


async def _over(line: CommandLine, flow: Flow) -> str | None:
    said = await line.run("status", flow.name)
    return said.out if "finished" in said.out else None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_command_takes_its_run_over_when_the_server_ends_and_gives_it_to_the_next_one(
    line: CommandLine, tmp_path: Path, file: Path, number: signal.Signals
) -> None:
    flow = Flow(tmp_path, "flow")
    server = await _serve(line)
    command = await line.begin("start", flow.path)
    await flow.until_begun()
    server.send_signal(number)
    await end(server)
    await until_held(file, command.pid)
    async with line.server():
        with pytest.raises(DatabaseOwned) as found:
            acquire(file, "test")
        assert found.value.owner.is_server
        flow.let_go()
        flow.assert_done(await end(command))


async def _serve(line: CommandLine) -> Process:
    process = await line.begin("serve", "--port", "0")
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while b"Dagbook serves " not in (said := await process.stderr.readline()):
            assert said, "the server ended"
    return process


async def test_commands_ask_the_one_that_drives_a_run(line: CommandLine, tmp_path: Path, file: Path) -> None:
    flow, other = Flow(tmp_path, "flow"), Flow(tmp_path, "other")
    holder = await line.begin("start", flow.path, "--run-id", "r1")
    await until_held(file, holder.pid)
    assert "running" in (await line.run("status", "flow")).out
    assert "r1" in (await line.run("runs")).out
    enqueued = await line.run("enqueue", other.path, "--run-id", "q1")
    assert enqueued.out == "run q1 is queued until a server starts it\n", enqueued
    assert (await line.run("dequeue", "other")).out == "run q1 of DAG other is removed from its queue\n"
    entries = [json.loads(text) for text in (await line.run("audit", "list", "--json")).out.splitlines()]
    assert {(entry["actor"], entry["via"]) for entry in entries} == {(account_name(os.geteuid()), "cli")}
    added = await line.run("users", "add", "ann", given="correct horse\n")
    assert added.out == "created user ann with role viewer\n", added
    stopped = await line.run("stop", "flow", "r1")
    assert stopped.out == "run r1 of DAG flow was asked to stop\nrun r1 of DAG flow is finished: aborted\n", stopped
    assert (await end(holder)).status == 0


async def test_a_retry_goes_through_the_command_that_holds_the_file(
    line: CommandLine, tmp_path: Path, file: Path
) -> None:
    failing = tmp_path / "failing.yaml"
    failing.write_text(f"steps: [{{name: a, command: 'test -e {tmp_path}/cure'}}]\n")
    assert (await line.run("start", failing, "--run-id", "f1")).status == 1
    flow = Flow(tmp_path, "flow")
    holder = await line.begin("start", flow.path)
    await until_held(file, holder.pid)
    (tmp_path / "cure").touch()
    retried = await line.run("retry", "failing", "f1")
    assert (retried.status, "succeeded" in retried.out) == (0, True), retried
    flow.let_go()
    flow.assert_done(await end(holder))


async def test_a_stop_that_is_asked_for_in_the_terminal_reaches_the_process_that_drives_the_run(
    line: CommandLine, tmp_path: Path, file: Path
) -> None:
    first, second = Flow(tmp_path, "one"), Flow(tmp_path, "two")
    holder, other = await two_runs(line, file, first, second)
    assert other.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        await other.stdout.readline()  # it watches its run by now
    other.send_signal(signal.SIGINT)
    said = await end(other)
    assert (said.status, said.out.splitlines()[-1]) == (0, "aborted"), said
    first.let_go()
    first.assert_done(await end(holder))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
async def test_another_user_is_not_answered_even_where_the_socket_can_be_reached(
    line: CommandLine, tmp_path: Path
) -> None:
    tmp_path.chmod(0o711)
    path = tmp_path / "dagbook.sqlite3.sock"
    async with line.server():
        assert await _status_as(0, path) == "HTTP/1.1 200 OK"
        assert await _status_as(ORDINARY_USER, path) == "PermissionError"
        path.chmod(0o666)
        assert await _status_as(ORDINARY_USER, path) == "not answered"


async def _status_as(uid: int, path: Path) -> str:
    """Ask at a socket as another user; return the first line of the answer, or why there is none."""
    script = """
import os, socket, sys
uid, folder, name = sys.argv[1:]
os.chdir(folder)
os.setgid(int(uid)); os.setuid(int(uid))
try:
    client = socket.socket(socket.AF_UNIX); client.connect(name)
    client.sendall(b"GET /api/v2/dags HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    print(client.recv(1000).decode().split("\\r\\n")[0] or "not answered")
except (ConnectionResetError, BrokenPipeError):
    print("not answered")
except OSError as error:
    print(type(error).__name__)
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", script, str(uid), str(path.parent), path.name, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return out.decode().strip()


async def test_a_path_that_is_too_long_for_a_socket_does_not_keep_commands_apart(tmp_path: Path, file: Path) -> None:
    home = tmp_path / ("d" * 100)
    home.mkdir()
    file.rename(home / file.name)
    line, first, second = CommandLine(home), Flow(tmp_path, "one"), Flow(tmp_path, "two")
    holder, other = await two_runs(line, home / "dagbook.sqlite3", first, second)
    for flow, process in ((first, holder), (second, other)):
        flow.let_go()
        flow.assert_done(await end(process))


def _claim_as_older_version(file: Path) -> ServerLock:
    lock = acquire(file, "http://127.0.0.1:9")
    path = file.with_name(f"{file.name}.lock")
    told = {"address": "http://127.0.0.1:9", "pid": os.getpid(), "token": "x", "certificate": ""}
    path.write_text(json.dumps(told))
    return lock


async def test_a_server_of_an_older_version_is_named(line: CommandLine, file: Path) -> None:
    lock = _claim_as_older_version(file)
    said = await line.run("status", "flow")
    lock.release()
    assert said.status == 1
    server = f"the Dagbook server at http://127.0.0.1:9 (process {os.getpid()})"
    assert said.err == f"Error: {server} is an older version, which does not accept commands of this one; restart it\n"


async def test_a_second_server_is_refused(line: CommandLine) -> None:
    async with line.server() as address:
        said = await line.run("serve", "--port", "0")
    assert said.status == 1
    assert f"is in use by the Dagbook server at {address}" in said.err


@pytest.mark.parametrize("accepted", [True, False])
async def test_a_start_whose_answer_is_lost_is_neither_lost_nor_done_twice(
    line: CommandLine, tmp_path: Path, file: Path, *, accepted: bool
) -> None:
    flow = Flow(tmp_path, "flow")
    lock = acquire(file, "dagbook run")
    lock.listener.listen()
    lock.listener.setblocking(False)
    command = await line.begin("start", flow.path)
    connection, body = await _receive_start(lock.listener)
    if accepted:
        settings = read({"default_shell": "/bin/sh"}, {}, tmp_path)
        async with open_server(command_settings(settings), "run", "") as server:
            start = StartOptions(run_id=body["dagRunId"], source_directory=body["sourceDirectory"])
            await server.services.runs.run_service.start_text(body["spec"], body["name"], start)
            await flow.until_begun()
    connection.close()
    lock.release()
    await flow.until_begun()
    flow.let_go()
    flow.assert_done(await end(command))


async def _receive_start(listener: socket.socket) -> tuple[socket.socket, dict[str, str]]:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE_SECONDS):
        connection, _ = await loop.sock_accept(listener)
        received = b""
        while True:
            received += await loop.sock_recv(connection, 65_536)
            try:
                return connection, msgspec.json.decode(received.partition(b"\r\n\r\n")[2])
            except msgspec.DecodeError:
                continue


async def test_the_first_step_of_a_command_does_not_wait_for_the_web_framework(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LOADED, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out == b"[]\n"

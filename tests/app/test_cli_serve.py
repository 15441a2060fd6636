"""``dagbook serve``: what it refuses before it serves, and that it serves."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from dagbook.cli import execute as run
from dagbook.cli.server.listener import server_address
from dagbook.settings import read
from tests.app.program import CommandLine, CommandResult, end
from tests.conftest import ROOT
from tests.waiting import PATIENCE_SECONDS


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "dags.example"])  # noqa: S104 - refused
def test_a_host_that_others_can_reach_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], host: str) -> None:
    assert run(["serve", "--home", str(tmp_path), "--host", host, "--port", "0"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Error: host")
    assert host in said
    assert "authentication" in said
    assert not list(tmp_path.iterdir())


async def test_a_start_tells_what_it_does_and_nothing_of_its_libraries(tmp_path: Path) -> None:
    line = CommandLine(tmp_path, auth_mode="none")
    for first in (True, False):
        process = await line.begin("serve", "--port", "0")
        assert process.stderr is not None
        lines: list[str] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not lines or not lines[-1].startswith("Dagbook serves"):
                lines.append((await process.stderr.readline()).decode())
                assert lines[-1]
        process.terminate()
        lines += (await end(process)).err.splitlines()
        (ready,) = (text for text in lines if text.startswith("Dagbook serves"))
        assert f" on host {socket.gethostname()} with sqlite:///" in ready
        told = [text for text in lines if text != ready]
        assert bool(told) is first
        assert all(
            "logger=dagbook.db.migrations.upgrade" in text and "the database is now at revision" in text
            for text in told
        )


@pytest.mark.parametrize(
    ("settings", "is_asked"), [({}, True), ({"auth_mode": "none"}, False), ({"auth_token": "t" * 24}, False)], ids=str
)
async def test_a_start_asks_for_a_mode_of_authentication_where_none_is_set(
    tmp_path: Path, settings: dict[str, str], is_asked: bool
) -> None:
    process = await CommandLine(tmp_path, **settings).begin("serve", "--port", "0")
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        said = await process.stderr.readuntil(b"Dagbook serves")
    process.terminate()
    await end(process)
    assert (b"set auth_mode to builtin" in said) is is_asked


@pytest.mark.parametrize(("settings", "is_logged"), [({}, False), ({"DAGBOOK_REQUEST_LOG": "on"}, True)], ids=str)
async def test_the_log_in_a_terminal_has_requests_only_where_they_are_asked_for(
    tmp_path: Path, settings: dict[str, str], is_logged: bool
) -> None:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}/app", "DAGBOOK_HOME": str(tmp_path), **settings}
    terminal, other = os.openpty()
    command = (sys.executable, "-m", "dagbook", "serve", "--port", "0", "--auth-mode", "none")
    process = await asyncio.create_subprocess_exec(*command, env=env, stderr=other)
    os.close(other)
    said = b""
    while b"Dagbook serves " not in said:
        said += await asyncio.to_thread(os.read, terminal, 4096)
    address = said.decode().partition("Dagbook serves ")[2].split()[0]
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{address}/api/v2/dags")).status_code == 200
    process.terminate()
    while more := await asyncio.to_thread(_read_terminal, terminal):
        said += more
    assert await process.wait() == 0
    assert (b"message=request" in said) is is_logged


def _read_terminal(terminal: int) -> bytes:
    """Read from a terminal; nothing when the last process has closed it, which Linux reports as an error."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


async def test_a_second_server_on_one_file_is_refused_with_the_address_of_the_first(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    async with line.server() as address:
        second, upgrade = await asyncio.gather(line.run("serve", "--port", "0"), line.run("db", "upgrade"))
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{address}/api/v2/health")).json()["status"] == "healthy"
    for said in (second, upgrade):
        assert said.status == 1
        assert said.err.count("\n") == 1
        assert address in said.err


def test_the_address_of_an_ipv6_host_can_be_called(tmp_path: Path) -> None:
    settings = read({"host": "::1", "base_path": "/flows"}, {}, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = httpx.URL(server_address(settings, listener))
        assert (url.host, url.port, url.path) == ("::1", listener.getsockname()[1], "/flows")


def test_a_port_that_is_taken_is_told(command: Callable[..., CommandResult]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = command("serve", "--port", str(port))
    assert said.status == 1
    assert said.err.startswith(f"Error: port {port} ")


def test_a_database_that_is_not_there_is_told(command: Callable[..., CommandResult]) -> None:
    said = command("serve", "--port", "0", "--database-url", "postgresql://nobody@127.0.0.1:1/none")
    assert said.status == 1
    assert "unavailable" in said.err


def test_a_server_tells_what_was_to_configure_dagu_before_it_starts_open(
    command: Callable[..., CommandResult], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DAGU_AUTH_MODE", "builtin")
    monkeypatch.setenv("DAG_RUN_ID", "1")  # also in a step
    monkeypatch.setenv("DAGU_HOME", str(tmp_path / "dagu"))
    (tmp_path / "dagu").mkdir()
    (tmp_path / "dagu" / "config.yaml").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = command("serve", "--port", str(taken.getsockname()[1]))
    notice, error = said.err.splitlines()
    assert error.startswith("Error: port ")
    assert notice == (
        f"Notice: DAGU_AUTH_MODE is set: Dagbook's is DAGBOOK_AUTH_MODE; "
        f"{tmp_path}/dagu/config.yaml is not read: Dagbook's is {tmp_path}/dagbook.yaml"
    )


def over(path: Path) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v2", timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize("mode", ["0600", "0660"])
async def test_a_unix_socket_is_listened_on_instead_of_a_port(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))  # as a server leaves it that was killed
    line = CommandLine(tmp_path, socket=str(path), socket_mode=mode, auth_token="t" * 32)
    async with line.server() as address, over(path) as client:
        assert address == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)
        forwarded = {"X-Forwarded-For": "203.0.113.9", "Authorization": f"Bearer {'t' * 32}"}
        body = {"name": "made", "spec": "steps: []"}
        assert (await client.post("/dags", json=body, headers=forwarded)).status_code == 201
        entries = (await client.get("/audit", headers=forwarded)).json()["entries"]
        assert entries[0]["address"] == "203.0.113.9"  # what may connect is trusted like a proxy
        (tmp_path / "other").mkdir()
        other = await CommandLine(tmp_path / "other", socket=str(path)).run("serve")
        assert (other.status, other.err) == (
            1,
            f"Error: socket {path} is in use by another process; stop it, or choose another path\n",
        )
        assert (await client.get("/health")).status_code == 200
    assert not path.exists()


async def test_a_unix_socket_without_authentication_serves_no_proxy(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    async with CommandLine(tmp_path, socket=str(path)).server(), over(path) as client:
        assert (await client.get("/dags")).status_code == 200
        assert (await client.get("/dags", headers={"X-Forwarded-For": "203.0.113.9"})).status_code == 403


@pytest.mark.parametrize(
    ("name", "problem"), [("file", "Address already in use"), ("none/sock", "No such file"), ("x" * 120, "107 bytes")]
)
def test_a_path_that_is_no_place_for_a_socket_is_told(
    command: Callable[..., CommandResult], tmp_path: Path, name: str, problem: str
) -> None:
    (tmp_path / "file").write_text("kept")
    said = command("serve", "--socket", tmp_path / name)
    assert said.status == 1
    assert said.err.startswith("Error: socket ")
    assert problem in said.err
    assert (tmp_path / "file").read_text() == "kept"

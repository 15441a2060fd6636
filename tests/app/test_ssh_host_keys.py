"""Trust on first use of SSH hosts, from the first connection to an accepted new key (docs/workflows/remote.md)."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.app.dagbook import Dagbook, client_of, serving
from tests.app.people import code_of
from tests.app.program import CommandLine, Said
from tests.conftest import SqliteCopies
from tests.executors import ssh_server
from tests.executors.ssh_server import PASSWORD, USER

KEY = {"host": "Build.example", "algorithm": "ssh-ed25519", "fingerprint": "SHA256:" + "x" * 43}


def spec(port: int) -> str:
    login = f"{{host: 127.0.0.1, port: {port}, user: {USER}, password: {PASSWORD}}}"
    return f"steps: [{{name: a, executor: {{type: ssh, config: {login}}}, command: echo far}}]"


async def test_a_host_that_changes_its_key_is_refused_until_the_command_in_the_error_accepts_it(
    sqlite_copies: SqliteCopies, tmp_path: Path, name: str
) -> None:
    url = f"sqlite:///{tmp_path}/test.db"
    sqlite_copies.copy_to(tmp_path / "test.db")
    trusting = {"ssh_strict_host_key": "accept-new"}
    async with serving(url, tmp_path, **trusting) as server, client_of(server) as client:
        dagbook = Dagbook(client, name)
        async with ssh_server.serving(tmp_path) as host:
            assert (await dagbook.run(spec(host.port))).status == "succeeded"
        async with ssh_server.serving(tmp_path, host.port) as replaced:
            failed = await dagbook.run(spec(host.port))
            assert replaced.passwords == []
        error = failed.nodes["a"]["error"]
        (stored,) = (await client.get("/ssh-host-keys")).json()["hosts"]
        assert (stored["host"], stored["port"]) == ("127.0.0.1", host.port)
        assert stored["fingerprint"] == host.fingerprints["ssh-ed25519"]
    assert failed.status == "failed"
    for fingerprint in (host.fingerprints["ssh-ed25519"], replaced.fingerprints["ssh-ed25519"]):
        assert fingerprint in error
    program, *words = shlex.split(error[error.index("dagbook ssh-host-keys") :])
    said = await CommandLine(tmp_path, url).run(*words)
    assert (program, said.status) == ("dagbook", 0), said
    async with serving(url, tmp_path, **trusting) as server, client_of(server) as client:
        await check_accepted(client, replaced.fingerprints["ssh-ed25519"])


async def check_accepted(client: httpx.AsyncClient, fingerprint: str) -> None:
    (stored,) = (await client.get("/ssh-host-keys")).json()["hosts"]
    assert (stored["fingerprint"], "acceptedBy" in stored) == (fingerprint, True)
    entry = (await client.get("/audit", params={"action": "ssh_host_key."})).json()["entries"][0]
    assert (entry["action"], entry["via"], entry["after"]["fingerprint"]) == (
        "ssh_host_key.accept",
        "cli",
        fingerprint,
    )


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"host": ""}, "host"),
        ({"host": "a b"}, "host"),
        ({"host": "x" * 254}, "host"),
        ({"host": "a\0b"}, "host"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"algorithm": "ssh-dss"}, "algorithm"),
        ({"fingerprint": "MD5:00"}, "fingerprint"),
        ({"fingerprint": "SHA256:" + "x" * 10_000}, "fingerprint"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_is_no_host_or_key_is_refused_by_its_field(
    client: httpx.AsyncClient, wrong: dict[str, object], field: str
) -> None:
    answer = await client.put("/ssh-host-keys", json={**KEY, **wrong})
    assert code_of(answer) == (400, "bad_request")
    assert field in answer.json()["message"]


async def test_a_host_without_a_key_cannot_lose_it(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/ssh-host-keys", params={"host": "none.example", "port": 22})
    assert code_of(answer) == (404, "not_found")


def test_keys_are_accepted_listed_and_removed_on_the_command_line(command: Callable[..., Said]) -> None:
    accepted = command("ssh-host-keys", "accept", KEY["host"], KEY["algorithm"], KEY["fingerprint"])
    assert accepted.status == 0, accepted
    listed = command("ssh-host-keys", "list").out.splitlines()
    assert listed[1].split()[:4] == ["build.example", "22", KEY["algorithm"], KEY["fingerprint"]]
    assert command("ssh-host-keys", "remove", "build.example").status == 0
    assert len(command("ssh-host-keys", "list").out.splitlines()) == 1
    refused = command("ssh-host-keys", "remove", "build.example")
    assert (refused.status, "dagbook ssh-host-keys list" in refused.err) == (1, True)

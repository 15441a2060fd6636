"""Trust on first use of SSH hosts at a server with the setting (docs/workflows/remote.md)."""

from __future__ import annotations

from pathlib import Path

from tests.app.dagbook import Dagbook, client_of, serving
from tests.conftest import SqliteCopies
from tests.executors import ssh_server
from tests.executors.ssh_server import PASSWORD, USER


async def test_a_host_that_changes_its_key_is_refused_until_the_file_is_corrected(
    sqlite_copies: SqliteCopies, tmp_path: Path, name: str
) -> None:
    sqlite_copies.copy_to(tmp_path / "test.db")
    hosts = tmp_path / "hosts"
    settings = {"ssh_strict_host_key": "accept-new", "ssh_known_hosts": str(hosts)}
    async with serving(f"sqlite:///{tmp_path}/test.db", tmp_path, **settings) as server, client_of(server) as client:
        dagbook = Dagbook(client, name)
        async with ssh_server.serving(tmp_path) as host:
            login = f"{{host: 127.0.0.1, port: {host.port}, user: {USER}, password: {PASSWORD}}}"
            spec = f"steps: [{{name: a, executor: {{type: ssh, config: {login}}}, command: echo remote}}]"
            assert (await dagbook.run(spec)).status == "succeeded"
            assert hosts.read_text() == host.known_hosts.read_text()
        async with ssh_server.serving(tmp_path, host.port) as replaced:
            failed = await dagbook.run(spec)
            assert (failed.status, replaced.passwords) == ("failed", [])
            assert f"is not the one in {hosts}" in failed.nodes["a"]["error"]
            hosts.unlink()
            assert (await dagbook.run(spec)).status == "succeeded"

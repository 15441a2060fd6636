"""A real SSH server on loopback whose commands are real processes of this machine; it may also serve its files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal as signals
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import msgspec

MakeSftp = Callable[[Any], asyncssh.SFTPServer]
USER, PASSWORD = "worker", "open sesame"


class SshServer(msgspec.Struct, frozen=True, kw_only=True):
    """A server that runs, and the files with which it can be logged in to."""

    port: int
    key: Path
    known_hosts: Path
    fingerprints: dict[str, str]  # of its host keys, by algorithm
    passwords: list[str]  # those that clients have sent
    _connections: list[asyncssh.SSHServerConnection]

    def lose_connections(self) -> None:
        """Let all connections end as if the network had failed."""
        for connection in self._connections:
            connection.abort()

    @property
    def config(self) -> dict[str, Any]:
        """The config of a step that logs in with the key and knows the host."""
        return {"host": "127.0.0.1", "port": self.port, "user": USER, "key": str(self.key)} | {
            "strictHostKey": True,
            "knownHostFile": str(self.known_hosts),
        }


class _Session(asyncssh.SSHServerProcess[bytes]):
    """One command: run as a login shell would; a signal reaches its processes, a lost connection leaves them alone."""

    child: asyncio.subprocess.Process

    def signal_received(self, signal: str) -> None:
        os.killpg(self.child.pid, signals.Signals[f"SIG{signal}"])


class _Door(asyncssh.SSHServer):
    def __init__(
        self, connections: list[asyncssh.SSHServerConnection], passwords: list[str], sftp: MakeSftp | None
    ) -> None:
        self._connections = connections
        self._passwords = passwords
        self._sftp = sftp

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connections.append(conn)

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002 - the library's signature
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self._passwords.append(password)
        return (username, password) == (USER, PASSWORD)

    def session_requested(self) -> _Session:
        return _Session(_carry_out, self._sftp, 3, False)


async def _carry_out(process: asyncssh.SSHServerProcess[bytes]) -> None:
    assert isinstance(process, _Session)
    child = process.child = await asyncio.create_subprocess_shell(
        process.command or "", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True
    )
    await asyncio.gather(_copy(child.stdout, process.stdout), _copy(child.stderr, process.stderr))
    code = await child.wait()
    if code < 0:
        process.exit_with_signal(signals.Signals(-code).name.removeprefix("SIG"))
    else:
        process.exit(code)


async def _copy(source: asyncio.StreamReader | None, target: asyncssh.SSHWriter[bytes]) -> None:
    assert source is not None
    with contextlib.suppress(asyncssh.Error, ConnectionError):
        while piece := await source.read(65536):
            target.write(piece)
            await target.drain()


@asynccontextmanager
async def serving(
    directory: Path,
    port: int = 0,
    host_keys: Sequence[asyncssh.SSHKey] | None = None,
    sftp: MakeSftp | None = None,
) -> AsyncIterator[SshServer]:
    """Serve until the block is left, with new host keys or the given ones."""
    host_keys = host_keys or [asyncssh.generate_private_key("ssh-ed25519")]
    user_key = asyncssh.generate_private_key("ssh-ed25519")
    key = directory / "key"
    user_key.write_private_key(key)
    connections: list[asyncssh.SSHServerConnection] = []
    passwords: list[str] = []
    allowed = asyncssh.import_authorized_keys(user_key.export_public_key().decode())
    listener = await asyncssh.listen(
        "127.0.0.1",
        port,
        server_factory=lambda: _Door(connections, passwords, sftp),
        server_host_keys=list(host_keys),
        authorized_client_keys=allowed,
        encoding=None,
    )
    port = listener.sockets[0].getsockname()[1]
    known_hosts = directory / "known_hosts"
    known_hosts.write_text("".join(f"[127.0.0.1]:{port} {key.export_public_key().decode()}" for key in host_keys))
    try:
        yield SshServer(
            port=port,
            key=key,
            known_hosts=known_hosts,
            fingerprints={key.get_algorithm(): key.get_fingerprint() for key in host_keys},
            passwords=passwords,
            _connections=connections,
        )
    finally:
        listener.close()
        await listener.wait_closed()

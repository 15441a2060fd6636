"""A listing of a directory of a server of SFTP. Imported when one is looked at, for the library is an extra."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import asyncssh

from dagbook.executors.contract import SetupError, SshPolicy, StepError
from dagbook.executors.ssh import known_hosts
from dagbook.executors.ssh.connection import Login, connect
from dagbook.spec import paths
from dagbook.triggers.looks.comparison import Listing
from dagbook.triggers.looks.files import FileFound, LookError, choose
from dagbook.triggers.looks.options import MOST_ENTRIES, Place, SftpServer

_LIMIT_SECONDS = 30.0
_NANOSECONDS = 10**9
_PRIVATE_KEY = "-----BEGIN "
_LONGEST_NAME = 2_500  # of 10,000 that are held at once


def make_login(server: SftpServer, secret: str, policy: SshPolicy, home: str) -> Login:
    """Return how to log in; the key of the host has to be known, as for an SSH step of a DAG."""
    is_key = secret.startswith(_PRIVATE_KEY)
    accept_new = policy.accept_new
    hosts = paths.resolve(policy.known_hosts or known_hosts.USUAL, base=home, home=home)
    return Login(
        host=server.host,
        port=server.port,
        user=server.user,
        key=f"{secret}\n" if is_key else None,
        password="" if is_key else secret,
        known_hosts=None if policy.strict is False and not accept_new else Path(hosts),
        accept_new=accept_new,
    )


async def list_files(place: Place, login: Login, account: str) -> Listing:
    """List the files that count; raises LookError."""
    try:
        async with asyncio.timeout(_LIMIT_SECONDS), connect(login, account) as connection:
            found = await _list(connection, place.directory)
    except TimeoutError as error:
        raise LookError(f"{login.address} gave no complete listing within {_LIMIT_SECONDS:.0f} s") from error
    except asyncssh.SFTPError as error:
        raise LookError(f"{place.directory} of {login.address} cannot be listed: {error.reason}") from error
    except (SetupError, StepError, asyncssh.Error, OSError) as error:
        raise LookError(str(error)) from error
    return choose(place, found)


async def _list(connection: asyncssh.SSHClientConnection, directory: str) -> list[FileFound | None]:
    found: list[FileFound | None] = []
    async with connection.start_sftp_client(path_errors="surrogateescape") as client:
        async for entry in client.scandir(directory):
            found.append(_read(str(entry.filename), entry.attrs))
            if len(found) > MOST_ENTRIES:
                break
    return found


def _read(name: str, attributes: asyncssh.SFTPAttrs) -> FileFound | None:
    """Return a regular file; None for what is not, or for what the server says too little about."""
    size, changed, mode = attributes.size, attributes.mtime, attributes.permissions
    if size is None or changed is None or mode is None or not stat.S_ISREG(mode) or len(name) > _LONGEST_NAME:
        return None
    return FileFound(name, size, int(changed) * _NANOSECONDS)

"""The connection of an SSH step: host, login, and the check of the host's key (DAG format 2.14, 4.5)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncssh
import msgspec

from dagbook.executors.config import Config
from dagbook.executors.contract import Job, SetupError, StepError, step_files
from dagbook.executors.ssh import known_hosts
from dagbook.spec import paths
from dagbook.spec.model import Ssh

_CONNECT_SECONDS = 30.0
_KEEPALIVE_SECONDS, _KEEPALIVE_MISSED = 15, 4  # a dead peer is detected within a minute
_DEFAULT_KEYS = ("id_rsa", "id_ecdsa", "id_ed25519", "id_dsa")


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """Host, user and credentials: the key, a file or its text, if there is one, else the password.

    The key of the host has to be in ``known_hosts``, where ``accept_new`` adds the first; without, any is accepted.
    """

    host: str
    port: int
    user: str
    key: Path | str | None
    password: str
    known_hosts: Path | None = None
    accept_new: bool = False

    @property
    def known_as(self) -> str:
        """The name of the host in ``known_hosts``."""
        return known_hosts.plain_name(self.host) if self.accept_new else self.host

    @property
    def address(self) -> str:
        """The host, with its port unless that is the default."""
        return self.host if self.port == asyncssh.DEFAULT_PORT else f"{self.host}:{self.port}"


def read_login(job: Job) -> Login:
    """Read the login from the step's config, else from the DAG's ``ssh``. Raises SetupError."""
    home = job.env.get("HOME") or str(Path.home())
    ssh = job.shared.ssh
    if job.config:
        config = Config(job.config, "ssh")
    elif ssh is not None:
        config = Config(_as_config(ssh), "ssh")
    else:
        raise SetupError(
            "ssh: neither the step nor its DAG names a host; give host and user in executor.config or in ssh"
        )
    login = Login(
        host=config.text("ip").strip() or config.required("host", "name the machine to log in to"),
        port=config.integer("port", least=1, most=65535),
        user=config.required("user", "name the user to log in as"),
        key=_find_key(config, job, home),
        password=config.text("password"),
    )
    return _with_host_check(login, config, job, home)


def _as_config(ssh: Ssh) -> dict[str, object]:
    return {
        "host": ssh.host,
        "port": ssh.port,
        "user": ssh.user,
        "key": ssh.key,
        "password": ssh.password,
        "strictHostKey": ssh.strict_host_key,
        "knownHostFile": ssh.known_host_file,
    }


def _find_key(config: Config, job: Job, home: str) -> Path | None:
    if named := config.text("key").strip():
        return Path(paths.resolve(named, base=str(job.cwd), home=home))
    if config.text("password"):
        return None
    found = (path for name in _DEFAULT_KEYS if (path := Path(home) / ".ssh" / name).exists())
    if key := next(found, None):
        return key
    raise SetupError(
        f"ssh: there is neither a key nor a password, and no default key in {home}/.ssh; give key or password"
    )


def _with_host_check(login: Login, config: Config, job: Job, home: str) -> Login:
    policy, is_of_dag = job.shared.ssh_policy, not job.config
    named = config.text("knownHostFile").strip() or policy.known_hosts or known_hosts.USUAL
    file = Path(paths.resolve(named, base=str(job.cwd), home=home))
    if policy.accept_new and not config.has("strictHostKey"):
        return msgspec.structs.replace(login, known_hosts=file, accept_new=True)
    strict = config.flag("strictHostKey", is_of_dag if policy.strict is None else policy.strict)
    return msgspec.structs.replace(login, known_hosts=file) if strict else login


@asynccontextmanager
async def connect(login: Login, account: str = "") -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Connect and log in for the duration of the block, with keys that the account may read.

    Raises SetupError and StepError.
    """
    with step_files(account):
        keys = [_read_key(login.key)] if login.key else None
    with _translate_errors(login):
        async with asyncio.timeout(_CONNECT_SECONDS):
            connection = await _open(login, keys, account)
    try:
        yield connection
    finally:
        connection.abort()


async def _open(login: Login, keys: list[asyncssh.SSHKey] | None, account: str) -> asyncssh.SSHClientConnection:
    if login.known_hosts and login.accept_new:
        await known_hosts.accept_new(login.known_hosts, login.host, login.port, account)
    with step_files(account):
        known = known_hosts.read(login.known_hosts) if login.known_hosts else None
    return await asyncssh.connect(
        login.host,
        login.port,
        username=login.user,
        client_keys=keys,
        password=None if login.key else login.password,
        known_hosts=known,
        host_key_alias=login.known_as,
        server_host_key_algs="-ssh-rsa" if login.accept_new else (),  # whose signatures use SHA-1
        config=None,  # not the SSH config and agent of the server's user
        agent_path=None,
        keepalive_interval=_KEEPALIVE_SECONDS,
        keepalive_count_max=_KEEPALIVE_MISSED,
    )


def _read_key(key: Path | str) -> asyncssh.SSHKey:
    named = f"key {key}" if isinstance(key, Path) else "key"
    try:
        return asyncssh.read_private_key(key) if isinstance(key, Path) else asyncssh.import_private_key(key)
    except asyncssh.KeyEncryptionError as error:
        raise SetupError(f"ssh: the {named} needs a passphrase; use a key without one") from error
    except asyncssh.KeyImportError as error:
        if "passphrase" in str(error).lower():
            raise SetupError(f"ssh: the {named} needs a passphrase; use a key without one") from error
        raise SetupError(f"ssh: the {named} is not a readable private key: {error}") from error
    except OSError as error:
        raise SetupError(f"ssh: the {named} could not be read: {error.strerror}") from error


@contextmanager
def _translate_errors(login: Login) -> Iterator[None]:
    """Turn an error of the connection or login into a StepError."""
    try:
        yield
    except asyncssh.PermissionDenied as error:
        how = "key" if login.key else "password"
        raise StepError(f"{login.address} did not let {login.user!r} in: the {how} is not accepted there") from error
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
        raise StepError(_host_key_problem(login, error)) from error
    except asyncssh.Error as error:
        raise StepError(f"{login.address} could not be logged in to: {error.reason}") from error
    except TimeoutError as error:
        raise StepError(f"{login.address} did not answer within {_CONNECT_SECONDS:g} seconds") from error
    except socket.gaierror as error:
        raise StepError(f"there is no host {login.host!r}: {error.strerror}") from error
    except ConnectionRefusedError as error:
        raise StepError(f"{login.address} refused the connection: no SSH server listens there") from error
    except OSError as error:
        raise StepError(f"{login.address} could not be reached: {error.strerror or error}") from error


def _host_key_problem(login: Login, error: asyncssh.DisconnectError) -> str:
    if login.known_hosts is None or (isinstance(error, asyncssh.KeyExchangeFailed) and "host key" not in error.reason):
        return f"{login.address} and this machine have no common way to talk: {error.reason}"
    port = None if login.port == asyncssh.DEFAULT_PORT else login.port
    if any(known_hosts.read(login.known_hosts).match(login.known_as, "", port)[:2]):
        return (
            f"the host key of {login.address} is not the one in {login.known_hosts}: the machine was replaced, or "
            "the connection is intercepted; correct the file if you know why"
        )
    return (
        f"the host key of {login.address} is not in {login.known_hosts}; "
        "write it there (ssh-keyscan shows it), or set strictHostKey: false"
    )

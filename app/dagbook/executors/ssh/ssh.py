"""The ssh executor: connection, host keys, and a command on another host (DAG format 2.14, 4.5)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shlex
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncssh
import msgspec

from dagbook.executors import contract
from dagbook.executors.config import Config
from dagbook.executors.contract import HostKeys, Job, SetupError, StepError, Streams
from dagbook.executors.process.accounts import files_as
from dagbook.executors.ssh import host_keys
from dagbook.spec import paths
from dagbook.spec.expansion import shell_words
from dagbook.spec.model import CommandLine, Ssh

_BLOCK_BYTES = 64 * 1024
_Process = asyncssh.SSHClientProcess[bytes]


async def run(job: Job, streams: Streams) -> int:
    """Run the step's command lines on the remote host, each in its own session, until one fails.

    Returns the exit status of the last one; raises SetupError and StepError. A stop sends the signal; a kill also
    closes the connection.
    """
    if not job.program:
        raise SetupError("ssh: the step has no command; a script does not run on another machine")
    with files_as(job.account):
        target = read_login(job)
    first = CommandLine(job.line, job.program, job.args)
    lines = [remote_line(each, _shell(job), as_written=job.as_written) for each in (first, *job.following)]
    async with connect(target, job.account) as connection:
        for number, line in enumerate(lines, 1):
            try:
                process = await connection.create_process(line, encoding=None, stdin=asyncssh.DEVNULL)
            except (asyncssh.Error, OSError) as error:
                raise StepError(f"{target.address} did not start the command: {error}") from error
            follow, send = _follow(process, streams, target.address), functools.partial(_send, process)
            code = contract.line_result(number, len(lines), await contract.run_cancellable(follow, send))
            if code or contract.is_stopped():
                return code
    return 0


def _shell(job: Job) -> tuple[str, ...]:
    """Return the remote shell: of the config or of the DAG's ``ssh``, else of the step (1.30, 6). Raises SetupError."""
    if not job.config:
        return (job.shared.ssh and job.shared.ssh.shell) or job.shell
    config = Config(job.config, "ssh")
    value = config.value("shell")
    words = shell_words.split(value) if isinstance(value, str) and value.strip() else config.texts("shell")
    return tuple(words) or job.shell


def remote_line(command: CommandLine, shell: Sequence[str], *, as_written: bool) -> str:
    """Return what the remote login shell gets.

    With a ``shell`` that is its call with the line as written. Without one, the words of a command are joined by single
    spaces, so that none of the definition's quotes get there, unless it is from a list of command lines.
    """
    if not shell:
        return command.line if as_written else " ".join((command.command, *command.args))
    return shlex.join([*shell, *([] if "-c" in shell[1:] else ["-c"]), command.line])


async def _follow(process: _Process, streams: Streams, address: str) -> int:
    await asyncio.gather(_copy(process.stdout, streams.out), _copy(process.stderr, streams.err))
    await process.wait_closed()
    if process.exit_signal is not None:
        raise StepError(f"signal: SIG{process.exit_signal[0]}", exit_code=-1)
    if process.exit_status is None:
        raise StepError(f"the connection to {address} was lost before the command ended: its outcome is unknown")
    return process.exit_status


async def _copy(source: asyncssh.SSHReader[bytes], write: Callable[[bytes], None]) -> None:
    with contextlib.suppress(asyncssh.Error, ConnectionError):  # a lost connection shows in the missing status
        while block := await source.read(_BLOCK_BYTES):
            write(block)


async def _send(process: _Process, name: str) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        process.send_signal(name.removeprefix("SIG"))
        if name == contract.KILL:
            process.channel.get_connection().abort()


_CONNECT_SECONDS = 30.0
_KEEPALIVE_SECONDS, _KEEPALIVE_MISSED = 15, 4  # a dead peer is detected within a minute
_DEFAULT_KEYS = ("id_rsa", "id_ecdsa", "id_ed25519", "id_dsa")
_KNOWN_HOSTS = "~/.ssh/known_hosts"


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """Host, user and credentials: the key if there is one, else the password.

    The key of the host is one of ``known_hosts``, or the one that ``host_keys`` stores; without both any is accepted.
    """

    host: str
    port: int
    user: str
    key: Path | None
    password: str
    known_hosts: Path | None = None
    host_keys: HostKeys | None = None

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
    file = Path(paths.resolve(config.text("knownHostFile").strip() or _KNOWN_HOSTS, base=str(job.cwd), home=home))
    if policy.host_keys is not None and not config.has("strictHostKey"):
        if file.exists() and any(_find_known(file, login)):  # also a key that is revoked there
            return msgspec.structs.replace(login, known_hosts=file)
        return msgspec.structs.replace(login, host_keys=policy.host_keys)
    strict = config.flag("strictHostKey", is_of_dag if policy.strict is None else policy.strict)
    return msgspec.structs.replace(login, known_hosts=file) if strict else login


@asynccontextmanager
async def connect(login: Login, account: str = "") -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Connect and log in for the duration of the block, with keys that the account may read.

    Raises SetupError and StepError.
    """
    with files_as(account):
        keys = [_read_key(login.key)] if login.key else None
        known_hosts = None if login.known_hosts is None else _read_known_hosts(login.known_hosts)
    options = asyncssh.SSHClientConnectionOptions(
        username=login.user,
        client_keys=keys,
        password=None if login.key else login.password,
        known_hosts=known_hosts,
        config=None,  # not the SSH config and agent of the server's user
        agent_path=None,
        keepalive_interval=_KEEPALIVE_SECONDS,
        keepalive_count_max=_KEEPALIVE_MISSED,
    )
    with _translate_errors(login):
        async with asyncio.timeout(_CONNECT_SECONDS):
            connection = await _open(login, options)
    try:
        yield connection
    finally:
        connection.abort()


async def _open(login: Login, options: asyncssh.SSHClientConnectionOptions) -> asyncssh.SSHClientConnection:
    if login.host_keys is None:
        return await asyncssh.connect(login.host, login.port, options=options)
    known = await host_keys.find_or_add(login.host_keys, login.host, login.port)
    pinned = asyncssh.SSHClientConnectionOptions(
        options,
        known_hosts=asyncssh.import_known_hosts(""),
        client_factory=lambda: host_keys.PinnedClient(known),
        server_host_key_algs=host_keys.signatures(known.algorithm),
    )
    try:
        return await asyncssh.connect(login.host, login.port, options=pinned)
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed):
        await host_keys.check_unchanged(known, login.host, login.port)
        raise


def _read_key(path: Path) -> asyncssh.SSHKey:
    try:
        return asyncssh.read_private_key(path)
    except asyncssh.KeyEncryptionError as error:
        raise SetupError(f"ssh: the key {path} needs a passphrase; use a key without one") from error
    except asyncssh.KeyImportError as error:
        if "passphrase" in str(error).lower():
            raise SetupError(f"ssh: the key {path} needs a passphrase; use a key without one") from error
        raise SetupError(f"ssh: {path} is not a readable private key: {error}") from error
    except OSError as error:
        raise SetupError(f"ssh: the key {path} could not be read: {error.strerror}") from error


def _read_known_hosts(path: Path) -> asyncssh.SSHKnownHosts:
    try:
        return asyncssh.read_known_hosts(str(path))
    except OSError as error:
        raise SetupError(
            f"ssh: the file of known host keys {path} could not be read: {error.strerror}; "
            "write the host's key there (ssh-keyscan shows it), or set strictHostKey: false"
        ) from error
    except ValueError as error:
        raise SetupError(f"ssh: the file of known host keys {path} is not valid: {error}") from error


def _find_known(file: Path, login: Login) -> Sequence[Sequence[object]]:
    """Return the host keys, the keys of authorities and the revoked keys that a file has for a host."""
    port = None if login.port == asyncssh.DEFAULT_PORT else login.port
    return _read_known_hosts(file).match(login.host, "", port)[:3]


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
    if any(_find_known(login.known_hosts, login)[:2]):
        return (
            f"the host key of {login.address} is not the one in {login.known_hosts}: the machine was replaced, or "
            "the connection is intercepted; correct the file if you know why"
        )
    return (
        f"the host key of {login.address} is not in {login.known_hosts}; "
        "write it there (ssh-keyscan shows it), or set strictHostKey: false"
    )

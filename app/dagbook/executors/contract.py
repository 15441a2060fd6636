"""The interface of executors: what they get and return, and how a cancellation becomes signals (runtime 19)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec

from dagbook.egress.rules import Egress
from dagbook.spec.model import CommandLine, Container, Smtp, Ssh
from dagbook.unix.unix_accounts import AccountError, files_as

EXIT_NOT_FOUND = 127


class SetupError(Exception):
    """An execution could not be set up; recorded with exit code 0, counted as 1 by retry rules (runtime 12)."""

    exit_code = 0


class StartError(SetupError):
    """The program of an execution could not be started; recorded with exit code 1 (runtime 12)."""

    exit_code = 1


class StepError(Exception):
    """An execution failed; the message becomes the step's error."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        self.exit_code = exit_code
        super().__init__(message)


@contextmanager
def step_files(account: str) -> Iterator[None]:
    """Open, make and remove files of a step as an account, like ``files_as``. Raises SetupError."""
    try:
        with files_as(account):
            yield
    except AccountError as error:
        raise SetupError(str(error)) from error


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an execution. ``exit_code`` is None when there is no exit status.

    ``partial`` is True for a sub-run that succeeded partially.
    """

    exit_code: int | None
    error: str = ""
    partial: bool = False


class ExecutionFiles(msgspec.Struct, frozen=True):
    """The files of one execution, and the output files that all executions of its node share, in one directory."""

    base: str  # path prefix of the files of this execution alone
    stdout: Path
    stderr: Path

    @property
    def directory(self) -> Path:
        return self.stdout.parent

    @property
    def started(self) -> str:
        """Created exclusively by the process that owns the execution; has its identity, and later the exit code."""
        return self.base + ".started"

    @property
    def line(self) -> Path:
        """Of several command lines: the number of the current one, and the bytes of stderr before it."""
        return self.path("line")

    @property
    def note(self) -> Path:
        """What the executor has started on another host, for the server that adopts the execution."""
        return self.path("note")

    def path(self, ending: str) -> Path:
        return Path(f"{self.base}.{ending}")


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """The process of an evaluated step; ``account`` is that of the commands of its run, "" for that of the server.

    With a ``job`` it gets one more argument: the number of a descriptor from which it reads the job. ``following`` are
    the commands of further lines, each of which runs when the one before has succeeded.
    """

    argv: tuple[str, ...]
    following: tuple[tuple[str, ...], ...] = ()
    cwd: Path
    env: Mapping[str, str]
    account: str = ""
    job: bytes = b""


class SshPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How the key of a host is checked where the definition does not say it.

    With ``accept_new`` the first key of a host is appended to its file of known hosts, and later ones have to be in it;
    otherwise ``strict`` replaces the default of the format. ``known_hosts`` is that file, "" for the account's own.
    """

    strict: bool | None = None
    accept_new: bool = False
    known_hosts: str = ""


class SharedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The evaluated config that all steps of a run share: mail server, SSH host, container.

    ``run`` is the unique name of the attempt; ``run_note`` is the path of the note about the run's container, which is
    removed after the run. ``docker`` has the ``DOCKER_…`` variables of the run.
    """

    smtp: Smtp | None = None
    ssh: Ssh | None = None
    container: Container | None = None
    ssh_policy: SshPolicy = SshPolicy()
    registry_auths: Mapping[str, str | Mapping[str, str]] = {}
    docker: Mapping[str, str] = {}
    run: str = ""
    run_note: str = ""
    work_dir: str = ""
    home: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluated step of another type than ``command``. Only ``config`` keeps the case of its keys.

    ``program`` and ``args`` are the split words of the command, ``line`` is the command as one text; ``id`` is unique
    and stays the same when the execution is adopted. ``cwd`` is the directory of the step, ``run_dir`` that of its
    run. ``container`` is the evaluated one of the step itself. Files that the job names are opened as ``account``.
    ``following`` are the command lines after the first, ``shell`` is the step's own. A line that is not ``as_written``
    is sent elsewhere as its words. ``values`` are those of the references in statements, which stay in the text.
    ``own_files`` contain the data and credentials of the server.
    """

    type: str
    id: str
    program: str = ""
    args: tuple[str, ...] = ()
    line: str = ""
    as_written: bool = False
    following: tuple[CommandLine, ...] = ()
    shell: tuple[str, ...] = ()
    script: str = ""
    values: Mapping[str, str] = {}
    config: Mapping[str, Any] = {}
    container: Container | None = None
    cwd: Path
    run_dir: Path | None = None
    env: Mapping[str, str] = {}
    account: str = ""
    shared: SharedConfig = SharedConfig()
    egress: Egress = Egress()
    own_files: tuple[Path, ...] = ()


class Streams:
    """The unbuffered output files of a step, for an executor that works in the server's process.

    It may save one note about what it has started on another host, for the server that adopts the execution.
    """

    def __init__(self, files: ExecutionFiles) -> None:
        self._note = files.note
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._out = os.open(files.stdout, flags, 0o600)
        try:
            self._err = os.open(files.stderr, flags, 0o600)
        except OSError:
            os.close(self._out)
            raise

    def out(self, data: str | bytes) -> None:
        """Write to stdout. Raises StepError."""
        _write_all(self._out, data)

    def err(self, data: str | bytes) -> None:
        """Write to stderr. Raises StepError."""
        _write_all(self._err, data)

    def sizes(self) -> tuple[int, int]:
        """Return the bytes of stdout and stderr, those of earlier executions of the node included."""
        return os.fstat(self._out).st_size, os.fstat(self._err).st_size

    def save_note(self, note: bytes) -> None:
        """Save a note in place of the one before. Raises OSError."""
        write_private(self._note, note)

    @property
    def has_note(self) -> bool:
        """Whether a note was saved."""
        return self._note.exists()

    def read_note(self) -> bytes:
        """Read the note. Raises OSError."""
        return self._note.read_bytes()

    def close(self) -> None:
        """Close the files."""
        os.close(self._out)
        os.close(self._err)


def _write_all(descriptor: int, data: str | bytes) -> None:
    left = data.encode("utf-8", "replace") if isinstance(data, str) else data
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError as error:
        raise StepError(f"the output could not be written: {error.strerror}") from error


def write_private(path: Path, data: bytes) -> None:
    """Replace a file of the spool atomically. Raises OSError."""
    fresh = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
    fresh.replace(path)


class Execution(Protocol):
    """An active execution."""

    async def wait(self) -> Outcome:
        """Return when every process that writes to the step's output has ended."""

    def signal(self, name: str) -> None:
        """Send a signal, by its POSIX name, to the processes of the execution."""

    def kill(self) -> None:
        """Kill every process of the execution."""

    def detach(self) -> None:
        """Let the execution continue without this server."""

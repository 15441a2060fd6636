"""What an executor is given and what it gives back; the rest of the program knows no more than this."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from app.spec.model import Container, Smtp, Ssh

EXIT_TIMEOUT = 124
EXIT_NOT_FOUND = 127


class SetupError(Exception):
    """An execution could not be set up; recorded with exit code 0, counted as 1 by retry rules (runtime 12)."""

    exit_code = 0


class StartError(SetupError):
    """The program of an execution could not be started; recorded with exit code 1 (runtime 12)."""

    exit_code = 1


class StepError(Exception):
    """What an execution was about went wrong; the sentence becomes the step's error."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        self.exit_code = exit_code
        super().__init__(message)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an execution ended. ``exit_code`` is None when it left no exit status behind.

    ``partial`` tells the success of a sub-run that was only partial.
    """

    exit_code: int | None
    error: str = ""
    partial: bool = False


class ExecutionFiles(msgspec.Struct, frozen=True):
    """The files of one execution, and the output that all executions of its node share: side by side."""

    base: str  # path and beginning of the name of the execution's own files
    stdout: Path
    stderr: Path

    @property
    def directory(self) -> Path:
        """Where all of them lie."""
        return self.stdout.parent

    @property
    def started(self) -> str:
        """Created exclusively by whoever owns the execution; it holds who that is, and later the exit code."""
        return self.base + ".started"

    @property
    def note(self) -> Path:
        """What the executor has begun elsewhere, for whoever takes over."""
        return self.own("note")

    def own(self, ending: str) -> Path:
        """Name another file of the execution."""
        return Path(f"{self.base}.{ending}")


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluated step, ready to be run."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What the DAG says about the places its steps work at; the texts are evaluated.

    ``run`` names the attempt, and no other of any server; in ``run_note`` is kept what its steps share elsewhere and
    has to end with it. ``docker`` are the ``DOCKER_…`` variables of the run.
    """

    smtp: Smtp | None = None
    ssh: Ssh | None = None
    container: Container | None = None
    registry_auths: Mapping[str, str | Mapping[str, str]] = {}
    docker: Mapping[str, str] = {}
    run: str = ""
    run_note: str = ""
    work_dir: str = ""
    home: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluated step of another type than ``command``. Only ``config`` keeps the case of its keys.

    ``program`` and ``args`` are the split words of the command, ``line`` is the command as
    one text; ``id`` is the same whenever this execution is looked at, and no other's. ``cwd`` is
    the step's directory, ``run_dir`` that of its run. ``container`` is the step's own, evaluated.
    """

    type: str
    id: str
    program: str = ""
    args: tuple[str, ...] = ()
    line: str = ""
    script: str = ""
    config: Mapping[str, Any] = {}
    container: Container | None = None
    cwd: Path
    run_dir: Path | None = None
    env: Mapping[str, str] = {}
    site: Site = Site()


class Streams:
    """Where an executor that works inside the server writes: the step's output files, unbuffered.

    It may keep one note about what it has begun elsewhere, for the server that goes on with the execution.
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
        """Write to stdout; raises StepError."""
        _write_all(self._out, data)

    def err(self, data: str | bytes) -> None:
        """Write to stderr; raises StepError."""
        _write_all(self._err, data)

    def sizes(self) -> tuple[int, int]:
        """Tell how much stdout and stderr hold, of earlier executions of the node too."""
        return os.fstat(self._out).st_size, os.fstat(self._err).st_size

    def keep(self, note: bytes) -> None:
        """Keep a note in place of the one before; raises OSError."""
        write_private(self._note, note)

    @property
    def has_note(self) -> bool:
        """Whether a note was kept."""
        return self._note.exists()

    def kept(self) -> bytes:
        """Read the note; raises OSError."""
        return self._note.read_bytes()

    def close(self) -> None:
        """Release the files."""
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
    """Write a file of the spool; whoever reads it meanwhile sees it whole, before or after. Raises OSError."""
    fresh = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
    fresh.replace(path)


class Execution(Protocol):
    """One execution under way."""

    async def wait(self) -> Outcome:
        """Return when every process that still writes to the step's output is gone."""

    def signal(self, name: str) -> None:
        """Send a signal, by its POSIX name, to the processes of the execution."""

    def kill(self) -> None:
        """End every process of the execution for good."""

    def detach(self) -> None:
        """Let go: the execution continues without this server."""

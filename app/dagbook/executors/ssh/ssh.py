"""The ssh executor: a command on another host (DAG format 4.5)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shlex
from collections.abc import Callable, Sequence

import asyncssh

from dagbook.executors import cancellation
from dagbook.executors.config import Config
from dagbook.executors.contract import Job, SetupError, StepError, Streams, step_files
from dagbook.executors.ssh.connection import connect, read_login
from dagbook.spec.expansion import shell_words
from dagbook.spec.model import CommandLine

_BLOCK_BYTES = 64 * 1024
_Process = asyncssh.SSHClientProcess[bytes]


async def run(job: Job, streams: Streams) -> int:
    """Run the step's command lines on the remote host, each in its own session, until one fails.

    Returns the exit status of the last one; raises SetupError and StepError. A stop sends the signal; a kill also
    closes the connection.
    """
    if not job.program:
        raise SetupError("ssh: the step has no command; a script does not run on another machine")
    with step_files(job.account):
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
            code = cancellation.line_result(number, len(lines), await cancellation.run_cancellable(follow, send))
            if code or cancellation.is_stopped():
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
        if name == cancellation.KILL:
            process.channel.get_connection().abort()

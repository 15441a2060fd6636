"""The ssh executor: runs a command on another host (DAG format 4.5)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import asyncssh

from dagbook.executors import cancellation
from dagbook.executors.contract import Job, SetupError, StepError, Streams
from dagbook.executors.ssh import login

_BLOCK_BYTES = 64 * 1024
_Process = asyncssh.SSHClientProcess[bytes]


async def run(job: Job, streams: Streams) -> int:
    """Run the step's command on the remote host and return its exit status. Raises SetupError and StepError.

    The words of the command are joined by single spaces, so the remote shell gets no quotes of the definition, and
    no variables of the step. A stop sends the signal; a kill also closes the connection.
    """
    if not job.program:
        raise SetupError("ssh: the step has no command; a script does not run on another machine")
    target = login.read_login(job)
    async with login.connect(target) as connection:
        line = " ".join((job.program, *job.args))
        try:
            process = await connection.create_process(line, encoding=None, stdin=asyncssh.DEVNULL)
        except (asyncssh.Error, OSError) as error:
            raise StepError(f"{target.address} did not start the command: {error}") from error
        return await cancellation.run_cancellable(
            _follow(process, streams, target.address), lambda name: _send(process, name)
        )


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

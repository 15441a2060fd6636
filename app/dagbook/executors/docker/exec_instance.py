"""Runs commands in a running container (``docker exec``): start, follow, signal, adopt (DAG format 4.4).

The daemon can neither signal an exec instance nor repeat its output. So each command has the execution id in its
environment, by which a shell in the container finds its processes; and a server that adopts a command gets its exit
code, but not the output of the time between. The exit code is read from the daemon's events: after the connection to
a command that still writes is lost, Docker reports 126, whatever the exit code was.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable

import aiohttp
import msgspec
from aiodocker import Docker, DockerError
from aiodocker.execs import Exec
from aiodocker.stream import Stream

from dagbook.executors import cancellation
from dagbook.executors.contract import EXIT_NOT_FOUND, Job, SetupError, StepError, Streams
from dagbook.executors.docker import engine
from dagbook.executors.docker.engine import CONFLICT, NOT_FOUND, STDOUT
from dagbook.executors.docker.inspection import ExecInfo, show_exec
from dagbook.executors.docker.recovery_note import ExecNote, daemon_env, encode

_MARK = "DAGBOOK_EXECUTION"
_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.01, 0.5
_LAST_POLL_SECONDS = 2.0
_LOST = "[dagbook: what the command wrote while no server followed it is lost]\n"
_REFUSAL, _LONGEST_REFUSAL_BYTES = b"OCI runtime exec failed: ", 4096
_CANNOT = 126  # reported for a command that the daemon could not start, and for one whose connection was lost
# BusyBox' grep stops at a NUL. The mark ends with a semicolon, so that no name is a prefix of another.
_SIGNAL = """for process in /proc/[0-9]*; do
  { tr '\\000' '\\n' <"$process/environ"; } 2>/dev/null | grep -qF "$2" &&
    kill -s "$1" "${process#/proc/}" 2>/dev/null
done
:"""
_PODMANS_CONFLICT = "can only start created exec sessions"  # its status is 500, not 409
_UNKNOWN = "the exit code of the command in the container is unknown"
NOT_SIGNALLED = "stopped, but the command may still run in the container: no shell there could signal it"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a command in a container; they override those of the container."""

    user: str = ""
    working_dir: str = ""
    env: tuple[str, ...] = ()
    privileged: bool = False
    tty: bool = False


def check_command(job: Job) -> None:
    """Refuse a step without a command. Raises SetupError."""
    if not job.program:
        raise SetupError("docker: the step has no command for the container that runs; a script is not run in one")


async def run(
    docker: Docker, container: str, job: Job, options: Options, streams: Streams, *, remove: bool = False
) -> int:
    """Run the job's command lines in a container until one fails, and return the exit code of the last one.

    With ``remove`` the container is then removed. Raises SetupError and StepError.
    """
    check_command(job)
    commands = ((job.program, *job.args), *((each.command, *each.args) for each in job.following))
    note = ExecNote(
        docker=daemon_env(job.shared.docker),
        job=job.id,
        container=container,
        instance="",
        user=options.user,
        privileged=options.privileged,
        working_dir=options.working_dir,
        env=options.env,
        tty=options.tty,
        following=commands,
        lines=len(commands),
        remove=remove,
    )
    return await _remove_after(docker, note, _run_lines(docker, note, streams))


async def adopt(docker: Docker, note: ExecNote, streams: Streams) -> int:
    """Adopt an exec instance of another server, run the lines after it, and return the exit code. Raises StepError."""
    return await _remove_after(docker, note, _adopt_lines(docker, note, streams))


async def _adopt_lines(docker: Docker, note: ExecNote, streams: Streams) -> int:
    code = await _carry_out(docker, note, streams, start=False)
    cancellation.line_result(note.lines - len(note.following), note.lines, code)
    return code if code or cancellation.is_stopped() else await _run_lines(docker, note, streams)


async def _run_lines(docker: Docker, note: ExecNote, streams: Streams) -> int:
    """Run the following command lines of a note."""
    for number in range(len(note.following)):
        command, left = note.following[number], note.following[number + 1 :]
        with engine.translate_errors("the command could not be started in the container"):
            created = await docker.containers.container(note.container).exec(
                list(command),
                user=note.user,
                workdir=note.working_dir or None,
                environment=[*note.env, f"{_MARK}={note.job};"],
                privileged=note.privileged,
                tty=note.tty,
            )
        current = msgspec.structs.replace(note, instance=created.id, following=left)
        streams.save_note(encode(current))
        code = await _carry_out(docker, current, streams, start=True)
        cancellation.line_result(note.lines - len(left), note.lines, code)
        if code or cancellation.is_stopped():
            return code
    return 0


async def _remove_after(docker: Docker, note: ExecNote, work: Awaitable[int]) -> int:
    """Await work, then remove the container if it is the step's own, unless the server detaches from it."""
    try:
        code = await work
    except BaseException as error:
        if note.remove and not (isinstance(error, asyncio.CancelledError) and cancellation.is_detach(error)):
            with contextlib.suppress(DockerError, aiohttp.ClientError):
                await engine.remove(docker, note.container)
        raise
    if note.remove:
        await engine.remove(docker, note.container)
    return code


async def _carry_out(docker: Docker, note: ExecNote, streams: Streams, *, start: bool) -> int:
    follow = _follow(docker, note, streams, start=start)
    try:
        return await cancellation.run_cancellable(follow, lambda name: send(docker, note, name))
    except asyncio.CancelledError as error:
        if cancellation.is_detach(error) or not await _is_running(docker, note):
            raise
        raise StepError(NOT_SIGNALLED) from error


async def _follow(docker: Docker, note: ExecNote, streams: Streams, *, start: bool) -> int:
    instance = docker.containers.exec(note.instance)
    state = None if start else await _inspect(instance)
    may_be_new = state is not None and not state.running and not state.pid
    if start or may_be_new:
        refusal = await _start(instance, streams, may_have_run=not start)
    else:
        refusal = ""
        streams.err(_LOST)
    code = await _wait(docker, note, instance)
    if refusal and code in (_CANNOT, EXIT_NOT_FOUND):
        raise StepError(f"the command could not be started in the container: {refusal}", exit_code=code)
    return code


async def _start(instance: Exec, streams: Streams, *, may_have_run: bool) -> str:
    """Start the command and copy its output; returns the daemon's error if it could not. No daemon starts it twice."""
    try:
        with engine.translate_errors("the command could not be started in the container"):
            async with instance.start(detach=False) as stream:
                return await _copy(stream, streams)
    except StepError as error:
        cause = error.__cause__
        has_run = isinstance(cause, DockerError) and (cause.status == CONFLICT or _PODMANS_CONFLICT in str(cause))
        if not (may_have_run and has_run):
            raise
    streams.err(_LOST)
    return ""


async def _copy(stream: Stream, streams: Streams) -> str:
    """Copy the output; returns its first line if that is an error of the daemon instead of output of the command."""
    first = b""
    with contextlib.suppress(aiohttp.ClientError):  # a lost connection: the exit code is asked for anyway
        while message := await stream.read_out():
            (streams.out if message.stream == STDOUT else streams.err)(message.data)
            first = first or message.data[:_LONGEST_REFUSAL_BYTES]
    return " ".join(first.decode(errors="replace").split()) if first.startswith(_REFUSAL) else ""


async def _wait(docker: Docker, note: ExecNote, instance: Exec) -> int:
    pause = _FIRST_POLL_SECONDS
    while True:
        state = await _inspect(instance)
        if state is None or not state.running:
            return await _find_exit_code(docker, note, state)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_POLL_SECONDS)


async def _find_exit_code(docker: Docker, note: ExecNote, state: ExecInfo | None) -> int:
    """Return the exit code of a finished command that the daemon may have deleted or lost. Raises StepError."""
    shown = None if state is None else state.exit_code
    # Podman gives up on a command whose connection is lost with -1.
    if state is not None and shown is not None and shown >= 0 and not (shown == _CANNOT and state.pid):
        return shown
    with engine.translate_errors(_UNKNOWN):
        code = await engine.find_exec_exit_code(docker, note.container, note.instance)
    if code is None:
        raise StepError(_UNKNOWN)
    return code


async def _inspect(instance: Exec) -> ExecInfo | None:
    """Inspect a command; None when the daemon has deleted it, which it does minutes after the end. Raises StepError."""
    try:
        with engine.translate_errors(_UNKNOWN):
            return await show_exec(instance)
    except StepError as error:
        if isinstance(error.__cause__, DockerError) and error.__cause__.status == NOT_FOUND:
            return None
        raise


async def send(docker: Docker, note: ExecNote, name: str) -> None:
    """Send a signal by its POSIX name; harmless when the command has finished.

    A shell in the container signals all processes with the mark. It runs as the user of the command, because other
    users cannot read the environment of its processes.
    """
    command = ["/bin/sh", "-c", _SIGNAL, "signal", name.removeprefix("SIG"), f"{_MARK}={note.job};"]
    with contextlib.suppress(DockerError, aiohttp.ClientError):
        created = await docker.containers.container(note.container).exec(
            command, user=note.user, privileged=note.privileged
        )
        await created.start(detach=True)


async def _is_running(docker: Docker, note: ExecNote) -> bool:
    try:
        async with asyncio.timeout(_LAST_POLL_SECONDS):
            return (await show_exec(docker.containers.exec(note.instance))).running
    except (DockerError, aiohttp.ClientError, TimeoutError):
        return False

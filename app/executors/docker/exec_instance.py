"""Commands in a container that runs already: begun, followed, signalled, found again (DAG format 4.4).

The daemon can neither signal an exec instance nor give its output again. So each carries its execution's name in
its environment, by which a shell in the container finds its processes; and a server that takes over learns how it
ended, but not what it wrote in between. Its end is in the daemon's events: once the connection to a command that
still writes is lost, Docker shows 126 as its exit code, whatever that was.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec
from aiodocker import Docker, DockerError
from aiodocker.execs import Exec
from aiodocker.stream import Stream

from app.executors import stopping
from app.executors.contract import EXIT_NOT_FOUND, Job, SetupError, StepError, Streams
from app.executors.docker import engine
from app.executors.docker.engine import CONFLICT, GONE, STDOUT
from app.executors.docker.note import ExecNote, encode, way_to_daemon

_MARK = "DAGBOOK_EXECUTION"
_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.01, 0.5
_LAST_LOOK_SECONDS = 2.0
_LOST = "[dagbook: what the command wrote while no server followed it is lost]\n"
_REFUSAL, _LONGEST_REFUSAL_BYTES = b"OCI runtime exec failed: ", 4096
_CANNOT = 126  # what the daemon says of a command that it could not begin, and of one that it lost
# BusyBox' grep sees nothing behind a NUL. The mark ends with a semicolon, so that no name is the beginning of another.
_SIGNAL = """for process in /proc/[0-9]*; do
  { tr '\\000' '\\n' <"$process/environ"; } 2>/dev/null | grep -qF "$2" &&
    kill -s "$1" "${process#/proc/}" 2>/dev/null
done
:"""
_PODMANS_CONFLICT = "can only start created exec sessions"  # an error of the server, by its status
_UNKNOWN = "how the command in the container ended is not known any more"
NOT_SIGNALLED = "stopped, but the command may still run in the container: no shell there could signal it"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a command runs in a container, beside what the container says."""

    user: str = ""
    working_dir: str = ""
    env: tuple[str, ...] = ()
    privileged: bool = False
    tty: bool = False


def check_command(job: Job) -> None:
    """Refuse a step that a container which runs already would have nothing to do for; raises SetupError."""
    if not job.program:
        raise SetupError("docker: the step has no command for the container that runs; a script is not run in one")


async def run(docker: Docker, container: str, job: Job, options: Options, streams: Streams) -> int:
    """Run the job's command in a container and return its exit code; raises SetupError and StepError."""
    check_command(job)
    with engine.explained("the command could not be begun in the container"):
        made = await docker.containers.container(container).exec(
            [job.program, *job.args],
            user=options.user,
            workdir=options.working_dir or None,
            environment=[*options.env, f"{_MARK}={job.id};"],
            privileged=options.privileged,
            tty=options.tty,
        )
    note = ExecNote(
        docker=way_to_daemon(job.site.docker),
        job=job.id,
        container=container,
        instance=made.id,
        user=options.user,
        privileged=options.privileged,
    )
    streams.keep(encode(note))
    return await _carry_out(docker, note, streams, begin=True)


async def adopt(docker: Docker, note: ExecNote, streams: Streams) -> int:
    """Go on with an exec instance of another server and return its exit code; raises StepError."""
    return await _carry_out(docker, note, streams, begin=False)


async def _carry_out(docker: Docker, note: ExecNote, streams: Streams, *, begin: bool) -> int:
    follow = _follow(docker, note, streams, begin=begin)
    try:
        return await stopping.carry_out(follow, lambda name: send(docker, note, name))
    except asyncio.CancelledError as cancellation:
        if stopping.is_detach(cancellation) or not await _is_running(docker, note):
            raise
        raise StepError(NOT_SIGNALLED) from cancellation


async def _follow(docker: Docker, note: ExecNote, streams: Streams, *, begin: bool) -> int:
    instance = docker.containers.exec(note.instance)
    if begin or await _may_be_new(instance):
        refusal = await _begin(instance, streams, may_have_run=not begin)
    else:
        refusal = ""
        streams.err(_LOST)
    code = await _wait(docker, note, instance)
    if refusal and code in (_CANNOT, EXIT_NOT_FOUND):
        raise StepError(f"the command could not be begun in the container: {refusal}", exit_code=code)
    return code


async def _may_be_new(instance: Exec) -> bool:
    """Tell one that has begun for sure: Podman shows one that has not like one that ended well."""
    state = await _inspect(instance)
    return state is not None and not state["Running"] and not state["Pid"]


async def _begin(instance: Exec, streams: Streams, *, may_have_run: bool) -> str:
    """Begin the command, which no daemon does twice, and copy its output; give the daemon's words if it could not."""
    try:
        with engine.explained("the command could not be begun in the container"):
            async with instance.start(detach=False) as stream:
                return await _copy(stream, streams)
    except StepError as error:
        if not (may_have_run and _has_run(error.__cause__)):
            raise
    streams.err(_LOST)
    return ""


def _has_run(refusal: BaseException | None) -> bool:
    """Whether a daemon refused to begin a command because it has begun it before."""
    return isinstance(refusal, DockerError) and (refusal.status == CONFLICT or _PODMANS_CONFLICT in str(refusal))


async def _copy(stream: Stream, streams: Streams) -> str:
    """Copy the output; give the beginning of it where the daemon itself speaks in the command's place."""
    first = b""
    with contextlib.suppress(aiohttp.ClientError):  # a lost connection: how the command ended is asked for anyway
        while message := await stream.read_out():
            (streams.out if message.stream == STDOUT else streams.err)(message.data)
            first = first or message.data[:_LONGEST_REFUSAL_BYTES]
    return " ".join(first.decode(errors="replace").split()) if first.startswith(_REFUSAL) else ""


async def _wait(docker: Docker, note: ExecNote, instance: Exec) -> int:
    pause = _FIRST_LOOK_SECONDS
    while True:
        state = await _inspect(instance)
        if state is None or not state["Running"]:
            return await _find_end(docker, note, state)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_LOOK_SECONDS)


async def _find_end(docker: Docker, note: ExecNote, state: Mapping[str, Any] | None) -> int:
    """Find out how a command ended that the daemon may have forgotten or lost; raises StepError."""
    shown = None if state is None else state["ExitCode"]
    # Podman gives up on a command whose connection is lost with -1.
    if state is not None and shown is not None and shown >= 0 and not (shown == _CANNOT and state["Pid"]):
        return int(shown)
    with engine.explained(_UNKNOWN):
        code = await engine.find_exec_end(docker, note.container, note.instance)
    if code is None:
        raise StepError(_UNKNOWN)
    return code


async def _inspect(instance: Exec) -> dict[str, Any] | None:
    """Look at a command; None when the daemon has forgotten it, as it does minutes after the end. Raises StepError."""
    try:
        with engine.explained(_UNKNOWN):
            return await instance.inspect()
    except StepError as error:
        if isinstance(error.__cause__, DockerError) and error.__cause__.status == GONE:
            return None
        raise


async def send(docker: Docker, note: ExecNote, name: str) -> None:
    """Send a signal by its POSIX name, harmless when nothing runs any more.

    A shell in the container signals whatever has the mark, as the same user: nobody else may look for it.
    """
    command = ["/bin/sh", "-c", _SIGNAL, "signal", name.removeprefix("SIG"), f"{_MARK}={note.job};"]
    with contextlib.suppress(DockerError, aiohttp.ClientError):
        made = await docker.containers.container(note.container).exec(
            command, user=note.user, privileged=note.privileged
        )
        await made.start(detach=True)


async def _is_running(docker: Docker, note: ExecNote) -> bool:
    try:
        async with asyncio.timeout(_LAST_LOOK_SECONDS):
            return bool((await docker.containers.exec(note.instance).inspect())["Running"])
    except (DockerError, aiohttp.ClientError, TimeoutError):
        return False

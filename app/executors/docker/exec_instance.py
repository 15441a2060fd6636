"""Commands in a container that runs already: begun, followed, signalled, found again (DAG format 4.4).

The daemon can neither signal an exec instance nor give its output again. So each carries its execution's name in
its environment, by which a shell in the container finds its processes; and a server that takes over learns how it
ended, but not what it wrote in between.
"""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
import msgspec
from aiodocker import Docker, DockerError
from aiodocker.execs import Exec
from aiodocker.stream import Stream

from app.executors import stopping
from app.executors.contract import Job, SetupError, StepError, Streams
from app.executors.docker import engine
from app.executors.docker.engine import STDOUT
from app.executors.docker.note import ExecNote, encode, way_to_daemon

_MARK = "DAGBOOK_EXECUTION"
_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.01, 0.5
_LAST_LOOK_SECONDS = 2.0
_LOST = "[dagbook: what the command wrote while no server followed it is lost]\n"
# The mark ends with a semicolon, so that no name is the beginning of another.
_SIGNAL = """for process in /proc/[0-9]*; do
  grep -qF "$2" "$process/environ" 2>/dev/null && kill -s "$1" "${process#/proc/}" 2>/dev/null
done
:"""
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
    if begin or await _never_began(instance):
        with engine.explained("the command could not be begun in the container"):
            async with instance.start(detach=False) as stream:
                await _copy(stream, streams)
    else:
        streams.err(_LOST)
    return await _wait(instance)


async def _never_began(instance: Exec) -> bool:
    with engine.explained(_UNKNOWN):
        state = await instance.inspect()
    return not state["Running"] and state["ExitCode"] is None


async def _copy(stream: Stream, streams: Streams) -> None:
    with contextlib.suppress(aiohttp.ClientError):  # a lost connection: how the command ended is asked for anyway
        while message := await stream.read_out():
            (streams.out if message.stream == STDOUT else streams.err)(message.data)


async def _wait(instance: Exec) -> int:
    pause = _FIRST_LOOK_SECONDS
    while True:
        with engine.explained(_UNKNOWN):
            state = await instance.inspect()
        if not state["Running"]:
            if state["ExitCode"] is None:
                raise StepError(_UNKNOWN)
            return int(state["ExitCode"])
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_LOOK_SECONDS)


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

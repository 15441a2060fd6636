"""A step's own container: made, followed, signalled, found again, removed (DAG format 4.4; 1.30, 3.3).

It carries the execution's name as a label and outlives the server. Its log is read from the first byte on, and what
the step's files hold of it already is passed over; so nothing is lost or doubled when another server goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from typing import Any

import aiohttp
import msgspec
from aiodocker import Docker, DockerError

from app.executors import stopping
from app.executors.contract import Job, StepError, Streams
from app.executors.docker import engine
from app.executors.docker.engine import GONE, STDOUT, UNREACHABLE, reason
from app.executors.docker.note import ContainerNote, encode, way_to_daemon

LABEL = engine.EXECUTION_LABEL
_PATIENCE_SECONDS = 30.0  # how long a daemon that does not answer may be restarting
_LOOK_SECONDS, _SOON_SECONDS = 0.5, 0.02
_LAST_SECONDS = 5.0


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The container to make."""

    body: Mapping[str, Any]
    name: str
    platform: str
    remove: bool


async def run(docker: Docker, job: Job, wanted: Wanted, streams: Streams) -> int:
    """Make a container, follow it to its end and return its exit code; raises StepError."""
    await _remove_leftovers(docker, job.id, wanted.name)
    try:
        with engine.explained("the container could not be created"):
            container = await engine.create(docker, wanted.body, name=wanted.name, platform=wanted.platform)
    except asyncio.CancelledError:  # it may have been made all the same, and is not begun
        await _at_last(_remove_leftovers(docker, job.id, ""))
        raise
    out, err = streams.sizes()
    note = ContainerNote(
        docker=way_to_daemon(job.site.docker), container=container, out=out, err=err, remove=wanted.remove
    )
    streams.keep(encode(note))
    return await _carry_out(docker, note, streams)


async def adopt(docker: Docker, note: ContainerNote, streams: Streams) -> int:
    """Go on with a container of another server and return its exit code; raises StepError."""
    if note.exit_code is not None:
        return await _settle(docker, note, note.exit_code, streams)
    return await _carry_out(docker, note, streams)


async def _remove_leftovers(docker: Docker, job_id: str, name: str) -> None:
    """Remove what a server that died made and did not begin, and the ended container of an earlier step."""
    for found in await engine.find(docker, f"{LABEL}={job_id}"):
        await engine.remove(docker, found)
    if name:
        await engine.make_room(docker, name)


async def _carry_out(docker: Docker, note: ContainerNote, streams: Streams) -> int:
    try:
        code = await stopping.carry_out(_follow(docker, note, streams), lambda name: send(docker, note.container, name))
    except asyncio.CancelledError as cancellation:
        if not stopping.is_detach(cancellation):  # it did not even heed SIGKILL
            await _at_last(engine.remove(docker, note.container))
        raise
    return await _settle(docker, note, code, streams)


async def _settle(docker: Docker, note: ContainerNote, code: int, streams: Streams) -> int:
    """Remove the container if that is wanted, once its exit code cannot be lost any more."""
    if note.remove:
        streams.keep(encode(msgspec.structs.replace(note, exit_code=code)))
        await engine.remove(docker, note.container)
    return code


async def _follow(docker: Docker, note: ContainerNote, streams: Streams) -> int:
    state = await _inspect(docker, note.container)
    if state["State"]["Status"] == "created":
        await _start(docker, note)
    while True:
        whole = await _copy_log(docker, note, streams, tty=state["Config"]["Tty"])
        # Whether the container has ended is what the daemon says, for it may be the connection that has.
        state = await _inspect(docker, note.container)
        if whole and not state["State"]["Running"]:
            return int(state["State"]["ExitCode"])
        await asyncio.sleep(_LOOK_SECONDS)


async def _start(docker: Docker, note: ContainerNote) -> None:
    try:
        await docker.containers.container(note.container).start()
    except DockerError as error:
        if error.status == UNREACHABLE:
            raise
        await engine.remove(docker, note.container)
        raise StepError(f"the container could not be started: {reason(error)}") from error


async def _copy_log(docker: Docker, note: ContainerNote, streams: Streams, *, tty: bool) -> bool:
    """Copy what of the log is not in the files yet, and tell whether that was all there will be."""
    out, err = streams.sizes()
    over = {True: out - note.out, False: err - note.err}
    try:
        async for stream, data in engine.read_log(docker, note.container, tty=tty):
            is_out = stream == STDOUT
            fresh = data[over[is_out] :]
            over[is_out] -= len(data) - len(fresh)
            (streams.out if is_out else streams.err)(fresh)
    except aiohttp.ClientError:
        return False
    except DockerError as error:
        if error.status in (GONE, UNREACHABLE):
            return False
        streams.err(f"[dagbook: the log of the container cannot be read: {reason(error)}]\n")
        with contextlib.suppress(aiohttp.ClientError, DockerError):
            await docker.containers.container(note.container).wait()
    return True


async def _inspect(docker: Docker, container: str) -> dict[str, Any]:
    """Look at a container, for a while also when the daemon is being restarted; raises StepError."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _PATIENCE_SECONDS
    while True:
        try:
            return await docker.containers.container(container).show()
        except DockerError as error:
            if error.status == GONE:
                raise StepError("the container was removed while the step ran: its outcome is unknown") from error
            if error.status != UNREACHABLE or loop.time() > until:
                raise
        await asyncio.sleep(_LOOK_SECONDS)


async def send(docker: Docker, container: str, name: str) -> None:
    """Send a signal by its POSIX name, harmless when the container has ended; one that is not started yet waits."""
    with contextlib.suppress(DockerError, aiohttp.ClientError, StepError):
        while (await _inspect(docker, container))["State"]["Status"] == "created":  # noqa: ASYNC110 - the daemon's
            await asyncio.sleep(_SOON_SECONDS)
        await docker.containers.container(container).kill(signal=name)


async def _at_last(removal: Coroutine[Any, Any, None]) -> None:
    """Remove what nobody will look after any more, if that can be done soon."""
    with contextlib.suppress(DockerError, aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(_LAST_SECONDS):
            await removal

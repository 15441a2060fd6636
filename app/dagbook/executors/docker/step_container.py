"""The container of one step: create, follow, signal, adopt, remove (DAG format 4.4; 1.30, 3.3).

It has the execution id as a label and outlives the server. Its log is read from the first byte on, without the part
that the step's files hold already; so nothing is lost or repeated when another server adopts it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping

import aiohttp
import msgspec
from aiodocker import Docker, DockerError

from dagbook.executors import cancellation
from dagbook.executors.contract import Job, StepError, Streams
from dagbook.executors.docker import engine
from dagbook.executors.docker.engine import NOT_FOUND, STDOUT, UNREACHABLE, reason
from dagbook.executors.docker.inspection import ContainerInfo, show_container
from dagbook.executors.docker.recovery_note import ContainerNote, daemon_env, encode

LABEL = engine.EXECUTION_LABEL
_RESTART_SECONDS = 30.0  # how long a restart of the daemon may take
_POLL_SECONDS, _START_POLL_SECONDS = 0.5, 0.02
_LAST_SECONDS = 5.0


class ContainerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The container to create."""

    body: Mapping[str, object]
    name: str
    platform: str
    remove: bool


async def run(docker: Docker, job: Job, spec: ContainerSpec, streams: Streams) -> int:
    """Create a container, follow it to its end and return its exit code. Raises StepError."""
    container = await _create(docker, job, spec)
    out, err = streams.sizes()
    note = ContainerNote(
        docker=daemon_env(job.shared.docker), container=container, out=out, err=err, remove=spec.remove
    )
    streams.save_note(encode(note))
    return await _carry_out(docker, note, streams)


async def start(docker: Docker, job: Job, spec: ContainerSpec) -> str:
    """Create and start a container that waits for the command lines of a step; returns its id. Raises StepError."""
    container = await _create(docker, job, spec)
    try:
        with engine.translate_errors("the container could not be started"):
            await docker.containers.container(container).start()
    except BaseException:
        await _remove_in_time(engine.remove(docker, container))
        raise
    return container


async def _create(docker: Docker, job: Job, spec: ContainerSpec) -> str:
    await _remove_leftovers(docker, job.id, spec.name)
    try:
        with engine.translate_errors("the container could not be created"):
            return await engine.create(docker, spec.body, name=spec.name, platform=spec.platform)
    except asyncio.CancelledError:  # it may exist all the same, not started
        await _remove_in_time(_remove_leftovers(docker, job.id, ""))
        raise


async def adopt(docker: Docker, note: ContainerNote, streams: Streams) -> int:
    """Adopt a container of another server and return its exit code. Raises StepError."""
    if note.exit_code is not None:
        return await _finish(docker, note, note.exit_code, streams)
    return await _carry_out(docker, note, streams)


async def _remove_leftovers(docker: Docker, job_id: str, name: str) -> None:
    """Remove what a killed server created but did not start, and the finished container of an earlier step."""
    for found in await engine.find_containers(docker, f"{LABEL}={job_id}"):
        await engine.remove(docker, found)
    if name:
        await engine.remove_stale(docker, name)


async def _carry_out(docker: Docker, note: ContainerNote, streams: Streams) -> int:
    try:
        code = await cancellation.run_cancellable(
            _follow(docker, note, streams), lambda name: send(docker, note.container, name)
        )
    except asyncio.CancelledError as error:
        if not cancellation.is_detach(error):  # SIGKILL had no effect in time
            await _remove_in_time(engine.remove(docker, note.container))
        raise
    return await _finish(docker, note, code, streams)


async def _finish(docker: Docker, note: ContainerNote, code: int, streams: Streams) -> int:
    """Save the exit code, then remove the container if asked for."""
    if note.remove:
        streams.save_note(encode(msgspec.structs.replace(note, exit_code=code)))
        await engine.remove(docker, note.container)
    return code


async def _follow(docker: Docker, note: ContainerNote, streams: Streams) -> int:
    shown = await _inspect(docker, note.container)
    if shown.state.status == "created":
        await _start(docker, note)
    while True:
        complete = await _copy_log(docker, note, streams, tty=shown.config.tty)
        # The log also ends when the connection is lost: only the daemon knows whether the container has finished.
        shown = await _inspect(docker, note.container)
        if complete and not shown.state.running:
            return shown.state.exit_code
        await asyncio.sleep(_POLL_SECONDS)


async def _start(docker: Docker, note: ContainerNote) -> None:
    try:
        await docker.containers.container(note.container).start()
    except DockerError as error:
        if error.status == UNREACHABLE:
            raise
        await engine.remove(docker, note.container)
        raise StepError(f"the container could not be started: {reason(error)}") from error


async def _copy_log(docker: Docker, note: ContainerNote, streams: Streams, *, tty: bool) -> bool:
    """Copy the part of the log that is not in the files yet; returns whether the log is complete."""
    out, err = streams.sizes()
    skip = {True: out - note.out, False: err - note.err}
    try:
        async for stream, data in engine.read_log(docker, note.container, tty=tty):
            is_out = stream == STDOUT
            fresh = data[skip[is_out] :]
            skip[is_out] -= len(data) - len(fresh)
            (streams.out if is_out else streams.err)(fresh)
    except aiohttp.ClientError:
        return False
    except DockerError as error:
        if error.status in (NOT_FOUND, UNREACHABLE):
            return False
        streams.err(f"[dagbook: the log of the container cannot be read: {reason(error)}]\n")
        with contextlib.suppress(aiohttp.ClientError, DockerError):
            await docker.containers.container(note.container).wait()
    return True


async def _inspect(docker: Docker, container: str) -> ContainerInfo:
    """Inspect a container; waits while the daemon is being restarted. Raises StepError."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _RESTART_SECONDS
    while True:
        try:
            return await show_container(docker, container)
        except DockerError as error:
            if error.status == NOT_FOUND:
                raise StepError("the container was removed while the step ran: its outcome is unknown") from error
            if error.status != UNREACHABLE or loop.time() > until:
                raise
        await asyncio.sleep(_POLL_SECONDS)


async def send(docker: Docker, container: str, name: str) -> None:
    """Send a signal by its POSIX name, after the container is started; harmless when it has finished."""
    with contextlib.suppress(DockerError, aiohttp.ClientError, StepError):
        while (await _inspect(docker, container)).state.status == "created":  # noqa: ASYNC110 - the daemon's
            await asyncio.sleep(_START_POLL_SECONDS)
        await docker.containers.container(container).kill(signal=name)


async def _remove_in_time(removal: Awaitable[None]) -> None:
    """Remove containers within a few seconds, or give up."""
    with contextlib.suppress(DockerError, aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(_LAST_SECONDS):
            await removal

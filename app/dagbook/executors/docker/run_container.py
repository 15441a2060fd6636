"""The container that all steps of a run share: created by the first step that needs it, removed after the run (2.13).

Its name is configured or derived from the run, so that steps and servers find the same container: the daemon refuses
a second one of a name. A container that Dagbook has not started is only waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiodocker import Docker, DockerError

from dagbook.executors.contract import SetupError, SharedConfig, StepError, write_private
from dagbook.executors.docker import container_config, engine, image
from dagbook.executors.docker.engine import CONFLICT
from dagbook.executors.docker.inspection import ContainerInfo, show_container
from dagbook.executors.docker.recovery_note import RunNote, daemon_env, encode
from dagbook.spec.expressions import Expression, ExpressionError, find_lines, line_expression
from dagbook.spec.model import Container
from dagbook.spec.problem import shorten

LABEL = engine.RUN_LABEL
_READY_SECONDS = 120.0
_POLL_SECONDS = 0.1
_STOP_SECONDS = 2
_LOG_TAIL_BYTES = 1024
_LONGEST_LINE = 64 * 1024  # bytes of an incomplete line that are searched again with what follows
_WAITS = ("running", "healthy")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")


async def ensure(docker: Docker, config: Container, shared: SharedConfig) -> str:
    """Create the container of the run unless it exists, wait until it is ready, and return its id.

    Raises SetupError and StepError.
    """
    pattern = _check(config)
    name = config.name or f"dagbook-{shared.run}"
    shown = await _inspect(docker, name, shared.run) or await _create(docker, name, config, shared)
    container = shown.id
    if shown.state.status == "created":
        with engine.translate_errors("the container of the run could not be started"):
            await docker.containers.container(container).start()
    try:
        async with asyncio.timeout(_READY_SECONDS):
            await _await_ready(docker, container, config, pattern)
    except TimeoutError as error:
        what = f"write {config.log_pattern!r}" if pattern else "become " + (config.wait_for or _WAITS[0])
        raise StepError(f"the container of the run did not {what} within {_READY_SECONDS:g} seconds") from error
    return container


def _check(config: Container) -> Expression | None:
    if config.wait_for not in ("", *_WAITS):
        raise SetupError(f"container: waitFor: expected running or healthy, found {config.wait_for!r}")
    if not config.log_pattern:
        return None
    try:
        return line_expression(config.log_pattern.removeprefix("re:"))
    except ExpressionError as error:
        shown = shorten(config.log_pattern)
        raise SetupError(f"container: logPattern: {shown!r} {error}") from None


async def wait_until_running(docker: Docker, name: str) -> str:
    """Wait until a container that Dagbook has not started runs, and return its id. Raises SetupError."""
    if not _REFERENCE.fullmatch(name):
        raise SetupError(f"container: exec: {name!r} is not the name or id of a container")
    status = ""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_READY_SECONDS):
            while True:
                shown = await engine.inspect(docker, name)
                if shown is not None and shown.state.running:
                    return shown.id
                status = f"does not run ({shown.state.status})" if shown else "is not there"
                await asyncio.sleep(_POLL_SECONDS)
    raise SetupError(f"container {name!r} {status or 'is not shown'}, after {_READY_SECONDS:g} seconds; start it")


async def _inspect(docker: Docker, name: str, run: str) -> ContainerInfo | None:
    """Inspect the container of a name; None unless it belongs to the run."""
    shown = await engine.inspect(docker, name)
    return shown if shown and shown.labels.get(LABEL) == run else None


async def _create(docker: Docker, name: str, config: Container, shared: SharedConfig) -> ContainerInfo:
    body = container_config.for_run(config, shared, {LABEL: shared.run})
    needed = image.Image(name=config.image, pull=config.pull_policy, platform=config.platform)
    await image.ensure(docker, needed, shared)
    if not config.keep_container:
        # Before the container exists: otherwise a server that dies here would leave it behind for good.
        note = RunNote(docker=daemon_env(shared.docker), run=shared.run)
        write_private(Path(shared.run_note), encode(note))
    if config.name:
        await engine.remove_stale(docker, name)
    try:
        await engine.create(docker, body, name=name, platform=config.platform)
    except DockerError as error:
        # Another step may have created it meanwhile: names are unique.
        shown = await _inspect(docker, name, shared.run) if error.status == CONFLICT else None
        if shown is None:
            raise StepError(f"the container of the run could not be created: {engine.reason(error)}") from error
        return shown
    with engine.translate_errors("the container of the run was not found"):
        return await show_container(docker, name)


async def _await_ready(docker: Docker, container: str, config: Container, pattern: Expression | None) -> None:
    while not _is_ready(shown := await show_container(docker, container), config):
        if not shown.state.running:
            raise StepError(await _exit_message(docker, shown))
        await asyncio.sleep(_POLL_SECONDS)
    if pattern is None:
        return
    # Once the time for getting ready has passed, the log may have been rotated and lack the pattern.
    ready_until = datetime.fromisoformat(shown.state.started_at) + timedelta(seconds=_READY_SECONDS)
    if ready_until >= datetime.now(UTC):
        await _await_pattern(docker, shown, pattern)


def _is_ready(shown: ContainerInfo, config: Container) -> bool:
    if not shown.state.running or config.wait_for != "healthy":
        return shown.state.running
    health = shown.state.health
    if not health or health.status == "none":  # the image has no health check
        return True
    if health.status == "unhealthy":
        output = " ".join(health.log[-1].output.split()) if health.log else ""
        raise StepError(f"the container of the run is unhealthy: {output}")
    return health.status == "healthy"


async def _exit_message(docker: Docker, shown: ContainerInfo) -> str:
    blocks = [data async for _, data in engine.read_log(docker, shown.id, tty=shown.config.tty, follow=False)]
    output = " ".join(b"".join(blocks)[-_LOG_TAIL_BYTES:].decode(errors="replace").split())
    return f"the container of the run has ended (exit code {shown.state.exit_code}): {output or 'it wrote nothing'}"


async def _await_pattern(docker: Docker, shown: ContainerInfo, pattern: Expression) -> None:
    lines: dict[int, bytes] = {}
    async for stream, data in engine.read_log(docker, shown.id, tty=shown.config.tty):
        text = lines.get(stream, b"") + data
        lines[stream] = text[text.rfind(b"\n") + 1 :][-_LONGEST_LINE:]
        try:
            if await asyncio.to_thread(find_lines, pattern, text.decode(errors="replace"), most=1):
                return
        except ExpressionError as error:
            raise StepError(f"container: logPattern: the expression {error}") from None
    raise StepError(await _exit_message(docker, await show_container(docker, shown.id)))


async def remove(docker: Docker, run: str) -> None:
    """Remove the container of a finished run, if it has one. Raises DockerError."""
    for container in await engine.find_containers(docker, f"{LABEL}={run}"):
        with contextlib.suppress(DockerError):
            await docker.containers.container(container).stop(t=_STOP_SECONDS)
        await engine.remove(docker, container)

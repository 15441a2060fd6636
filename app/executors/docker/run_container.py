"""The container that all steps of a run share: made by the first that needs it, removed after the run (2.13).

It has a name, its own or the run's, so two steps, or two servers one after the other, find the same one: the daemon
refuses the second of a name. One that others have started is only waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiodocker import Docker, DockerError

from app.executors.contract import SetupError, Site, StepError, write_private
from app.executors.docker import engine, image, payload
from app.executors.docker.engine import CONFLICT
from app.executors.docker.note import RunNote, encode, way_to_daemon
from app.spec.model import Container
from app.spec.pattern import compile_expression

LABEL = engine.RUN_LABEL
_READY_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_STOP_SECONDS = 2
_LOG_TAIL_BYTES = 1024
_WAITS = ("running", "healthy")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")


async def provide(docker: Docker, wanted: Container, site: Site) -> str:
    """Give the id of the run's container, made and ready; raises SetupError and StepError."""
    pattern = _check(wanted)
    name = wanted.name or f"dagbook-{site.run}"
    shown = await _show(docker, name, site.run) or await _create(docker, name, wanted, site)
    container: str = shown["Id"]
    if shown["State"]["Status"] == "created":
        with engine.explained("the container of the run could not be started"):
            await docker.containers.container(container).start()
    try:
        async with asyncio.timeout(_READY_SECONDS):
            await _await_ready(docker, container, wanted, pattern)
    except TimeoutError as error:
        what = f"write {wanted.log_pattern!r}" if pattern else "become " + (wanted.wait_for or _WAITS[0])
        raise StepError(f"the container of the run did not {what} within {_READY_SECONDS:g} seconds") from error
    return container


def _check(wanted: Container) -> re.Pattern[str] | None:
    if wanted.wait_for not in ("", *_WAITS):
        raise SetupError(f"container: waitFor: expected running or healthy, found {wanted.wait_for!r}")
    if not wanted.log_pattern:
        return None
    if pattern := compile_expression(wanted.log_pattern):
        return pattern
    raise SetupError(f"container: logPattern: {wanted.log_pattern!r} is no regular expression")


async def await_running(docker: Docker, name: str) -> str:
    """Give the id of a container that others have started, as soon as it runs; raises SetupError."""
    if not _REFERENCE.fullmatch(name):
        raise SetupError(f"container: exec: {name!r} is no name or id of a container")
    status = ""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_READY_SECONDS):
            while True:
                shown = await engine.show(docker, name)
                if shown is not None and shown["State"]["Running"]:
                    return str(shown["Id"])
                status = f"does not run ({shown['State']['Status']})" if shown else "is not there"
                await asyncio.sleep(_LOOK_SECONDS)
    raise SetupError(f"container {name!r} {status or 'is not shown'}, after {_READY_SECONDS:g} seconds; start it")


async def _show(docker: Docker, name: str, run: str) -> dict[str, Any] | None:
    """Look at the container of a name, if it is that of the run."""
    shown = await engine.show(docker, name)
    return shown if shown and (shown["Config"].get("Labels") or {}).get(LABEL) == run else None


async def _create(docker: Docker, name: str, wanted: Container, site: Site) -> dict[str, Any]:
    body = payload.of_run(wanted, site, {LABEL: site.run})
    needed = image.Image(name=wanted.image, pull=wanted.pull_policy, platform=wanted.platform)
    await image.provide(docker, needed, site)
    if not wanted.keep_container:
        _keep_note(site)
    if wanted.name:
        await engine.make_room(docker, name)
    try:
        await engine.create(docker, body, name=name, platform=wanted.platform)
    except DockerError as error:
        # Another step may have been faster: there is only one of the name.
        shown = await _show(docker, name, site.run) if error.status == CONFLICT else None
        if shown is None:
            raise StepError(f"the container of the run could not be created: {engine.reason(error)}") from error
        return shown
    with engine.explained("the container of the run was not found"):
        return await docker.containers.container(name).show()


def _keep_note(site: Site) -> None:
    """Keep a note before there is anything to forget."""
    write_private(Path(site.run_note), encode(RunNote(docker=way_to_daemon(site.docker), run=site.run)))


async def _await_ready(docker: Docker, container: str, wanted: Container, pattern: re.Pattern[str] | None) -> None:
    while not _is_ready(shown := await docker.containers.container(container).show(), wanted):
        if not shown["State"]["Running"]:
            raise StepError(await _how_it_ended(docker, shown))
        await asyncio.sleep(_LOOK_SECONDS)
    if pattern is not None and not _was_awaited(shown["State"]["StartedAt"]):
        await _await_pattern(docker, shown, pattern)


def _is_ready(shown: Mapping[str, Any], wanted: Container) -> bool:
    state = shown["State"]
    if not state["Running"] or wanted.wait_for != "healthy":
        return bool(state["Running"])
    health = state.get("Health")
    if not health or health["Status"] == "none":  # nothing that could be waited for
        return True
    if health["Status"] == "unhealthy":
        told = " ".join(str(health["Log"][-1]["Output"]).split()) if health.get("Log") else ""
        raise StepError(f"the container of the run is unhealthy: {told}")
    return bool(health["Status"] == "healthy")


async def _how_it_ended(docker: Docker, shown: Mapping[str, Any]) -> str:
    pieces = [data async for _, data in engine.read_log(docker, shown["Id"], tty=shown["Config"]["Tty"], follow=False)]
    told = " ".join(b"".join(pieces)[-_LOG_TAIL_BYTES:].decode(errors="replace").split())
    return f"the container of the run has ended (exit code {shown['State']['ExitCode']}): {told or 'it wrote nothing'}"


def _was_awaited(started_at: str) -> bool:
    """Whether the time for getting ready is over: a log that was turned over since may lack what was waited for."""
    return datetime.fromisoformat(started_at) + timedelta(seconds=_READY_SECONDS) < datetime.now(UTC)


async def _await_pattern(docker: Docker, shown: Mapping[str, Any], pattern: re.Pattern[str]) -> None:
    lines: dict[int, bytes] = {}
    async for stream, data in engine.read_log(docker, shown["Id"], tty=shown["Config"]["Tty"]):
        *whole, lines[stream] = (lines.get(stream, b"") + data).split(b"\n")
        if any(pattern.search(line.decode(errors="replace")) for line in (*whole, lines[stream])):
            return
    raise StepError(await _how_it_ended(docker, await docker.containers.container(shown["Id"]).show()))


async def remove(docker: Docker, run: str) -> None:
    """Remove the container of a run that is over, if it has one; raises DockerError."""
    for container in await engine.find(docker, f"{LABEL}={run}"):
        with contextlib.suppress(DockerError):
            await docker.containers.container(container).stop(t=_STOP_SECONDS)
        await engine.remove(docker, container)

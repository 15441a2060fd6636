"""The docker executor: a step in its own container, in a running one, or in the run's (DAG format 4.4; 1.30, 3.3)."""

from __future__ import annotations

import msgspec
from aiodocker import Docker, DockerError

from dagbook.executors import cancellation
from dagbook.executors.config import Config
from dagbook.executors.contract import Job, SetupError, StepError, Streams
from dagbook.executors.docker import container_config, engine, exec_instance, image, run_container, step_container
from dagbook.executors.docker.engine import NOT_FOUND
from dagbook.executors.docker.inspection import show_container
from dagbook.executors.docker.recovery_note import ContainerNote, ExecNote, RunNote, decode
from dagbook.spec.model import Container

_PULLS = {
    **{word: word for word in ("always", "missing", "never")},
    **dict.fromkeys(("1", "t", "T", "true", "True", "TRUE"), "always"),
    **dict.fromkeys(("0", "f", "F", "false", "False", "FALSE"), "never"),
}


async def run(job: Job, streams: Streams) -> int:
    """Run the step's command in a container and return its exit code. Raises SetupError and StepError."""
    try:
        return await _run(job, streams)
    except engine.NoDaemonError as error:
        if streams.has_note:  # something was started there
            raise
        raise SetupError(str(error)) from error


async def _run(job: Job, streams: Streams) -> int:
    if job.container is not None:
        return await _run_in_step_container(job, job.container, streams)
    if not job.config:
        return await _run_in_run_container(job, streams)
    config = Config(job.config, "docker")
    name = config.text("containerName").strip()
    if not name and not config.text("image").strip():
        raise config.error("image", "is missing; name an image, or the containerName of a container that runs")
    if not name and config.has("exec"):
        raise config.error("exec", "can only be combined with containerName; for a new container use container instead")
    options = _read_options(config)
    spec = _read_container(job, config, name) if config.text("image").strip() else None
    async with engine.connect(job.shared.docker, job.account) as docker:
        running = await _find_running(docker, name, may_be_created=spec is not None)
        if running:
            return await exec_instance.run(docker, running, job, options, streams)
        assert spec is not None  # noqa: S101 - else _find_running has raised
        await image.ensure(docker, _read_image(config), job.shared)
        if not job.following:
            return await step_container.run(docker, job, spec, streams)
        waiting = msgspec.structs.replace(spec, body={**spec.body, **container_config.KEEPALIVE})
        created = await step_container.start(docker, job, waiting)
        # Removed in any case: it only waits for command lines.
        return await exec_instance.run(docker, created, job, options, streams, remove=True)


async def adopt(_: Job, streams: Streams) -> int:
    """Adopt what the note of another server names, and return its exit code. Raises StepError."""
    note = decode(streams.read_note())
    async with engine.connect(note.docker) as docker:
        match note:
            case ExecNote():
                return await exec_instance.adopt(docker, note, streams)
            case ContainerNote():
                return await step_container.adopt(docker, note, streams)
            case RunNote():
                raise StepError("the note of the step is not its own")


async def abandon(data: bytes) -> None:
    """Kill what a note names. Raises SetupError and StepError."""
    note = decode(data)
    async with engine.connect(note.docker) as docker:
        match note:
            case ExecNote():
                await exec_instance.send(docker, note, cancellation.KILL)
                if note.remove:
                    await engine.remove(docker, note.container)
            case ContainerNote():
                await step_container.send(docker, note.container, cancellation.KILL)
                if note.remove:
                    await engine.remove(docker, note.container)
            case RunNote():
                await run_container.remove(docker, note.run)


async def _run_in_step_container(job: Job, container: Container, streams: Streams) -> int:
    async with engine.connect(job.shared.docker, job.account) as docker:
        if container.exec:
            return await _run_in_running(docker, container, job, streams)
        if not container.image:
            raise SetupError("container: neither exec nor image is left of it once its variables are replaced")
        spec = step_container.ContainerSpec(
            body=container_config.for_step(container, job, {step_container.LABEL: job.id}),
            name=container.name,
            platform=container.platform,
            remove=not container.keep_container,
        )
        needed = image.Image(name=container.image, pull=container.pull_policy, platform=container.platform)
        await image.ensure(docker, needed, job.shared)
        if not job.following:
            return await step_container.run(docker, job, spec, streams)
        created = await step_container.start(docker, job, spec)
        return await exec_instance.run(docker, created, job, exec_instance.Options(), streams, remove=spec.remove)


async def _run_in_running(docker: Docker, container: Container, job: Job, streams: Streams) -> int:
    """Wait until a container that Dagbook does not manage runs, and run the command in it."""
    exec_instance.check_command(job)
    running = await run_container.wait_until_running(docker, container.exec)
    options = exec_instance.Options(
        user=container.user, working_dir=container.working_dir, env=tuple(container_config.container_env(container))
    )
    return await exec_instance.run(docker, running, job, options, streams)


async def _run_in_run_container(job: Job, streams: Streams) -> int:
    container = job.shared.container
    if container is None:
        raise SetupError(
            "docker: neither the step nor its DAG names a container; give container to the step or "
            "the DAG, or image or containerName in executor.config"
        )
    exec_instance.check_command(job)
    async with engine.connect(job.shared.docker, job.account) as docker:
        if container.exec:
            return await _run_in_running(docker, container, job, streams)
        running = await run_container.ensure(docker, container, job.shared)
        return await exec_instance.run(docker, running, job, exec_instance.Options(), streams)


def _read_options(config: Config) -> exec_instance.Options:
    value = config.value("exec")
    if value is None:
        return exec_instance.Options()
    if not isinstance(value, dict):
        raise config.error("exec", "expected a map with user, workingDir, env, privileged or tty")
    below = Config(value, "docker: exec")
    return exec_instance.Options(
        user=below.text("user"),
        working_dir=below.text("workingDir"),
        env=tuple(container_config.environment(below, "env")),
        privileged=below.flag("privileged"),
        tty=below.flag("tty"),
    )


def _read_image(config: Config) -> image.Image:
    pull = config.text("pull")
    if pull not in _PULLS or not isinstance(config.value("pull"), str | bool | None):
        raise config.error("pull", f"expected always, missing, never, true or false, found {pull!r}")
    return image.Image(name=config.text("image").strip(), pull=_PULLS[pull], platform=config.text("platform").strip())


def _read_container(job: Job, config: Config, name: str) -> step_container.ContainerSpec:
    command = [job.program, *job.args] if job.program else []
    return step_container.ContainerSpec(
        body=container_config.for_config(config, command, {step_container.LABEL: job.id}),
        name=name,
        platform=config.text("platform").strip(),
        remove=config.flag("autoRemove") or bool(container_config.normalize_keys(config, "host").get("AutoRemove")),
    )


async def _find_running(docker: Docker, name: str, *, may_be_created: bool) -> str:
    """Return the id of the running container of a name; empty when it has to be created."""
    if not name:
        return ""
    try:
        shown = await show_container(docker, name)
    except DockerError as error:
        if error.status != NOT_FOUND:
            raise
        if may_be_created:
            return ""
        raise SetupError(f"there is no container {name!r}; start it, or name the image to make it from") from error
    if shown.state.running:
        return shown.id
    if not may_be_created:
        raise SetupError(f"container {name!r} does not run ({shown.state.status}); start it")
    if step_container.LABEL not in shown.labels:
        raise StepError(
            f"container {name!r} is there but does not run ({shown.state.status}), and is none of Dagbook's; "
            "start it, remove it, or choose another containerName"
        )
    return ""

"""A step in a container: one of its own, one that runs already, or the run's (DAG format 4.4; 1.30, 3.3)."""

from __future__ import annotations

from aiodocker import Docker, DockerError

from app.executors import stopping
from app.executors.config import Config
from app.executors.contract import Job, SetupError, StepError, Streams
from app.executors.docker import engine, exec_instance, image, own, payload, run_container
from app.executors.docker.engine import GONE
from app.executors.docker.note import ContainerNote, ExecNote, RunNote, decode
from app.spec.model import Container

_PULLS = {
    **{word: word for word in ("always", "missing", "never")},
    **dict.fromkeys(("1", "t", "T", "true", "True", "TRUE"), "always"),
    **dict.fromkeys(("0", "f", "F", "false", "False", "FALSE"), "never"),
}


async def run(job: Job, streams: Streams) -> int:
    """Run the step's command in a container and return its exit code; raises SetupError and StepError."""
    try:
        return await _run(job, streams)
    except engine.NoDaemonError as error:
        if streams.has_note:  # something has begun there
            raise
        raise SetupError(str(error)) from error


async def _run(job: Job, streams: Streams) -> int:
    if job.container is not None:
        return await _run_in_the_steps(job, job.container, streams)
    if not job.config:
        return await _run_in_the_runs(job, streams)
    config = Config(job.config, "docker")
    name = config.text("containerName").strip()
    if not name and not config.text("image").strip():
        raise config.error("image", "is missing; name an image, or the containerName of a container that runs")
    if not name and config.has("exec"):
        raise config.error("exec", "goes with a containerName only; a new container takes container instead")
    options = _read_options(config)
    wanted = _read_container(job, config, name) if config.text("image").strip() else None
    async with engine.connect(job.site.docker) as docker:
        running = await _find_running(docker, name, may_be_made=wanted is not None)
        if running:
            return await exec_instance.run(docker, running, job, options, streams)
        assert wanted is not None  # noqa: S101 - else there had to be a container
        await image.provide(docker, _read_image(config), job.site)
        return await own.run(docker, job, wanted, streams)


async def adopt(_: Job, streams: Streams) -> int:
    """Go on with what another server began, as its note tells, and return its exit code; raises StepError."""
    note = decode(streams.kept())
    async with engine.connect(note.docker) as docker:
        match note:
            case ExecNote():
                return await exec_instance.adopt(docker, note, streams)
            case ContainerNote():
                return await own.adopt(docker, note, streams)
            case RunNote():
                raise StepError("the note of the step is not its own")


async def abandon(data: bytes) -> None:
    """End what a note tells of: nobody waits for it any more. Raises SetupError and StepError."""
    note = decode(data)
    async with engine.connect(note.docker) as docker:
        match note:
            case ExecNote():
                await exec_instance.send(docker, note, stopping.KILL)
            case ContainerNote():
                await own.send(docker, note.container, stopping.KILL)
                if note.remove:
                    await engine.remove(docker, note.container)
            case RunNote():
                await run_container.remove(docker, note.run)


async def _run_in_the_steps(job: Job, container: Container, streams: Streams) -> int:
    async with engine.connect(job.site.docker) as docker:
        if container.exec:
            return await _run_in_running(docker, container, job, streams)
        if not container.image:
            raise SetupError("container: neither exec nor image is left of it once its variables are replaced")
        wanted = own.Wanted(
            body=payload.of_step(container, job, {own.LABEL: job.id}),
            name=container.name,
            platform=container.platform,
            remove=not container.keep_container,
        )
        needed = image.Image(name=container.image, pull=container.pull_policy, platform=container.platform)
        await image.provide(docker, needed, job.site)
        return await own.run(docker, job, wanted, streams)


async def _run_in_running(docker: Docker, container: Container, job: Job, streams: Streams) -> int:
    """Run the command in a container that was started by others, once it runs."""
    exec_instance.check_command(job)
    running = await run_container.await_running(docker, container.exec)
    options = exec_instance.Options(
        user=container.user, working_dir=container.working_dir, env=tuple(payload.environment_of(container))
    )
    return await exec_instance.run(docker, running, job, options, streams)


async def _run_in_the_runs(job: Job, streams: Streams) -> int:
    container = job.site.container
    if container is None:
        raise SetupError(
            "docker: neither the step nor its DAG says in which container; give container to the step or "
            "the DAG, or image or containerName in executor.config"
        )
    exec_instance.check_command(job)
    async with engine.connect(job.site.docker) as docker:
        if container.exec:
            return await _run_in_running(docker, container, job, streams)
        running = await run_container.provide(docker, container, job.site)
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
        env=tuple(payload.environment(below, "env")),
        privileged=below.flag("privileged"),
        tty=below.flag("tty"),
    )


def _read_image(config: Config) -> image.Image:
    pull = config.text("pull", "missing")
    if pull not in _PULLS or not isinstance(config.value("pull"), str | bool | None):
        raise config.error("pull", f"expected always, missing, never, true or false, found {pull!r}")
    return image.Image(name=config.text("image").strip(), pull=_PULLS[pull], platform=config.text("platform").strip())


def _read_container(job: Job, config: Config, name: str) -> own.Wanted:
    command = [job.program, *job.args] if job.program else []
    return own.Wanted(
        body=payload.of_config(config, command, {own.LABEL: job.id}),
        name=name,
        platform=config.text("platform").strip(),
        remove=payload.removes_itself(config),
    )


async def _find_running(docker: Docker, name: str, *, may_be_made: bool) -> str:
    """Give the id of a container that runs under a name; an empty one when it has to be made."""
    if not name:
        return ""
    try:
        shown = await docker.containers.container(name).show()
    except DockerError as error:
        if error.status != GONE:
            raise
        if may_be_made:
            return ""
        raise SetupError(f"there is no container {name!r}; start it, or name the image to make it from") from error
    if shown["State"]["Running"]:
        return str(shown["Id"])
    if not may_be_made:
        raise SetupError(f"container {name!r} does not run ({shown['State']['Status']}); start it")
    if own.LABEL not in (shown["Config"].get("Labels") or {}):
        raise StepError(
            f"container {name!r} is there but does not run ({shown['State']['Status']}), and is none of Dagbook's; "
            "start it, remove it, or choose another containerName"
        )
    return ""

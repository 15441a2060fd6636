"""What the Docker daemon says of containers and of commands in them, as far as steps read it."""

from __future__ import annotations

import msgspec
from aiodocker import Docker
from aiodocker.execs import Exec


class Probe(msgspec.Struct, frozen=True, rename="pascal"):
    """One run of a health check."""

    output: str = ""


class Health(msgspec.Struct, frozen=True, rename="pascal"):
    """The health of a container: none, starting, healthy or unhealthy."""

    status: str = "none"
    log: list[Probe] | None = None


class State(msgspec.Struct, frozen=True, rename="pascal"):
    """The state of a container; ``status`` is created, running or another word of the daemon's."""

    status: str
    running: bool
    exit_code: int = 0
    started_at: str = ""
    health: Health | None = None


class ContainerConfig(msgspec.Struct, frozen=True, rename="pascal"):
    """The config of a container."""

    labels: dict[str, str] | None = None
    tty: bool = False


class ContainerInfo(msgspec.Struct, frozen=True, rename="pascal"):
    """A container."""

    id: str
    state: State
    config: ContainerConfig

    @property
    def labels(self) -> dict[str, str]:
        return self.config.labels or {}


class ExecInfo(msgspec.Struct, frozen=True, rename="pascal"):
    """A command in a container; Podman shows one that has not started yet like one that succeeded."""

    running: bool
    pid: int = 0
    exit_code: int | None = None


async def show_container(docker: Docker, name: str) -> ContainerInfo:
    """Inspect a container by name or id. Raises DockerError."""
    return msgspec.convert(await docker.containers.container(name).show(), ContainerInfo)


async def show_exec(instance: Exec) -> ExecInfo:
    """Inspect a command. Raises DockerError."""
    return msgspec.convert(await instance.inspect(), ExecInfo)

"""Steps in containers of a daemon, as the tests of the executor start them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dagbook.executors import in_process, registry
from dagbook.executors.contract import ExecutionFiles, Job, Outcome, SharedConfig
from dagbook.executors.in_process import InProcessExecution
from dagbook.spec.model import CommandLine, Container
from tests.executors.docker_stand_in import StandIn

SH = ("sh", "-c")


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """The address of a daemon and the files of one execution."""

    address: str
    files: ExecutionFiles

    def shared(self, container: Container | None = None, **more: Any) -> SharedConfig:
        directory = str(self.files.directory)
        host = {"DOCKER_HOST": self.address}
        values = {"docker": host, "home": directory, "work_dir": directory, **more}
        return SharedConfig(container=container, run="7-1", run_note=f"{directory}/7_1_container.note", **values)

    def begin(
        self,
        config: Mapping[str, Any],
        *command: str,
        shared: SharedConfig | None = None,
        job_id: str = "7-1-0-1",
        container: Container | None = None,
        following: Sequence[Sequence[str]] = (),
    ) -> InProcessExecution:
        kind = registry.find("docker")
        program, *args = command or ("",)
        job = Job(
            type="docker",
            id=job_id,
            program=program,
            args=tuple(args),
            following=tuple(CommandLine(" ".join(words), words[0], tuple(words[1:])) for words in following),
            config=config,
            container=container,
            cwd=self.files.directory,
            shared=shared or self.shared(),
        )
        return in_process.start(kind.run(), job, self.files, outlives=kind.adopts)

    def adopt(self) -> InProcessExecution:
        """Adopt as the next server does, which knows only the job's id."""
        job = Job(type="docker", id="7-1-0-1", cwd=self.files.directory)
        return in_process.adopt(registry.find("docker").adopt(), job, self.files)

    async def end(self, config: Mapping[str, Any], *command: str, **more: Any) -> Outcome:
        return await self.begin(config, *command, **more).wait()

    async def abandon(self) -> None:
        await registry.find("docker").abandon()(self.files.note.read_bytes())

    @property
    def out(self) -> str:
        return self.files.stdout.read_text()

    @property
    def err(self) -> str:
        return self.files.stderr.read_text()


class Scene(Steps, frozen=True, kw_only=True):
    """Steps in containers of a stand-in."""

    daemon: StandIn

    @classmethod
    def of(cls, daemon: StandIn, files: ExecutionFiles) -> Scene:
        return cls(address=daemon.address, files=files, daemon=daemon)


def body_of(scene: Scene) -> dict[str, Any]:
    """Return the request that created the only container."""
    (container,) = scene.daemon.containers.values()
    body: dict[str, Any] = container.body
    return body

"""Steps in containers of a daemon, as the tests of the executor begin them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from app.executors import inside, registry
from app.executors.contract import ExecutionFiles, Job, Outcome, Site
from app.executors.inside import InsideExecution
from app.spec.model import Container
from tests.executors.docker_stand_in import StandIn

SH = ("sh", "-c")


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """The address of a daemon and the files of one execution."""

    address: str
    files: ExecutionFiles

    def site(self, container: Container | None = None, **more: Any) -> Site:
        directory = str(self.files.directory)
        host = {"DOCKER_HOST": self.address}
        told = {"docker": host, "home": directory, "work_dir": directory, **more}
        return Site(container=container, run="7-1", run_note=f"{directory}/7_1_container.note", **told)

    def begin(
        self,
        config: Mapping[str, Any],
        *command: str,
        site: Site | None = None,
        job_id: str = "7-1-0-1",
        container: Container | None = None,
    ) -> InsideExecution:
        kind = registry.find("docker")
        program, *args = command or ("",)
        job = Job(
            type="docker",
            id=job_id,
            program=program,
            args=tuple(args),
            config=config,
            container=container,
            cwd=self.files.directory,
            site=site or self.site(),
        )
        return inside.begin(kind.run(), job, self.files, outlives=kind.adopts)

    def adopt(self) -> InsideExecution:
        """Go on as the next server does, which knows no more than the job's id."""
        job = Job(type="docker", id="7-1-0-1", cwd=self.files.directory)
        return inside.adopt(registry.find("docker").adopt(), job, self.files)

    async def end(self, config: Mapping[str, Any], *command: str, site: Site | None = None) -> Outcome:
        return await self.begin(config, *command, site=site).wait()

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
    """Give what the one container was created with."""
    (container,) = scene.daemon.containers.values()
    body: dict[str, Any] = container.body
    return body

"""The image of a container, pulled as its policy says (DAG format 2.13, 4.4)."""

from __future__ import annotations

import msgspec
from aiodocker import Docker, DockerError

from app.executors.contract import Site, StepError
from app.executors.docker import credentials
from app.executors.docker.engine import GONE, UNREACHABLE, reason


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """Which image is wanted, and whether it may or must be pulled: always, missing or never."""

    name: str
    pull: str = "missing"
    platform: str = ""


async def provide(docker: Docker, image: Image, site: Site) -> None:
    """See to it that the image is where containers are made from it; raises SetupError and StepError."""
    if image.pull != "always" and await _is_here(docker, image):
        return
    if image.pull == "never":
        where = f"here for {image.platform}" if image.platform else "here"
        raise StepError(f"image {image.name!r} is not {where}, and may not be pulled (pull policy: never)")
    await _pull(docker, image, site)


async def _is_here(docker: Docker, image: Image) -> bool:
    try:
        found = await docker.images.inspect(image.name)
    except DockerError as error:
        if error.status == GONE:
            return False
        raise
    system, _, architecture = image.platform.partition("/")
    return not image.platform or (system, architecture.partition("/")[0]) == (found["Os"], found["Architecture"])


async def _pull(docker: Docker, image: Image, site: Site) -> None:
    auth = credentials.find(image.name, site.registry_auths, site.docker.get("DOCKER_AUTH_CONFIG", ""))
    # With credentials the library wants the registry in the name.
    name = "/".join(credentials.split_host(image.name)) if auth else image.name
    try:
        await docker.images.pull(name, auth=auth, platform=image.platform or None)
    except DockerError as error:
        if error.status == UNREACHABLE:
            raise
        raise StepError(f"image {image.name!r} could not be pulled: {reason(error)}") from error

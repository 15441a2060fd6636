"""Image of a container: pulled by its pull policy (DAG format 2.13, 4.4); imports aiodocker, credentials do not."""

from __future__ import annotations

import msgspec
from aiodocker import Docker, DockerError

from dagbook.executors.contract import SharedConfig, StepError
from dagbook.executors.docker import credentials
from dagbook.executors.docker.engine import NOT_FOUND, UNREACHABLE, reason


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image and its pull policy: always, missing or never."""

    name: str
    pull: str = "missing"
    platform: str = ""


async def ensure(docker: Docker, image: Image, shared: SharedConfig) -> None:
    """Pull the image if its policy asks for it. Raises SetupError and StepError."""
    if image.pull != "always" and await _is_present(docker, image):
        return
    if image.pull == "never":
        where = f"here for {image.platform}" if image.platform else "here"
        raise StepError(f"image {image.name!r} is not {where}, and may not be pulled (pull policy: never)")
    await _pull(docker, image, shared)


async def _is_present(docker: Docker, image: Image) -> bool:
    try:
        found = await docker.images.inspect(image.name)
    except DockerError as error:
        if error.status == NOT_FOUND:
            return False
        raise
    system, _, architecture = image.platform.partition("/")
    return not image.platform or (system, architecture.partition("/")[0]) == (found["Os"], found["Architecture"])


async def _pull(docker: Docker, image: Image, shared: SharedConfig) -> None:
    auth = credentials.find(image.name, shared.registry_auths, shared.docker.get("DOCKER_AUTH_CONFIG", ""))
    # With credentials the library requires the registry in the name.
    name = "/".join(credentials.split_host(image.name)) if auth else image.name
    try:
        await docker.images.pull(name, auth=auth, platform=image.platform or None)
    except DockerError as error:
        if error.status == UNREACHABLE:
            raise
        raise StepError(f"image {image.name!r} could not be pulled: {reason(error)}") from error

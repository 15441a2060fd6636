"""The Docker daemon: how it is reached, what is asked of it that the library cannot ask, and its refusals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiodocker import Docker, DockerError

from app.executors.contract import SetupError, StepError

GONE, CONFLICT, UNREACHABLE = 404, 409, 900  # the last is the library's own
STDOUT = 1  # the number of the stream in the daemon's frames
EXECUTION_LABEL, RUN_LABEL = "dagbook.execution", "dagbook.run"
_DEFAULT = "unix:///var/run/docker.sock"
_SCHEMES = ("unix://", "tcp://", "http://", "https://")
_CREDENTIALS = re.compile(r"(?<=://)[^/]*@")
_CONNECT_SECONDS = 10.0
_FRAME = struct.Struct(">BxxxL")
_PIECE_BYTES = 64 * 1024
_EVENTS_SECONDS = 2.0


class NoDaemonError(StepError):
    """No daemon answers where one was looked for."""


class _Actor(msgspec.Struct, rename="pascal"):
    attributes: dict[str, str] = {}


class _Refusal(msgspec.Struct):
    message: str


class _Event(msgspec.Struct, rename="pascal"):
    actor: _Actor


@asynccontextmanager
async def connect(variables: Mapping[str, str]) -> AsyncIterator[Docker]:
    """Give the daemon that ``DOCKER_HOST`` names, else the machine's; raises SetupError and StepError.

    Within the block every refusal that nobody else has explained becomes a sentence.
    """
    address = variables.get("DOCKER_HOST") or _DEFAULT
    shown = _show(address)
    docker = _open(address, variables)
    try:
        with explained(f"the Docker daemon at {shown} refused", shown):
            yield docker
    finally:
        await docker.close()


def _show(address: str) -> str:
    """Check an address and give it without what may be a password; raises SetupError."""
    shown = _CREDENTIALS.sub("", address)
    if address.startswith(_SCHEMES) and _leads_somewhere(address):
        return shown
    raise SetupError(
        f"DOCKER_HOST: {shown!r} is no address of a Docker daemon; begin it with {', '.join(_SCHEMES)}, "
        "and go on with a path or with host:port"
    )


def _leads_somewhere(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return bool(parts.path.strip("/") if parts.scheme == "unix" else parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return False


def _open(address: str, variables: Mapping[str, str]) -> Docker:
    timeout = aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS)
    if not variables.get("DOCKER_TLS_VERIFY") or address.startswith("unix://"):
        return Docker(url=address, timeout=timeout)
    folder = Path(variables.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    try:
        context = ssl.create_default_context(cafile=folder / "ca.pem")
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    except (OSError, ssl.SSLError) as error:
        raise SetupError(
            f"DOCKER_CERT_PATH: ca.pem, cert.pem and key.pem in {folder} cannot be used: {error}"
        ) from error
    secure = f"https://{address.partition('://')[2]}"
    return Docker(url=secure, timeout=timeout, ssl_context=context)


@contextmanager
def explained(what: str, address: str = "") -> Iterator[None]:
    """Say what went wrong, beginning with ``what``; that there is no daemon is left to ``connect`` to say."""
    try:
        yield
    except DockerError as error:
        if error.status != UNREACHABLE:
            raise StepError(f"{what}: {reason(error)}") from error
        if not address:
            raise
        raise NoDaemonError(
            f"no Docker daemon answers at {address}; start it, or name another one in DOCKER_HOST"
        ) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise StepError(f"the connection to the Docker daemon was lost: {error}") from error


def reason(error: DockerError) -> str:
    """Give the daemon's own words in one line, out of the JSON in which Podman leaves some of them."""
    words = str(error.message)
    with contextlib.suppress(msgspec.DecodeError):
        words = msgspec.json.decode(words, type=_Refusal).message
    return " ".join(words.split())


async def create(docker: Docker, body: Mapping[str, Any], *, name: str, platform: str) -> str:
    """Create a container and return its id; raises DockerError."""
    params = {key: value for key, value in (("name", name), ("platform", platform)) if value}
    # The library's own way to create a container has no place for the platform.
    made = await docker._query_json("containers/create", "POST", params=params, data=body)  # noqa: SLF001
    return str(made["Id"])


async def find(docker: Docker, label: str) -> list[str]:
    """List the containers with a label, ended ones too, by their ids; raises DockerError."""
    filters = json.dumps({"label": [label]})
    return [container.id for container in await docker.containers.list(all=True, filters=filters)]


async def show(docker: Docker, name: str) -> dict[str, Any] | None:
    """Look at a container by name or id; None when it is not there. Raises DockerError."""
    try:
        return await docker.containers.container(name).show()
    except DockerError as error:
        if error.status == GONE:
            return None
        raise


async def make_room(docker: Docker, name: str) -> None:
    """Remove a container of Dagbook's that has ended and has the name that another one is to get."""
    with contextlib.suppress(DockerError):
        shown = await show(docker, name)
        labels = (shown["Config"].get("Labels") or {}) if shown else {}
        if shown and {EXECUTION_LABEL, RUN_LABEL} & labels.keys() and not shown["State"]["Running"]:
            await remove(docker, name)


async def remove(docker: Docker, container: str) -> None:
    """Remove a container and its nameless volumes, running or not; harmless when it is gone. Raises DockerError."""
    try:
        await docker.containers.container(container).delete(force=True, v=True)
    except DockerError as error:
        if error.status not in (GONE, CONFLICT):  # the latter: its removal is under way
            raise


async def find_exec_end(docker: Docker, container: str, instance: str) -> int | None:
    """Find the exit code of an exec instance in the daemon's recent events, a few hundred; raises DockerError."""
    filters = json.dumps({"container": [container], "event": ["exec_die"]})
    async with docker._query("events", params={"since": "1", "filters": filters}) as response:  # noqa: SLF001
        # The events go on: nothing says which of them is the last so far.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_EVENTS_SECONDS), contextlib.aclosing(_attributes(response)) as events:
                async for told in events:
                    if told.get("execID") == instance:
                        return int(told["exitCode"])
    return None


async def _attributes(response: aiohttp.ClientResponse) -> AsyncGenerator[Mapping[str, str]]:
    try:
        async for line in response.content:
            yield msgspec.json.decode(line, type=_Event).actor.attributes
    finally:
        response.close()


async def read_log(
    docker: Docker, container: str, *, tty: bool, follow: bool = True
) -> AsyncIterator[tuple[int, bytes]]:
    """Give what a container has written and writes, from its first byte on; each piece with its stream's number.

    It ends when the container does. Raises DockerError, and aiohttp.ClientError when the connection is lost before.
    """
    params = {"stdout": True, "stderr": True, "follow": follow}
    # The library decodes a log as text and does not tell the streams apart.
    async with docker._query(f"containers/{container}/logs", params=params) as response:  # noqa: SLF001
        try:
            async for piece in _pieces(response.content, tty=tty):
                yield piece
        finally:
            response.close()


async def _pieces(content: aiohttp.StreamReader, *, tty: bool) -> AsyncIterator[tuple[int, bytes]]:
    with contextlib.suppress(asyncio.IncompleteReadError):  # the end
        while not tty:
            stream, left = _FRAME.unpack(await content.readexactly(_FRAME.size))
            while left:
                piece = await content.readexactly(min(left, _PIECE_BYTES))
                left -= len(piece)
                yield (stream, piece)
        while piece := await content.readany():
            yield (STDOUT, piece)

"""The Docker daemon: connection, requests that the library does not have, and error messages."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiodocker import Docker, DockerError

from dagbook.executors.contract import SetupError, StepError, step_files
from dagbook.executors.docker.inspection import ContainerInfo, show_container

NOT_FOUND, CONFLICT, UNREACHABLE = 404, 409, 900  # the last is the library's own
STDOUT = 1  # the number of the stream in the daemon's frames
EXECUTION_LABEL, RUN_LABEL = "dagbook.execution", "dagbook.run"
_DEFAULT = "unix:///var/run/docker.sock"
_SCHEMES = ("unix://", "tcp://", "http://", "https://")
_CREDENTIALS = re.compile(r"(?<=://)[^/]*@")
_CONNECT_SECONDS = 10.0
_FRAME = struct.Struct(">BxxxL")
_BLOCK_BYTES = 64 * 1024
_EVENTS_SECONDS = 2.0


class NoDaemonError(StepError):
    """No daemon answers at the address."""


class _Actor(msgspec.Struct, rename="pascal"):
    attributes: dict[str, str] = {}


class _Refusal(msgspec.Struct):
    message: str


class _Event(msgspec.Struct, rename="pascal"):
    actor: _Actor


@asynccontextmanager
async def connect(variables: Mapping[str, str], account: str = "") -> AsyncIterator[Docker]:
    """Connect to the daemon of ``DOCKER_HOST``, else of the machine. Raises SetupError and StepError.

    The account has to have access: the daemon gives root to every client. Errors of the daemon inside the block become
    StepError.
    """
    address = variables.get("DOCKER_HOST") or _DEFAULT
    shown = _redact(address)
    with step_files(account):
        if account:
            _require_access(address, account)
        docker = _open(address, variables)
    try:
        with translate_errors(f"the Docker daemon at {shown} refused", shown):
            yield docker
    finally:
        await docker.close()


def _redact(address: str) -> str:
    """Check an address and return it without credentials. Raises SetupError."""
    shown = _CREDENTIALS.sub("", address)
    try:
        parts = urlsplit(address)
        place = parts.path.strip("/") if parts.scheme == "unix" else parts.hostname
        is_complete = bool(place) and parts.port != 0
    except ValueError:  # a port that is none
        is_complete = False
    if address.startswith(_SCHEMES) and is_complete:
        return shown
    raise SetupError(
        f"DOCKER_HOST: {shown!r} is not the address of a Docker daemon; start it with {', '.join(_SCHEMES)}, "
        "and go on with a path or with host:port"
    )


def _require_access(address: str, account: str) -> None:
    """Raise SetupError unless the account may connect to the socket of a daemon."""
    scheme, _, path = address.partition("://")
    if scheme != "unix":
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as client:
        try:
            client.connect(path)
        except PermissionError:
            raise SetupError(
                f"the account {account!r}, under which the steps of this DAG run, may not use the Docker daemon at "
                f"{address}; a client of the daemon has the permissions of root: add the account to the group of the "
                "socket, or give the DAG another account"
            ) from None
        except OSError:
            return  # the library says what is wrong


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
def translate_errors(what: str, address: str = "") -> Iterator[None]:
    """Turn errors of the daemon into a StepError that starts with ``what``.

    Without an ``address`` the error of an unreachable daemon passes, for ``connect`` to translate.
    """
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
    """Return the daemon's message in one line; Podman wraps some of them in JSON."""
    words = str(error.message)
    with contextlib.suppress(msgspec.DecodeError):
        words = msgspec.json.decode(words, type=_Refusal).message
    return " ".join(words.split())


async def create(docker: Docker, body: Mapping[str, object], *, name: str, platform: str) -> str:
    """Create a container and return its id. Raises DockerError."""
    params = {key: value for key, value in (("name", name), ("platform", platform)) if value}
    # The library's method to create a container has no parameter for the platform.
    created = await docker._query_json("containers/create", "POST", params=params, data=body)  # noqa: SLF001
    return str(created["Id"])


async def find_containers(docker: Docker, label: str) -> list[str]:
    """Return the ids of the containers with a label, finished ones too. Raises DockerError."""
    filters = json.dumps({"label": [label]})
    return [container.id for container in await docker.containers.list(all=True, filters=filters)]


async def inspect(docker: Docker, name: str) -> ContainerInfo | None:
    """Inspect a container by name or id; None when there is none. Raises DockerError."""
    try:
        return await show_container(docker, name)
    except DockerError as error:
        if error.status == NOT_FOUND:
            return None
        raise


async def remove_stale(docker: Docker, name: str) -> None:
    """Remove a finished container of Dagbook that occupies a name."""
    with contextlib.suppress(DockerError):
        shown = await inspect(docker, name)
        if shown and {EXECUTION_LABEL, RUN_LABEL} & shown.labels.keys() and not shown.state.running:
            await remove(docker, name)


async def remove(docker: Docker, container: str) -> None:
    """Remove a container, also a running one, and its anonymous volumes; harmless when there is none."""
    try:
        await docker.containers.container(container).delete(force=True, v=True)
    except DockerError as error:
        if error.status not in (NOT_FOUND, CONFLICT):  # the latter: it is already being removed
            raise


async def find_exec_exit_code(docker: Docker, container: str, instance: str) -> int | None:
    """Find the exit code of an exec instance in the daemon's recent events, a few hundred. Raises DockerError."""
    filters = json.dumps({"container": [container], "event": ["exec_die"]})
    async with docker._query("events", params={"since": "1", "filters": filters}) as response:  # noqa: SLF001
        # The stream of events does not end, and no event marks the end of the past ones.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_EVENTS_SECONDS), contextlib.aclosing(_attributes(response)) as events:
                async for attributes in events:
                    if attributes.get("execID") == instance:
                        return int(attributes["exitCode"])
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
    """Yield the output of a container from its first byte on, each block with the number of its stream.

    Ends when the container does. Raises DockerError, and aiohttp.ClientError when the connection is lost before.
    """
    params = {"stdout": True, "stderr": True, "follow": follow}
    # The library decodes a log as text and does not separate the streams.
    async with docker._query(f"containers/{container}/logs", params=params) as response:  # noqa: SLF001
        try:
            async for block in _blocks(response.content, tty=tty):
                yield block
        finally:
            response.close()


async def _blocks(content: aiohttp.StreamReader, *, tty: bool) -> AsyncIterator[tuple[int, bytes]]:
    with contextlib.suppress(asyncio.IncompleteReadError):  # the end
        while not tty:
            stream, left = _FRAME.unpack(await content.readexactly(_FRAME.size))
            while left:
                block = await content.readexactly(min(left, _BLOCK_BYTES))
                left -= len(block)
                yield (stream, block)
        while block := await content.readany():
            yield (STDOUT, block)

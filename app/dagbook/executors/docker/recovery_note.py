"""Notes about containers and commands in the daemon, by which another server adopts or kills them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_CONNECTION = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    """``docker`` has the environment variables of the connection to the daemon."""

    docker: Mapping[str, str]


class ContainerNote(_Note, frozen=True, kw_only=True, tag="container"):
    """The container of a step; ``out`` and ``err`` are the offsets of its output in the step's files."""

    container: str
    out: int
    err: int
    remove: bool
    exit_code: int | None = None


class ExecNote(_Note, frozen=True, kw_only=True, tag="exec"):
    """A command in a running container, and the command lines to run there after it.

    ``lines`` is the number of all command lines of the step; with ``remove`` the container is its own.
    """

    job: str
    container: str
    instance: str
    user: str
    privileged: bool
    working_dir: str = ""
    env: tuple[str, ...] = ()
    tty: bool = False
    following: tuple[tuple[str, ...], ...] = ()
    lines: int = 1
    remove: bool = False


class RunNote(_Note, frozen=True, kw_only=True, tag="run"):
    """The container that the steps of a run share."""

    run: str


Note = ContainerNote | ExecNote | RunNote


def daemon_env(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the connection to the daemon, without credentials of registries."""
    return {name: variables[name] for name in _CONNECTION if name in variables}


def encode(note: Note) -> bytes:
    return msgspec.json.encode(note)


def decode(data: bytes) -> Note:
    """Decode a note. Raises msgspec.DecodeError."""
    note: Note = msgspec.json.decode(data, type=Note)
    return note

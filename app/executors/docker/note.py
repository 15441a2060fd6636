"""What is kept of things in the daemon, so that another server can go on with them or end them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_WAY = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    """``docker`` are the variables with which the daemon was reached."""

    docker: Mapping[str, str]


class ContainerNote(_Note, frozen=True, kw_only=True, tag="container"):
    """A step's own container: where in the step's files its output begins, and its end when that is known."""

    container: str
    out: int
    err: int
    remove: bool
    exit_code: int | None = None


class ExecNote(_Note, frozen=True, kw_only=True, tag="exec"):
    """A command in a container that ran already."""

    job: str
    container: str
    instance: str
    user: str
    privileged: bool


class RunNote(_Note, frozen=True, kw_only=True, tag="run"):
    """The container that the steps of a run share."""

    run: str


Note = ContainerNote | ExecNote | RunNote


def way_to_daemon(variables: Mapping[str, str]) -> dict[str, str]:
    """Keep the variables that say where the daemon is, and no credentials of registries."""
    return {name: variables[name] for name in _WAY if name in variables}


def encode(note: Note) -> bytes:
    """Write a note."""
    return msgspec.json.encode(note)


def decode(data: bytes) -> Note:
    """Read a note; raises msgspec.DecodeError."""
    note: Note = msgspec.json.decode(data, type=Note)
    return note

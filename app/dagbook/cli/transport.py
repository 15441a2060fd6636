"""Where the requests of a command go: what it does when it owns the database, and what it has to know of the owner."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from dagbook.main import Server

HAND_OVER = "/hand-over"  # the path of a server's request for the file of a command
EVENT_STREAM = "text/event-stream"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Mode(Enum):
    """What a command does when it owns the database."""

    RUN = auto()  # execute and adopt runs, and serve other commands
    QUEUE = auto()  # enqueue runs and change queues
    READ = auto()  # neither start nor adopt runs


class ServerLost(click.ClickException):  # a state of the world, not a mistake
    """The owner exited before it answered a request that is not idempotent."""

    def __init__(self, owner: object) -> None:
        super().__init__(f"{owner} exited before it answered; check whether the request was carried out")


class Transport(Protocol):
    """Where the requests of a command go; ``poll_seconds`` is the pause between two looks at a run."""

    poll_seconds: float

    @property
    def address(self) -> str:
        """Address of the server, empty if there is none."""

    @property
    def is_alone(self) -> bool:
        """Whether only this process can work with the database, and none executes runs."""

    @property
    def is_server(self) -> bool:
        """Whether a server executes the runs, and not a command."""

    async def enter(self) -> Server | None:
        """Return the application of this process; None if another process executes the runs."""

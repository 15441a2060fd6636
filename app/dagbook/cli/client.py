"""API client of commands.

Requests go to a far server, or to the process that has the database open, which may be this one.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar
from urllib.parse import quote

import click
import httpx

from dagbook.cli.options import current_settings
from dagbook.cli.servers import chosen_server
from dagbook.identifiers import API_PATH, is_name, shorten
from dagbook.settings import Settings
from dagbook.telemetry.logging import configure

if TYPE_CHECKING:
    from dagbook.main import Server

_LIMIT_SECONDS = 30


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


class Api(NamedTuple):
    """API client and the transport of its requests."""

    client: httpx.AsyncClient
    transport: Transport

    async def start(self, path: str, body: dict[str, Any], name: str) -> None:
        """Start a run of the DAG ``name``, whose run id is in the body.

        When the owner of the database exits before it answers, the next one is asked whether the run exists.
        """
        while True:
            try:
                body_of(await self.client.post(path, json=body))
            except ServerLost:
                run = await self.client.get(run_path(name, body["dagRunId"]))
                if run.status_code == httpx.codes.NOT_FOUND:
                    continue
            return


@asynccontextmanager
async def open_api(settings: Settings, command: str, mode: Mode = Mode.RUN) -> AsyncIterator[Api]:
    """Yield the API of the chosen server, or that of the database, without authentication.

    ``command`` names this process in the lock file, ``mode`` is what it does when it owns the database.
    """
    if server := chosen_server():
        from dagbook.cli.far import FarTransport, open_far  # noqa: PLC0415 - as below: only what is needed

        async with open_far(server) as client:
            yield Api(client, FarTransport(server.url))
        return
    from dagbook.cli.server_transport import BASE, ServerTransport  # noqa: PLC0415

    transport = ServerTransport(settings, command, mode)
    base = f"{BASE}{API_PATH}"
    async with httpx.AsyncClient(base_url=base, timeout=_LIMIT_SECONDS, transport=transport, trust_env=False) as client:
        yield Api(client, transport)


def runs_path(name: str) -> str:
    """Return the API path of a DAG's runs; raises ClickException for an invalid DAG name."""
    if not is_name(name):
        raise click.ClickException(f"{shorten(name)} is not a DAG name; give the name that 'dagbook run' prints")
    return f"/dag-runs/{name}"


def run_path(name: str, run_id: str) -> str:
    """Return the API path of a run."""
    return f"{runs_path(name)}/{quote(run_id, safe='')}"


def path_of(run: dict[str, Any]) -> str:
    """Return the API path of a run that the API has returned: that of a sub-run is below its root."""
    root = run_path(run["rootDAGRunName"], run["rootDAGRunId"])
    is_root = (run["name"], run["dagRunId"]) == (run["rootDAGRunName"], run["rootDAGRunId"])
    return root if is_root else f"{root}/sub-dag-runs/{quote(run['dagRunId'], safe='')}"


def body_of(answer: httpx.Response) -> Any:
    """Return the decoded body, None for an empty one; raises ClickException with the server's error message."""
    if not answer.is_success:
        body = answer.json()
        message = body.get("message") if isinstance(body, dict) else None
        if not message:
            raise click.ClickException(f"{answer.url} is not the API of Dagbook (status {answer.status_code})")
        raise click.ClickException(message)
    return answer.json() if answer.content else None


T = TypeVar("T")


def use_api(command: str, work: Callable[[Api], Awaitable[T]], mode: Mode = Mode.READ) -> T:
    """Run work with the API of the running server, or of this process when there is none; returns what it returns."""
    settings = current_settings()
    configure(settings.log_format, "warning")

    async def call() -> T:
        async with open_api(settings, command, mode) as api:
            return await work(api)

    return asyncio.run(call())


async def find_user(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    """Return a user by name; raises ClickException when there is none."""
    for user in body_of(await client.get("/users"))["users"]:
        if user["username"] == name:
            found: dict[str, Any] = user
            return found
    raise click.ClickException(f"there is no user named {name!r}; `dagbook users list` shows them")


def ask_password() -> str:
    """Prompt twice in a terminal; otherwise read one line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\n")

"""The API for commands: that of the process that holds the database, which may be this one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

import click
import httpx

from dagbook.cli.server_transport import BASE, Mode, ServerLost, ServerTransport
from dagbook.identifiers import API_PATH, is_name, shorten
from dagbook.settings import Settings

_LIMIT_SECONDS = 30


class Api(NamedTuple):
    """A client of the API, and the way that its requests take."""

    client: httpx.AsyncClient
    transport: ServerTransport

    async def start(self, path: str, body: dict[str, Any], name: str) -> None:
        """Ask for a run of the DAG ``name``, whose id is in the body.

        Where the holder ends before it answers, the next one is asked whether the run is there.
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
    """Give the API for as long as the block lasts, and everything may be done through it.

    ``command`` is what others are told of who holds the database, ``mode`` what this one does when it holds it.
    """
    holder = ServerTransport(settings, command, mode)
    base = f"{BASE}{API_PATH}"
    async with httpx.AsyncClient(base_url=base, timeout=_LIMIT_SECONDS, transport=holder, trust_env=False) as client:
        yield Api(client, holder)


def runs_path(name: str) -> str:
    """Name the runs of a DAG as the API does; what is no DAG name ends the command."""
    if not is_name(name):
        raise click.ClickException(f"{shorten(name)} is no DAG name; give the name that 'dagbook run' prints")
    return f"/dag-runs/{name}"


def run_path(name: str, run_id: str) -> str:
    """Name a run as the API does."""
    return f"{runs_path(name)}/{quote(run_id, safe='')}"


def body_of(answer: httpx.Response) -> Any:
    """Return what the server has answered, None for nothing; a refusal ends the command with the server's words."""
    if not answer.is_success:
        raise click.ClickException(answer.json()["message"])
    return answer.json() if answer.content else None

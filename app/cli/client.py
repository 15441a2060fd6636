"""The API for commands: that of the server that works on the database, else of one inside this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

import click
import httpx

from app.cli.serve import own_database
from app.db.owner import DatabaseOwned
from app.db.upgrade import upgrade
from app.main import API_PATH, open_server
from app.names import is_name, shorten
from app.settings import Settings

_LIMIT_SECONDS = 30


class Api(NamedTuple):
    """A way to a server; one inside this process goes with it."""

    client: httpx.AsyncClient
    inside: bool


@asynccontextmanager
async def open_api(settings: Settings, command: str) -> AsyncIterator[Api]:
    """Give the API for as long as the block lasts; ``command`` is what others are told of who holds the database."""
    try:
        with own_database(settings, f"dagbook {command} in a terminal"):
            await upgrade(settings.database_url)
            async with open_server(settings, command, "") as server:
                transport = httpx.ASGITransport(server.app)  # type: ignore[arg-type]  # one ASGI, two spellings of its types
                base = f"http://localhost{settings.base_path}{API_PATH}"
                async with httpx.AsyncClient(transport=transport, base_url=base) as client:
                    yield Api(client, inside=True)
    except DatabaseOwned as error:
        if not error.owner.address.startswith("http"):
            raise click.ClickException(str(error)) from error
        async with httpx.AsyncClient(base_url=error.owner.address + API_PATH, timeout=_LIMIT_SECONDS) as client:
            yield Api(client, inside=False)


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
    if answer.status_code != httpx.codes.OK:
        raise click.ClickException(answer.json()["message"])
    return answer.json() if answer.content else None

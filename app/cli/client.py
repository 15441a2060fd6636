"""The API for commands: that of the server that works on the database, else of one inside this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

import click
import httpx

from app.auth.tokens import new_local_token
from app.cli.serve import own_database
from app.cli.tls import trusting
from app.db.owner import DatabaseOwned
from app.db.upgrade import upgrade
from app.main import API_PATH, Server, open_server
from app.names import is_name, shorten
from app.people.access import without_authentication
from app.settings import Settings

_LIMIT_SECONDS = 30


class Api(NamedTuple):
    """A way to a server; one inside this process goes with it."""

    client: httpx.AsyncClient
    inside: bool


Opener = Callable[[str], AbstractAsyncContextManager[Server]]


@asynccontextmanager
async def open_api(settings: Settings, command: str, opener: Opener | None = None) -> AsyncIterator[Api]:
    """Give the API for as long as the block lasts; ``command`` is what others are told of who holds the database.

    Everything may be done through it. ``opener`` makes the server inside this process, which gets to know a token;
    without one it is a whole server, where nobody has to be kept out, for it is the caller's own.
    """
    token = new_local_token()
    alone = without_authentication(settings)
    try:
        with own_database(settings, f"dagbook {command} in a terminal"):
            await upgrade(settings.database_url, schema=settings.database_schema)
            async with opener(token) if opener else open_server(alone, command, "", token) as server:
                transport = httpx.ASGITransport(server.app)  # type: ignore[arg-type]  # one ASGI, two spellings of its types
                base = f"http://localhost{settings.base_path}{API_PATH}"
                async with _client(base, token, transport) as client:
                    yield Api(client, inside=True)
    except DatabaseOwned as error:
        if not error.owner.address.startswith("http"):
            raise click.ClickException(str(error)) from error
        owner = error.owner
        async with _client(owner.address + API_PATH, owner.token, certificate=owner.certificate) as client:
            yield Api(client, inside=False)


def _client(
    base: str, token: str, transport: httpx.AsyncBaseTransport | None = None, certificate: str = ""
) -> httpx.AsyncClient:
    # The address is one of this machine, where no proxy belongs in between, least of all one that sees the token.
    headers = {"Authorization": f"Bearer {token}"}
    verify = trusting(certificate) if certificate else True
    return httpx.AsyncClient(
        base_url=base, headers=headers, timeout=_LIMIT_SECONDS, transport=transport, verify=verify, trust_env=False
    )


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

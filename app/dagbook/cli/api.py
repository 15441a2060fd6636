"""Typed client of the API, which ``with_api`` gives to a command: answers are decoded into the API's schemas.

Requests go to a remote server, or to the process that has the database open, which may be this one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property, wraps
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar
from urllib.parse import quote

import click
import httpx
import msgspec

from dagbook.api.schemas.runs import DAGRunSummary
from dagbook.cli.commands import IgnoredOption
from dagbook.cli.profiles import chosen_server
from dagbook.cli.settings import current_settings, with_settings
from dagbook.cli.transport import Mode, ServerLost, Transport
from dagbook.identifiers import API_PATH, is_name, shorten
from dagbook.runs import trace_context
from dagbook.telemetry.logging import configure

P = ParamSpec("P")
T = TypeVar("T")
Query = Mapping[str, str | int | Sequence[str]]
_BASE = f"http://localhost{API_PATH}"
_LIMIT_SECONDS = 30


class Connection(NamedTuple):
    """HTTP client and the transport of its requests."""

    client: httpx.AsyncClient
    transport: Transport


class Refusal(click.ClickException):  # an answer, not a mistake
    """The API has refused a request, with this status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """Client of the API; its first request opens the connection, after a command has checked its arguments."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect

    @cached_property
    def _connection(self) -> Connection:
        return self._connect()

    @property
    def client(self) -> httpx.AsyncClient:
        """The HTTP client, for answers that are no bodies of the API."""
        return self._connection.client

    @property
    def transport(self) -> Transport:
        return self._connection.transport

    async def aclose(self) -> None:
        """Close the connection, if it was opened."""
        if "_connection" in vars(self):
            await self.client.aclose()

    async def send(
        self, method: str, path: str, body: object = None, query: Query | None = None, revision: int | None = None
    ) -> httpx.Response:
        """Send a request; ``revision`` is the one that a change requires. Raises no error for a refusal."""
        headers = {} if revision is None else {"If-Match": f'"{revision}"'}
        content = None
        if body is not None:
            content, headers["Content-Type"] = msgspec.json.encode(body), "application/json"
            if (trace := trace_context.parse(os.environ.get(trace_context.TRACEPARENT, ""))) is not None:
                headers["traceparent"] = str(trace)
        return await self.client.request(method, path, params=query, content=content, headers=headers)

    async def get(self, path: str, kind: type[T], query: Query | None = None) -> T:
        """Read a body of this kind; raises ClickException, as the next methods do."""
        return decode(await self.send("GET", path, query=query), kind)

    async def find(self, path: str, kind: type[T], query: Query | None = None) -> T | None:
        """Read a body of this kind; None if there is no such thing."""
        answer = await self.send("GET", path, query=query)
        return None if answer.status_code == httpx.codes.NOT_FOUND else decode(answer, kind)

    async def post(self, path: str, kind: type[T], body: object = None) -> T:
        return decode(await self.send("POST", path, body), kind)

    async def put(self, path: str, kind: type[T], body: object) -> T:
        return decode(await self.send("PUT", path, body), kind)

    async def patch(self, path: str, kind: type[T], body: object) -> T:
        return decode(await self.send("PATCH", path, body), kind)

    async def act(self, method: str, path: str, body: object = None, query: Query | None = None) -> None:
        """Send a change whose answer says no more than that it was carried out."""
        check(await self.send(method, path, body, query))

    async def start(self, path: str, body: object, name: str, run_id: str) -> None:
        """Start the run of the DAG ``name`` with this id.

        When the owner of the database exits before it answers, the next one is asked whether the run exists.
        """
        while True:
            try:
                await self.act("POST", path, body)
            except ServerLost:
                run = await self.send("GET", run_path(name, run_id))
                if run.status_code == httpx.codes.NOT_FOUND:
                    continue
            return


def check(answer: httpx.Response) -> None:
    """Raise Refusal with the server's error message, if it is one."""
    if answer.is_success:
        return
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        body = None
    message = body.get("message") if isinstance(body, dict) else None
    text = message or f"{answer.url} is not the API of Dagbook (status {answer.status_code})"
    raise Refusal(text, answer.status_code)


def decode(answer: httpx.Response, kind: type[T]) -> T:
    """Return the body of an answer; raises ClickException with the server's error message, or for another body."""
    check(answer)
    return decode_json(answer.content, kind, answer.url)


def decode_json(text: str | bytes, kind: type[T], url: httpx.URL) -> T:
    """Decode what a server has sent; raises ClickException for what this version cannot read."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise click.ClickException(f"{url} is not the API of this version of Dagbook: {error}") from error


def runs_path(name: str) -> str:
    """Return the API path of a DAG's runs; raises ClickException for an invalid DAG name."""
    if not is_name(name):
        raise click.ClickException(f"{shorten(name)} is not a DAG name; give the name that 'dagbook run' prints")
    return f"/dag-runs/{name}"


def run_path(name: str, run_id: str) -> str:
    """Return the API path of a run."""
    return f"{runs_path(name)}/{segment(run_id)}"


def path_of(run: DAGRunSummary) -> str:
    """Return the API path of a run that the API has returned: that of a sub-run is below its root."""
    root = run_path(run.root_dag_run_name, run.root_dag_run_id)
    is_root = (run.name, run.dag_run_id) == (run.root_dag_run_name, run.root_dag_run_id)
    return root if is_root else f"{root}/sub-dag-runs/{segment(run.dag_run_id)}"


def segment(text: str) -> str:
    """Quote a name or id as one segment of a path."""
    return quote(text, safe="")


def with_api(
    *settings: str, mode: Mode = Mode.READ, ignored: Sequence[IgnoredOption] = ()
) -> Callable[[Callable[Concatenate[Api, P], Awaitable[T]]], Callable[P, T]]:
    """Give a command a client, the options of ``with_settings`` (of the database by default), and their errors.

    A command that has to ask or to read a file first does so before it returns the awaitable with its requests.
    """

    def decorate(function: Callable[Concatenate[Api, P], Awaitable[T]]) -> Callable[P, T]:
        @wraps(function)
        def command(*args: P.args, **kwargs: P.kwargs) -> T:
            return use_api(lambda api: function(api, *args, **kwargs), mode)

        return with_settings(*(settings or ("database_url",)), ignored=ignored)(command)

    return decorate


def use_api(work: Callable[[Api], Awaitable[T]], mode: Mode = Mode.READ) -> T:
    """Run work with the API of the running server, or of this process when there is none; returns what it returns."""
    api = Api(lambda: _connect(mode))

    async def call(work: Awaitable[T]) -> T:
        try:
            return await work
        finally:
            await api.aclose()

    if mode is not Mode.RUN:
        return asyncio.run(call(work(api)))
    import uvloop  # noqa: PLC0415 - other commands do not need it

    return uvloop.run(call(work(api)))


def _connect(mode: Mode) -> Connection:
    """Open the API of the chosen server, or that of the database, without authentication."""
    settings = current_settings()
    configure(settings.log_format, "warning")
    if server := chosen_server():
        from dagbook.cli.remote import RemoteTransport, open_remote  # noqa: PLC0415 - as below: only what is needed

        return Connection(open_remote(server), RemoteTransport(server.url))
    from dagbook.cli.local import ServerTransport  # noqa: PLC0415

    context = click.get_current_context()
    while context.parent is not None and context.parent.parent is not None:
        context = context.parent  # to the command below the program, by whose name the lock file knows this process
    transport = ServerTransport(settings, context.command.name or "", mode)
    client = httpx.AsyncClient(
        base_url=_BASE,
        timeout=_LIMIT_SECONDS,
        transport=transport,
        trust_env=False,
        headers={"Accept-Encoding": "identity"},  # within this machine, where compressing costs more than it saves
    )
    return Connection(client, transport)

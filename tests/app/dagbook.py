"""A client of the whole application that speaks of runs instead of requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from litestar import Litestar

from dagbook.engine.status import RunStatus
from dagbook.main import API_PATH, Server, open_server
from dagbook.settings import read
from tests.waiting import wait_until


class FinishedRun(msgspec.Struct, frozen=True):
    """A run that is over, as the API tells of it."""

    details: dict[str, Any]
    client: httpx.AsyncClient

    @property
    def status(self) -> str:
        return str(self.details["statusLabel"])

    @property
    def nodes(self) -> dict[str, dict[str, Any]]:
        return {node["step"]["name"]: node for node in self.details["nodes"]}

    @property
    def statuses(self) -> list[str]:
        """Of the steps in file order."""
        return [node["statusLabel"] for node in self.details["nodes"]]

    @property
    def path(self) -> str:
        return f"/dag-runs/{self.details['name']}/{self.details['dagRunId']}"

    async def log(self, step: str, stream: str = "stdout") -> str:
        answer = await self.client.get(f"{self.path}/steps/{step}/log", params={"stream": stream, "limit": 10_000})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["content"])


class Dagbook:
    """A server as its clients see it; ``name`` is one that no other test uses."""

    def __init__(self, client: httpx.AsyncClient, name: str) -> None:
        self.client = client
        self.name = name

    async def start(self, spec: str, **body: Any) -> str:
        answer = await self.client.post("/dag-runs", json={"spec": spec, "name": self.name, **body})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["dagRunId"])

    async def run(self, spec: str, **body: Any) -> FinishedRun:
        return await self.finished(await self.start(spec, **body))

    async def get(self, run_id: str, name: str = "") -> dict[str, Any]:
        answer = await self.client.get(f"/dag-runs/{name or self.name}/{run_id}")
        assert answer.status_code == 200, answer.text
        details: dict[str, Any] = answer.json()["dagRunDetails"]
        return details

    async def finished(self, run_id: str, name: str = "") -> FinishedRun:
        async def look() -> dict[str, Any] | None:
            details = await self.get(run_id, name)
            return details if RunStatus(details["status"]).is_final else None

        return FinishedRun(await wait_until(look), self.client)

    async def running(self, run_id: str, step: str, text: str = "") -> None:
        """Wait until a step runs and has written a text."""

        async def look() -> bool:
            answer = await self.client.get(f"/dag-runs/{self.name}/{run_id}/steps/{step}/log")
            return answer.status_code == 200 and text in answer.json()["content"]

        await wait_until(look)

    async def stop(self, run_id: str) -> FinishedRun:
        answer = await self.client.post(f"/dag-runs/{self.name}/{run_id}/stop")
        assert answer.status_code == 200, answer.text
        return await self.finished(run_id)


@asynccontextmanager
async def serving(database_url: str, home: Path, **settings: str) -> AsyncIterator[Server]:
    """Open a server in this process, on a database of the test's own."""
    # Nothing begins by itself at the next full minute: who tests schedules says what time it is.
    flags = {"database_url": database_url, "default_shell": "/bin/sh", "tz": "UTC", "scheduler_enabled": "false"}
    flags |= settings
    async with open_server(read(flags, {}, home), "server", "http://localhost") as server:
        yield server


def client_of(server: Server, base: str = "") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(server.app)  # type: ignore[arg-type]  # one ASGI, two spellings of its types
    return httpx.AsyncClient(transport=transport, base_url=f"http://localhost{base}{API_PATH}")


def command_of(server: Server, user: str) -> httpx.AsyncClient:
    """Return a client as commands of a user of this machine have it."""
    transport = httpx.ASGITransport(server.app_for(user))  # type: ignore[arg-type]  # one ASGI, two spellings of its types
    return httpx.AsyncClient(transport=transport, base_url=f"http://localhost{API_PATH}")


def routes_of(server: Server) -> Litestar:
    """Return the application that knows the routes, which is inside all others."""
    app: Any = server.app
    while not isinstance(app, Litestar):
        app = app._app
    return app

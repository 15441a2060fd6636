"""A server with receivers of alerts, for tests of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select, update

from dagbook.db.models import AlertChannel, AlertDelivery
from dagbook.db.repositories.alerts import events
from dagbook.main import Server
from dagbook.maintenance.doctor import Examination
from tests.app.dagbook import Dagbook, client_of, serving
from tests.executors.web import Asked, Web, plain
from tests.waiting import wait_until

GOOD, BAD = "steps: [{name: a, command: 'true'}]\n", "steps: [{name: a, command: exit 3}]\n"


class AlertScene:
    """A server of the test's own and a receiver, which has a path for each channel."""

    def __init__(self, server: Server, client: httpx.AsyncClient, web: Web) -> None:
        self.server, self.client, self.web = server, client, web
        self.database = server.services.runs.database

    async def ok(self, method: str, path: str, **body: Any) -> Any:
        answer = await self.client.request(method, path, json=body or None)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def channel(self, name: str, kind: str = "webhook", answer: bytes = plain(200, "thanks"), **body: Any) -> Any:
        """Add a channel that leads to the receiver."""
        self.web.answers[f"/{name}"] = answer
        url = f"{self.web.url}/{name}"
        body = ({"url": url} if kind == "webhook" else {"secret": url, "intervalSeconds": 0}) | body
        return await self.ok("POST", "/alert-channels", name=name, type=kind, **body)

    async def rule(self, name: str = "all", to: str = "hook", **body: Any) -> Any:
        body = {"match": ["*"], "on": ["failed"], "remindSeconds": 0} | body
        return await self.ok("POST", "/alert-rules", name=name, to=[to], **body)

    async def run(self, name: str, spec: str = BAD) -> str:
        """Run a DAG to its end; returns the id of the run."""
        ended = await Dagbook(self.client, name).run(spec)
        return str(ended.details["dagRunId"])

    def told(self, name: str = "hook") -> list[Asked]:
        return [each for each in self.web.asked if each.target == f"/{name}"]

    def types(self, name: str = "hook") -> list[str]:
        return [json.loads(each.body)["type"] for each in self.told(name)]

    async def until_told(self, count: int, name: str = "hook") -> list[Asked]:
        async def look() -> list[Asked] | None:
            return self.told(name) if len(self.told(name)) >= count else None

        return await wait_until(look)

    async def until_routed(self) -> None:
        """Wait until every event is routed and nothing is pending."""

        async def look() -> bool:
            return not await self.server.deliverer.has_work(3600)

        await wait_until(look)

    async def until_routed_only(self) -> None:
        """Wait until every event is routed; messages may wait."""

        async def look() -> bool:
            return not await self.database.read(events.has_unrouted)

        await wait_until(look)

    async def until_idle(self) -> None:
        """Wait until nothing is being sent."""
        leased = select(AlertDelivery.id).where(AlertDelivery.lease_owner.is_not(None))

        async def look() -> bool:
            return not await self.database.read(lambda connection: connection.execute(leased).all())

        await wait_until(look)

    async def change(self, model: type[AlertChannel | AlertDelivery], **values: Any) -> None:
        """Set columns of channels, or of pending deliveries, and let the server look."""
        statement = update(model).values(values)
        if model is AlertDelivery:
            await self.until_idle()
            statement = statement.where(AlertDelivery.status == "pending")
        await self.database.write(lambda connection: connection.execute(statement))
        self.server.deliverer.wake()

    async def receipts(self) -> list[Any]:
        found: list[Any] = (await self.ok("GET", "/alert-deliveries"))["deliveries"]
        return found

    async def until_state(self, state: str, name: str = "hook") -> None:
        async def look() -> bool:
            return bool((await self.ok("GET", f"/alert-channels/{name}"))["state"] == state)

        await wait_until(look)

    async def open(self) -> list[Any]:
        found: list[Any] = (await self.ok("GET", "/alerts?open=true"))["alerts"]
        return found


@asynccontextmanager
async def alert_scene(database_url: str, home: Path, web: Web, **settings: str) -> AsyncIterator[AlertScene]:
    async with serving(database_url, home, **settings) as server, client_of(server) as client:
        yield AlertScene(server, client, web)
        report = await server.services.system.doctor.examine(Examination(damage=False))
        assert [sentence for finding in report.findings for sentence in finding.sentences] == []

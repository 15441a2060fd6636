"""A server with triggers, and senders of signed requests, for tests of them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from dagbook.main import Server
from dagbook.maintenance.doctor import Examination
from tests.app.dagbook import Dagbook, FinishedRun, client_of, serving
from tests.waiting import wait_until

SHOW = "steps:\n  - name: show\n    command: printenv SHA || true\n"
PUSH = {"ref": "refs/heads/main", "after": "4f1c"}


def signature_of(secret: str, body: bytes) -> str:
    """Return what GitHub sends as X-Hub-Signature-256."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


class TriggerScene:
    """A server of the test's own, and the secrets of its triggers."""

    def __init__(self, server: Server, client: httpx.AsyncClient) -> None:
        self.server, self.client = server, client
        self.database = server.services.runs.database
        self.secrets: dict[str, str] = {}

    async def ok(self, method: str, path: str, **body: Any) -> Any:
        answer = await self.client.request(method, path, json=body or None)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def dag(self, name: str, spec: str = SHOW) -> None:
        await self.ok("POST", "/dags", name=name, spec=spec)

    async def trigger(self, name: str = "push", scheme: str = "github", dag: str = "build", **body: Any) -> Any:
        """Add a trigger, for a DAG that is added too if it is not there."""
        if (await self.client.get(f"/dags/{dag}")).status_code == 404:
            await self.dag(dag)
        added = await self.ok("POST", "/triggers", name=name, dag=dag, **({"scheme": scheme} | body))
        self.secrets[name] = added.get("secret") or body.get("secret", "")
        return added

    async def send(
        self, body: Any = PUSH, name: str = "push", *, secret: str | None = None, **headers: str
    ) -> httpx.Response:
        """Send an event as GitHub does; bytes as they are, else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        signed = {"X-Hub-Signature-256": signature_of(secret or self.secrets.get(name, "none"), content)}
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return await self.client.post(f"/hooks/{name}", content=content, headers=signed | named)

    async def accepted(self, body: Any = PUSH, name: str = "push", **headers: str) -> Any:
        answer = await self.send(body, name, **headers)
        assert answer.status_code == 202, answer.text
        return answer.json()

    async def events(self, name: str = "push", state: str = "") -> list[Any]:
        """Return events of a trigger, the oldest first."""
        found: list[Any] = (await self.ok("GET", f"/triggers/{name}/events{f'?state={state}' if state else ''}"))[
            "events"
        ]
        return found[::-1]

    async def until_settled(self, name: str = "push") -> list[Any]:
        async def look() -> list[Any] | None:
            found = await self.events(name)
            return found if all(each["state"] != "waiting" for each in found) else None

        return await wait_until(look)

    async def finished(self, event: Any, dag: str = "build") -> FinishedRun:
        """Wait until the run of an event is over."""

        async def look() -> bool:
            return (await self.client.get(f"/dag-runs/{dag}/{event['dagRunId']}")).status_code == 200

        await wait_until(look)
        return await Dagbook(self.client, dag).finished(event["dagRunId"])

    async def runs(self, dag: str = "build") -> list[Any]:
        """Return the runs of a DAG, the oldest first."""
        found: list[Any] = (await self.ok("GET", f"/dag-runs?name={dag}"))["dagRuns"]
        return found[::-1]


@asynccontextmanager
async def trigger_scene(database_url: str, home: Path, **settings: str) -> AsyncIterator[TriggerScene]:
    async with serving(database_url, home, **settings) as server, client_of(server) as client:
        yield TriggerScene(server, client)
        report = await server.services.system.doctor.examine(Examination(damage=False))
        assert [sentence for finding in report.findings for sentence in finding.sentences] == []

"""A server whose looks a test makes itself, at times of its own clock."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from dagbook.clock import now
from dagbook.main import Server
from dagbook.runs.recovery.ownership import identify
from dagbook.triggers.looks.loop import Looks
from tests.app.trigger_scene import TriggerScene, trigger_scene

SHOW_FILE = "steps:\n  - name: show\n    command: printenv FILE\n"
SETTLE = 10.0


class Watcher:
    """A server that looks; several may share a database. Seconds pass only by ``look``."""

    def __init__(self, server: Server, owner: str = "watcher", host: str = "here") -> None:
        self.seconds = 1_000.0
        database, known = server.services.runs.database, server.services.triggers.triggers
        identity = msgspec.structs.replace(identify("server", "", ""), id=owner, host=host)
        self.looks = Looks(database, known, identity, now, seconds=lambda: self.seconds)

    async def look(self, *, after: float = 0.0) -> None:
        """Let some seconds pass, then make the looks that are due."""
        self.seconds += after
        await self.looks.run_once()


class LookScene(TriggerScene):
    """A directory that is looked at, by the clock of the test."""

    inbox: Path
    watcher: Watcher

    async def watch(self, name: str = "inbox", kind: str = "files", **body: Any) -> Any:
        """Add a trigger that looks, and let it look for the first time."""
        settings = body.pop("settings", {}) | ({"files": f"{self.inbox}/*"} if kind == "files" else {})
        if (await self.client.get("/dags/load")).status_code == 404:
            await self.dag("load", SHOW_FILE)
        body = {"params": {"FILE": "item:path"}, "everySeconds": 60} | body
        added = await self.ok("POST", "/triggers", name=name, dag="load", kind=kind, settings=settings, **body)
        await self.let_look()
        await self.watcher.look()
        return added

    async def let_look(self) -> None:
        """Let the next look of each trigger be due by the clock of the database, which no test moves."""
        await self.database.write(
            lambda connection: connection.exec_driver_sql(
                "UPDATE triggers SET next_look_at = created_at WHERE kind IN ('sftp', 'http')"
            )
        )

    def file(self, name: str, text: str = "text", *, at: int | None = None) -> Path:
        """Write a file, maybe with a time of its last change."""
        path = self.inbox / name
        path.write_text(text)
        if at is not None:
            os.utime(path, (at, at))
        return path

    async def rest(self, name: str = "inbox") -> list[str]:
        """Look, let the settle time pass, look again, and return the names of the files that made events, in order."""
        await self.watcher.look(after=61)
        await self.watcher.look(after=SETTLE)
        return [Path(each["item"]["path"]).name for each in await self.events(name)]


@asynccontextmanager
async def look_scene(database_url: str, tmp_path: Path, **settings: str) -> AsyncIterator[LookScene]:
    async with trigger_scene(database_url, tmp_path / "home", **settings) as opened:
        await opened.server.looks.stop()
        scene = LookScene(opened.server, opened.client)
        scene.inbox = tmp_path / "inbox"
        scene.inbox.mkdir()
        scene.watcher = Watcher(opened.server)
        yield scene
        await scene.watcher.looks.stop()

"""Hears what other processes tell on a channel of a PostgreSQL database. It may miss something: it is no mailbox."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import NullPool, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from app.db.database import WriteConnection, postgres_arguments
from app.db.url import parse_url

_log = logging.getLogger(__name__)
_AGAIN_SECONDS = 5.0


def tell(connection: WriteConnection, channel: str) -> None:
    """Tell all who listen to a channel, once the transaction is committed; a database in a file has nobody else."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_notify(channel, "")))


class Listener:
    """Keeps a connection of its own open, and opens it again when it is lost."""

    def __init__(self, url: str, channel: str, heard: Callable[[], None]) -> None:
        self._engine = create_async_engine(
            parse_url(url), poolclass=NullPool, connect_args=postgres_arguments("dagbook listener")
        )
        self._channel = channel
        self._heard = heard
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen; starting twice is harmless."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"listener {self._channel}")

    async def stop(self) -> None:
        """Listen no more; stopping without a start is harmless."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._engine.dispose()

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("nothing is heard of other servers for a moment: %s", error)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _listen(self) -> None:
        """Listen until the connection is lost. What was told before is as good as heard: it may have been missed."""
        raw = await self._engine.raw_connection()
        try:
            driver: Any = raw.driver_connection
            lost = asyncio.Event()
            driver.add_termination_listener(lambda _: lost.set())
            await driver.add_listener(self._channel, lambda *_: self._heard())
            self._heard()
            await lost.wait()
        finally:
            raw.invalidate()

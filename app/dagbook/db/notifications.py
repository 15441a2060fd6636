"""Notifications between processes on one PostgreSQL database: LISTEN and NOTIFY on one connection.

A notification has no payload, so that a lost one loses no data: listeners read the tables. ``Notifications.notify``
sends it on its own connection after the commit, once for all commits within 20 ms, because transactions with NOTIFY
wait for each other's commits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

import asyncpg
from sqlalchemy import Connection, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

_log = logging.getLogger(__name__)
_PACE_SECONDS = 0.02
_RETRY_SECONDS = 1.0
_COMMAND_SECONDS = 5


def notify_at_commit(connection: Connection, channel: str) -> None:
    """Notify the listeners of a channel when the transaction commits; SQLite has one process, so no listener.

    For a process that ends soon, or has no listener itself: ``Notifications.notify`` needs a listening connection.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_notify(channel, "")))


class Notifications:
    """One connection of this process for all channels, open while there is a listener."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._listeners: dict[str, Callable[[], None]] = {}
        self._woken = asyncio.Event()
        self._pending: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def listen(self, channel: str, callback: Callable[[], None]) -> None:
        """Call ``callback`` on notifications of other connections, and when some may have been missed."""
        self._listeners[channel] = callback
        self._woken.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="wakeups")

    async def unlisten(self, channel: str) -> None:
        """Remove the listener of a channel, if any; after the last one, send pending notifications and disconnect."""
        self._listeners.pop(channel, None)
        if self._listeners or self._task is None:
            return
        task, self._task = self._task, None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._engine.dispose()

    def notify(self, channel: str) -> None:
        """Notify the listeners of a channel in other processes soon; sent only while this process has a listener."""
        self._pending.add(channel)
        self._woken.set()

    async def _run(self) -> None:
        while True:
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001 - listeners also poll, even without notifications
                _log.warning("notifications between servers are interrupted: %s", error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _serve(self) -> None:
        async with self._engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None  # noqa: S101 - it was connected just now
            driver.add_termination_listener(lambda _: self._woken.set())
            listening: set[str] = set()
            try:
                await self._process(driver, listening)
            finally:
                await self._end(driver, listening)

    async def _process(self, driver: asyncpg.Connection, listening: set[str]) -> None:
        while not driver.is_closed():
            for channel in self._listeners.keys() - listening:
                await driver.add_listener(channel, self._on_notification)
                if callback := self._listeners.get(channel):
                    callback()  # for notifications sent before the connection listened
                listening.add(channel)
            if self._pending:
                await self._notify(driver)
                await asyncio.sleep(_PACE_SECONDS)
            await self._woken.wait()
            self._woken.clear()

    async def _notify(self, driver: asyncpg.Connection) -> None:
        channels, self._pending = sorted(self._pending), set()
        try:
            await driver.execute("; ".join(f"NOTIFY {channel}" for channel in channels), timeout=_COMMAND_SECONDS)
        except BaseException:
            self._pending.update(channels)
            raise

    async def _end(self, driver: asyncpg.Connection, listening: set[str]) -> None:
        """Send pending notifications; if the connection is lost, the other processes find the changes by polling."""
        with contextlib.suppress(Exception):
            if self._pending and not driver.is_closed():
                await self._notify(driver)
        for channel in listening:
            with contextlib.suppress(Exception):
                await driver.remove_listener(channel, self._on_notification)

    def _on_notification(self, driver: asyncpg.Connection, sender: int, channel: str, _payload: object) -> None:
        callback = self._listeners.get(channel)
        if callback is not None and sender != driver.get_server_pid():
            callback()

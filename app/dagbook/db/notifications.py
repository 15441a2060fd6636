"""How processes on one PostgreSQL wake each other: LISTEN and NOTIFY on one connection, and nothing else.

A notification carries no news, so that nothing is lost when one is: whoever is woken looks. ``Wakeups.tell`` sends it
on that connection, after the commit that it tells of and once for all commits of a moment, because a transaction that
notifies makes every other one that does wait for its commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

_log = logging.getLogger(__name__)
_PACE_SECONDS = 0.02
_RETRY_SECONDS = 1.0
_COMMAND_SECONDS = 5


class Notifications:
    """One process's end of it: a connection for all channels that somebody here listens to, while anybody does."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._listeners: dict[str, Callable[[], None]] = {}
        self._woken = asyncio.Event()
        self._pending: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def listen(self, channel: str, heard: Callable[[], None]) -> None:
        """Call ``heard`` for what other connections tell on a channel, and whenever something may have been missed."""
        self._listeners[channel] = heard
        self._woken.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="wakeups")

    async def unlisten(self, channel: str) -> None:
        """Hear nothing more on a channel; harmless when nobody does. With the last one what is untold is told, too."""
        self._listeners.pop(channel, None)
        if self._listeners or self._task is None:
            return
        task, self._task = self._task, None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._engine.dispose()

    def notify(self, channel: str) -> None:
        """Let those who listen to a channel in other processes look, soon; only while somebody here listens to any."""
        self._pending.add(channel)
        self._woken.set()

    async def _run(self) -> None:
        while True:
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001 - others look now and then, even if nobody wakes them
                _log.warning("other servers cannot be heard and woken for a moment: %s", error)
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

    async def _process(self, driver: Any, listening: set[str]) -> None:
        while not driver.is_closed():
            for channel in self._listeners.keys() - listening:
                await self._listen(driver, channel)
                listening.add(channel)
            if self._pending:
                await self._notify(driver)
                await asyncio.sleep(_PACE_SECONDS)
            await self._woken.wait()
            self._woken.clear()

    async def _listen(self, driver: Any, channel: str) -> None:
        await driver.add_listener(channel, self._on_notification)
        if heard := self._listeners.get(channel):
            heard()  # for what was told while nobody listened

    async def _notify(self, driver: Any) -> None:
        channels, self._pending = sorted(self._pending), set()
        try:
            await driver.execute("; ".join(f"NOTIFY {channel}" for channel in channels), timeout=_COMMAND_SECONDS)
        except BaseException:
            self._pending.update(channels)
            raise

    async def _end(self, driver: Any, listening: set[str]) -> None:
        """Tell what is left; with the connection away others find it by looking."""
        with contextlib.suppress(Exception):
            if self._pending and not driver.is_closed():
                await self._notify(driver)
        for channel in listening:
            with contextlib.suppress(Exception):
                await driver.remove_listener(channel, self._on_notification)

    def _on_notification(self, driver: Any, sender: int, channel: str, _payload: object) -> None:
        heard = self._listeners.get(channel)
        if heard is not None and sender != driver.get_server_pid():
            heard()

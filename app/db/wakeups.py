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


class Wakeups:
    """One process's end of it: a connection for all channels that somebody here listens to, while anybody does."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._heard: dict[str, Callable[[], None]] = {}
        self._stirred = asyncio.Event()
        self._untold: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def hear(self, channel: str, heard: Callable[[], None]) -> None:
        """Call ``heard`` for what other connections tell on a channel, and whenever something may have been missed."""
        self._heard[channel] = heard
        self._stirred.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="wakeups")

    async def leave(self, channel: str) -> None:
        """Hear nothing more on a channel; harmless when nobody does. With the last one what is untold is told, too."""
        self._heard.pop(channel, None)
        if self._heard or self._task is None:
            return
        task, self._task = self._task, None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._engine.dispose()

    def tell(self, channel: str) -> None:
        """Let those who listen to a channel in other processes look, soon; only while somebody here listens to any."""
        self._untold.add(channel)
        self._stirred.set()

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
            driver.add_termination_listener(lambda _: self._stirred.set())
            listening: set[str] = set()
            try:
                await self._work_on(driver, listening)
            finally:
                await self._end(driver, listening)

    async def _work_on(self, driver: Any, listening: set[str]) -> None:
        while not driver.is_closed():
            for channel in self._heard.keys() - listening:
                await self._listen(driver, channel)
                listening.add(channel)
            if self._untold:
                await self._notify(driver)
                await asyncio.sleep(_PACE_SECONDS)
            await self._stirred.wait()
            self._stirred.clear()

    async def _listen(self, driver: Any, channel: str) -> None:
        await driver.add_listener(channel, self._hear)
        if heard := self._heard.get(channel):
            heard()  # for what was told while nobody listened

    async def _notify(self, driver: Any) -> None:
        channels, self._untold = sorted(self._untold), set()
        try:
            await driver.execute("; ".join(f"NOTIFY {channel}" for channel in channels), timeout=_COMMAND_SECONDS)
        except BaseException:
            self._untold.update(channels)
            raise

    async def _end(self, driver: Any, listening: set[str]) -> None:
        """Tell what is left; with the connection away others find it by looking."""
        with contextlib.suppress(Exception):
            if self._untold and not driver.is_closed():
                await self._notify(driver)
        for channel in listening:
            with contextlib.suppress(Exception):
                await driver.remove_listener(channel, self._hear)

    def _hear(self, driver: Any, sender: int, channel: str, _payload: object) -> None:
        heard = self._heard.get(channel)
        if heard is not None and sender != driver.get_server_pid():
            heard()

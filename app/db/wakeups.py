"""How servers on one PostgreSQL wake each other when something can be seen: LISTEN and NOTIFY, and nothing else.

A notification carries no news, so that nothing is lost when one is: whoever is woken reads the feed. It is sent on a
connection of its own, after the commit that it tells of and once for all commits of a moment, because a transaction
that notifies makes every other one that does wait for its commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

_log = logging.getLogger(__name__)
_CHANNEL = "dagbook_changes"
_PACE_SECONDS = 0.02
_RETRY_SECONDS = 1.0
_COMMAND_SECONDS = 5


class Wakeups:
    """One server's end of it."""

    def __init__(self, engine: AsyncEngine, heard: Callable[[], None]) -> None:
        self._engine = engine
        self._heard = heard
        self._stirred = asyncio.Event()
        self._untold = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen; starting twice is harmless."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="wakeups")

    async def stop(self) -> None:
        """Tell what was not told yet, then end; stopping without a start is harmless."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            await self._engine.dispose()

    def tell(self) -> None:
        """Let the other servers look, soon."""
        self._untold = True
        self._stirred.set()

    async def _run(self) -> None:
        while True:
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001 - others look now and then, even if nobody wakes them
                _log.warning("other servers cannot be woken for a moment: %s", error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _serve(self) -> None:
        async with self._engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None  # noqa: S101 - it was connected just now
            await driver.add_listener(_CHANNEL, self._hear)
            driver.add_termination_listener(lambda _: self._stirred.set())
            self._heard()  # for what was told while nobody listened
            try:
                await self._tell_on(driver)
            finally:
                await self._end(driver)

    async def _tell_on(self, driver: Any) -> None:
        while not driver.is_closed():
            await self._stirred.wait()
            self._stirred.clear()
            if self._untold and not driver.is_closed():
                await self._notify(driver)
                await asyncio.sleep(_PACE_SECONDS)

    async def _notify(self, driver: Any) -> None:
        self._untold = False
        try:
            await driver.execute(f"NOTIFY {_CHANNEL}", timeout=_COMMAND_SECONDS)
        except BaseException:
            self._untold = True
            raise

    async def _end(self, driver: Any) -> None:
        """Tell what is left; with the connection away others find it by looking."""
        with contextlib.suppress(Exception):
            if self._untold and not driver.is_closed():
                await self._notify(driver)
        with contextlib.suppress(Exception):
            await driver.remove_listener(_CHANNEL, self._hear)

    def _hear(self, driver: Any, sender: int, _channel: str, _payload: object) -> None:
        if sender != driver.get_server_pid():
            self._heard()

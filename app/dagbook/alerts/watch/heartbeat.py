"""The loop that sends heartbeats to ping channels: one server at a time does, and only if all is well.

The claim of a heartbeat is a write to the database: without one nothing is sent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime

import msgspec

from dagbook.alerts.channels import read_settings
from dagbook.alerts.senders import Sender
from dagbook.alerts.watch.decisions import Health, find_fault, next_beat
from dagbook.background import BackgroundLoop
from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import holds, schedules
from dagbook.db.repositories.alerts import channels, deliveries, events
from dagbook.db.repositories.alerts.channels import ChannelRow
from dagbook.definitions.timetable import Timetable
from dagbook.identifiers import new_run_id
from dagbook.tries import lasting

_log = logging.getLogger(__name__)
_EVERY_SECONDS, _SOON_SECONDS = 20.0, 1.0
_CONFIRMED_SECONDS = 10.0  # a server that begins, or that was suspended, first handles the minutes that it has missed


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The channels that get heartbeats, and whether the database is in order."""

    at: datetime
    channels: list[ChannelRow]
    health: Health


class Heartbeat:
    """Sends the heartbeats of a database."""

    def __init__(self, database: Database, timetable: Timetable, sender: Sender, now: Clock) -> None:
        self._database = database
        self._timetable = timetable
        self._sender = sender
        self._now = now
        self._active: dict[int, asyncio.Task[None]] = {}
        self._pause = 0.0
        self._fault_at: float | None = None
        self._loop = BackgroundLoop(
            "heartbeat",
            self.run_once,
            every_seconds=lambda: self._pause,
            failure="a heartbeat could not be sent; it is tried again",
            expected=(DatabaseUnavailable,),
            back_off_seconds=_SOON_SECONDS,
        )

    def start(self) -> None:
        """Start with a round; harmless when repeated."""
        self._loop.start(0.0)

    async def stop(self) -> None:
        """Stop, without an answer to what is being sent; harmless without a start."""
        await self._loop.stop()
        for task in list(self._active.values()):
            task.cancel()
        await asyncio.gather(*self._active.values(), return_exceptions=True)

    async def run_once(self) -> None:
        """Send what is due."""
        self._pause = lasting(_EVERY_SECONDS).total_seconds()
        seen = await self._database.read_inline(_look, self._now())
        if seen is None:
            return
        timed = await self._timetable.read()
        has_schedule = any(one.timing.start and not one.dag.suspended for one in timed)
        fault = find_fault(seen.health, seen.at, has_schedule=has_schedule)
        self._fault_at = (self._fault_at or time.monotonic()) if fault else None
        soon = lasting(_SOON_SECONDS).total_seconds()
        if (
            self._fault_at is not None
            and time.monotonic() - self._fault_at < lasting(_CONFIRMED_SECONDS).total_seconds()
        ):
            self._pause = soon
            return
        for channel in seen.channels:
            wait = (next_beat(channel, seen.at) - seen.at).total_seconds()
            self._pause = min(self._pause, max(wait, soon))
            if wait <= 0 and channel.id not in self._active and (not fault or read_settings(channel).fail):
                name = f"heartbeat of channel {channel.id}"
                self._active[channel.id] = asyncio.create_task(self._beat(channel.id, fault), name=name)

    async def _beat(self, channel_id: int, fault: str) -> None:
        try:
            claimed = await self._database.write(_claim, channel_id, self._now())
            if claimed is None:
                return
            channel, at = claimed
            answer = await self._sender.ping(channel, fault, new_run_id(), at)
            if not answer.is_sent:
                _log.warning("the channel %s did not accept a heartbeat: %s", channel.name, answer.text or answer.code)
            await self._database.write(_store, channel_id, answer.is_sent, self._now())
        except DatabaseUnavailable as error:
            _log.warning("no heartbeat was sent: %s", error)
        except Exception:  # noqa: BLE001 - one channel must not end the others
            _log.exception("a heartbeat could not be sent")
        finally:
            self._active.pop(channel_id, None)


def _look(connection: ReadConnection, now: datetime) -> _Seen | None:
    """Return what there is to send; None if there is nothing, and while the database is held."""
    found = channels.find_beating(connection)
    if not found or holds.get(connection) is not None:
        return None
    waits = deliveries.find_waiting(connection)
    health = Health(
        handled_at=schedules.get_mark(connection), waits_since=min((wait.since for wait in waits), default=None)
    )
    return _Seen(at=events.read_time(connection, now), channels=found, health=health)


def _claim(connection: WriteConnection, channel_id: int, now: datetime) -> tuple[ChannelRow, datetime] | None:
    """Take a heartbeat that is due; None if another server was faster."""
    channel, at = channels.lock(connection, channel_id, waits=True), events.read_time(connection, now)
    if channel is None or not channel.enabled or channel.every_seconds is None or next_beat(channel, at) > at:
        return None
    channels.change(connection, channel_id, last_alert_at=at)
    return channel, at


def _store(connection: WriteConnection, channel_id: int, is_sent: bool, now: datetime) -> None:
    channel, at = channels.lock(connection, channel_id, waits=True), events.read_time(connection, now)
    if channel is not None and is_sent:
        channels.change(connection, channel_id, failing_since=None, next_try_at=None, last_sent_at=at)
    elif channel is not None:
        channels.change(connection, channel_id, failing_since=channel.failing_since or at)

"""The loop that routes events and sends what is due; one server at a time sends to a channel.

A message is leased and its try counted in one commit, then sent, then its receipt stored. A crash in between sends it
again under the same id. Times are those of the database.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from dagbook import tries
from dagbook.alerts import outbox
from dagbook.alerts.channels import TYPES
from dagbook.alerts.queries import read_notice
from dagbook.alerts.senders import LIMIT_SECONDS, Sender
from dagbook.background import BackgroundLoop
from dagbook.db.database import ALERTS, Database, ReadConnection, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import changes
from dagbook.db.repositories.alerts import alerts, channels, deliveries, events
from dagbook.db.repositories.alerts.channels import ChannelRow, PendingChannel
from dagbook.db.repositories.alerts.deliveries import Attempt, DeliveryRow, NewDelivery
from dagbook.runs.notifications.mailer import RunMailer
from dagbook.runs.server_context import ServerContext
from dagbook.tries import Answer, Fate, lasting

T = TypeVar("T")
_log = logging.getLogger(__name__)
NOTIFICATION = "dagbook_alerts"  # from processes that store events to the servers of a database
_POLL_SECONDS, _LEAST_PAUSE_SECONDS, _BACK_OFF_SECONDS = 5.0, 0.05, 1.0
_CHANNELS_AT_A_TIME = 8
_MOST_DUE = 100  # of one channel, from which the next message is chosen
_PACE_SECONDS = 0.1  # between two requests to one receiver
_LEASE, _SENDING = timedelta(seconds=4 * LIMIT_SECONDS), timedelta(seconds=LIMIT_SECONDS + 5)
_LAST_SECONDS, _LAST_ANSWERS_SECONDS = 30.0, 1.0  # for what is due when a command ends, and for what is being sent then
_SERVER_ERRORS, _POISONED = range(500, 600), 3


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """Messages that this process has leased, and their channel."""

    channel: ChannelRow
    rows: Sequence[DeliveryRow]
    at: datetime


class Deliverer:
    """Routes and delivers alerts of a database."""

    def __init__(self, database: Database, sender: Sender, mailer: RunMailer, context: ServerContext) -> None:
        """Route and send for the process of a context."""
        self._database = database
        self._sender, self._mailer, self._metrics = sender, mailer, context.metrics
        self._owner, self._host = context.identity.id, context.identity.host
        self._base, self._now = context.page_base, context.now
        self._active: dict[int, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(_CHANNELS_AT_A_TIME)
        self._pause, self._looked_at = _POLL_SECONDS, 0.0
        self._loop = BackgroundLoop(
            "alerts",
            self.run_once,
            every_seconds=lambda: self._pause,
            failure="alerts could not be routed or sent; it is tried again",
            expected=(DatabaseUnavailable,),
            back_off_seconds=_BACK_OFF_SECONDS,
        )
        self.wake = self._loop.wake  # to look for what is due now
        database.on_commit(lambda changed: self.wake() if ALERTS in changed else None)

    def start(self) -> None:
        """Start with a round at once: an earlier process may have left something."""
        self._loop.start(0.0)
        if self._database.notifications is not None:
            self._database.notifications.listen(NOTIFICATION, self.wake)

    async def stop(self, *, drains: bool = False) -> None:
        """Stop after the messages that are being sent; harmless without a start.

        If it ``drains``, what is due is sent before, for 30 seconds at most: no other process may be there.
        """
        until = time.monotonic() + lasting(_LAST_SECONDS).total_seconds()
        while drains and self._loop.is_started and (left := until - time.monotonic()) > 0:
            drains = bool(await _quietly(self.has_work(left)))
            await asyncio.sleep(_LEAST_PAUSE_SECONDS if drains else 0)
        if self._database.notifications is not None:
            await self._database.notifications.unlisten(NOTIFICATION)
        await self._loop.stop()
        await self._mailer.stop()
        if sending := list(self._active.values()):
            await asyncio.wait(sending, timeout=_LAST_ANSWERS_SECONDS)
        for task in sending:
            task.cancel()  # what was not answered is sent again by the next process
        await asyncio.gather(*sending, return_exceptions=True)
        await self._sender.close()
        if sending:
            await _quietly(self._database.write(deliveries.end_leases, self._owner))

    async def has_work(self, seconds: float) -> bool:
        """Whether something is to be routed, or a message is due that does not wait for the interval of a chat."""

        def read(connection: ReadConnection) -> bool:
            now = events.read_time(connection, self._now())
            ready = [each for each in channels.find_pending(connection, self._owner, now) if each.due_at <= now]
            times = [_ready_at(each) for each in ready if each.next_try_at is not None or _ready_at(each) <= now]
            return events.has_unrouted(connection) or any(at <= now + timedelta(seconds=seconds) for at in times)

        # What is being sent is looked at last: a message that was leased before the reads is not among what waits.
        has_more = await self._mailer.has_work(seconds) or await self._database.read_inline(read)
        return has_more or bool(self._active)

    async def run_once(self) -> None:
        """Route what waits, and start sending to each channel that something is due for."""
        while await self._database.read_inline(events.has_unrouted):
            if not await self._database.write(outbox.route, self._now()):
                break
        if time.monotonic() - self._looked_at >= lasting(_POLL_SECONDS).total_seconds():
            self._looked_at = time.monotonic()
            if await self._database.read_inline(alerts.has_over):
                await self._database.write(outbox.end_over, self._now())

        def look(connection: ReadConnection) -> tuple[datetime, Sequence[PendingChannel], Sequence[str]]:
            now = events.read_time(connection, self._now())
            lost = deliveries.find_lost_owners(connection, self._owner, now, now + _LEASE - _SENDING)
            return now, channels.find_pending(connection, self._owner, now), lost

        now, pending, lost = await self._database.read_inline(look)
        for owner in lost:  # processes that died while they sent
            await self._database.write(deliveries.end_leases, owner)
        await self._mailer.send_due()
        pauses = [lasting(_POLL_SECONDS).total_seconds()]
        for channel in pending:
            wait = (_ready_at(channel) - now).total_seconds()
            if wait > 0:
                pauses.append(max(wait, _LEAST_PAUSE_SECONDS))
            elif channel.id not in self._active and not self._loop.is_stopping:
                name = f"alerts of channel {channel.id}"
                self._active[channel.id] = asyncio.create_task(self._serve(channel.id), name=name)
        self._pause = min(pauses)

    async def _serve(self, channel_id: int) -> None:
        """Send what is due for one channel, in order, until nothing is."""
        has_sent = False
        try:
            async with self._turns:
                while not self._loop.is_stopping:
                    claimed = await self._database.write(_claim, channel_id, self._owner, self._now())
                    if claimed is None:
                        break
                    has_sent = True
                    await self._deliver(claimed)
                    if TYPES[claimed.channel.type].one_by_one:
                        await asyncio.sleep(_PACE_SECONDS)
        except DatabaseUnavailable as error:
            _log.warning("alerts of a channel could not be sent, trying again: %s", error)
        except Exception:  # noqa: BLE001 - one channel must not end the others
            _log.exception("alerts of a channel could not be sent")
        finally:
            self._active.pop(channel_id, None)
            if has_sent:
                self.wake()  # to learn when the channel is next ready

    async def _deliver(self, claimed: Claimed) -> None:
        started = time.monotonic()
        notices = await self._database.read_inline(
            lambda connection: [read_notice(connection, row, self._base, claimed.at) for row in claimed.rows]
        )
        # An alert may have been opened again while a message about its end could not be sent.
        ends = {notice.delivery_id for notice in notices if notice.purpose == "closed" and notice.closed_at is None}
        if ends:
            await self._database.write(deliveries.drop_leased, ends, self._owner, outbox.GOES_ON)
            claimed = msgspec.structs.replace(claimed, rows=[row for row in claimed.rows if row.id not in ends])
            notices = [notice for notice in notices if notice.delivery_id not in ends]
            if not notices:
                return
        try:
            answer = await self._sender.send(claimed.channel, notices, claimed.at)
        except Exception:  # noqa: BLE001 - one message must not hold up its channel for ever
            _log.exception("an alert could not be made into a message")
            answer = Answer(text="the message could not be made; the log of the server says why", is_refused=True)
        ms = round((time.monotonic() - started) * 1000)

        def store(connection: WriteConnection) -> list[Fate]:
            at = events.read_time(connection, self._now())
            attempt = Attempt(at=at, ms=ms, code=answer.code, text=answer.text, server=self._host)
            return _store(connection, claimed, answer, self._owner, attempt)

        for fate in await self._database.write_patiently(store, ends=lambda: self._loop.is_stopping):
            self._metrics.count_message(claimed.channel.type, fate.outcome)
        if not answer.is_sent:
            _log.warning("the channel %s did not accept an alert: %s", claimed.channel.name, answer.text or answer.code)


def _ready_at(channel: PendingChannel) -> datetime:
    """Return when the next message of a channel may be sent; a caller waits for a test, which is tried at once."""
    rests_until = _rests_until(channel)
    return channel.due_at if channel.fresh_tests or rests_until is None else max(channel.due_at, rests_until)


def _rests_until(channel: ChannelRow) -> datetime | None:
    """Return when a channel is tried again that fails, or when the interval of one that works has passed."""
    if channel.next_try_at is not None or channel.last_alert_at is None:
        return channel.next_try_at
    return channel.last_alert_at + timedelta(seconds=channel.interval_seconds)


def _claim(connection: WriteConnection, channel_id: int, owner: str, now: datetime) -> Claimed | None:
    """Lease the next messages of a channel; None if there are none now, or another server sends to it."""
    channel = channels.lock(connection, channel_id)
    now = events.read_time(connection, now)
    if channel is None or deliveries.is_sending(connection, channel_id, owner, now):
        return None
    if not channel.enabled:
        deliveries.drop_of_channel(connection, channel_id, "channel disabled")
        return None
    rows = deliveries.find_due(connection, channel_id, now, _MOST_DUE)
    tests = [row for row in rows if row.purpose == deliveries.TEST and not row.tries]
    if not rows or ((_rests_until(channel) or now) > now and not tests):
        return None
    chosen = choose(tests or rows, one_by_one=TYPES[channel.type].one_by_one)
    deliveries.lease(connection, [row.id for row in chosen], owner, now + _LEASE)
    return Claimed(channel=channel, rows=chosen, at=now)


def choose(rows: Sequence[DeliveryRow], *, one_by_one: bool) -> Sequence[DeliveryRow]:
    """Return what is sent in the next message: all that is due, or the oldest; pure.

    What has been answered three times with a status of 5xx comes after other alerts, so that one body that a receiver
    cannot read holds up nothing else; messages about one alert stay in order.
    """
    if not one_by_one:
        return rows
    failed: dict[object, int] = {}
    for row in rows:
        errors = sum(attempt.code in _SERVER_ERRORS for attempt in row.attempts)
        about = row.alert_id or row.id
        failed[about] = max(failed.get(about, 0), errors // _POISONED)
    return [min(rows, key=lambda row: (failed[row.alert_id or row.id], row.due_at, row.id))]


def _store(connection: WriteConnection, claimed: Claimed, answer: Answer, owner: str, attempt: Attempt) -> list[Fate]:
    """Store the receipts of one message, and what the answer says about its channel; returns what became of each."""
    channel, at = channels.lock(connection, claimed.channel.id, waits=True), attempt.at
    fates: list[Fate] = []
    for row in claimed.rows:
        fate = deliveries.settle(connection, row.id, row.attempts, owner, answer, attempt)
        if fate is None:
            continue
        fates.append(fate)
        if fate is Fate.SENT:
            _plan_reminder(connection, row, at)
        elif fate is Fate.RETRY and row.alert_id is not None:
            again = at + tries.own_pause(len(row.attempts) + 1)
            deliveries.postpone(connection, row.alert_id, claimed.channel.id, again)
    if channel is None or not fates:
        return fates
    if (channel.failing_since is None) == (Fate.CHANNEL in fates):
        changes.add_channel_change(connection)
    if Fate.CHANNEL in fates:
        since = channel.failing_since or at
        pause = tries.channel_pause(at - since, answer, at, tries.jitter())
        channels.change(connection, channel.id, failing_since=since, next_try_at=at + pause)
        expired = deliveries.expire(connection, channel.id, at - lasting(tries.GIVEN_UP_SECONDS))
        fates += [Fate.GIVEN_UP] * expired
    else:
        is_alert = bool(channel.interval_seconds) and any(row.purpose != deliveries.TEST for row in claimed.rows)
        sent = {"last_sent_at": at, **({"last_alert_at": at} if is_alert else {})} if Fate.SENT in fates else {}
        channels.change(connection, channel.id, failing_since=None, next_try_at=None, **sent)
    return fates


def _plan_reminder(connection: WriteConnection, row: DeliveryRow, at: datetime) -> None:
    """Add the reminder that follows a message about an alert that is open and not acknowledged."""
    if not row.remind_seconds or row.alert_id is None or row.purpose == deliveries.CLOSED:
        return
    alert = alerts.lock(connection, row.alert_id)
    if alert is not None and alert.closed_at is None and alert.acknowledged_at is None:
        reminder = NewDelivery(
            channel_id=row.channel_id,
            channel=row.channel,
            type=row.type,
            purpose=deliveries.REMINDER,
            due_at=at + timedelta(seconds=row.remind_seconds),
            number=deliveries.next_number(connection, row.alert_id, deliveries.REMINDER),
            alert_id=row.alert_id,
            run_id=row.run_id,
            remind_seconds=row.remind_seconds,
        )
        deliveries.add(connection, [reminder], at)


async def _quietly(work: Awaitable[T]) -> T | None:
    """Return what work returns; None while the database is unavailable."""
    try:
        return await work
    except DatabaseUnavailable:
        return None

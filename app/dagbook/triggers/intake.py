"""The way of a request into the inbox: its signature, its rate, its filters, and one commit that keeps it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

import msgspec

from dagbook.clock import Clock
from dagbook.db.compression import compress_bytes
from dagbook.db.database import Database
from dagbook.db.errors import Conflict
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.triggers import events, triggers
from dagbook.db.repositories.triggers.events import NewTriggerEvent, Received
from dagbook.db.repositories.triggers.triggers import TriggerRow
from dagbook.errors import (
    AlreadyExistsError,
    NotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
    UnavailableError,
)
from dagbook.identifiers import new_run_id, shorten
from dagbook.runs.secrets.encryption import EncryptionError
from dagbook.sources.signatures import WrongSignatures
from dagbook.telemetry.metrics import RunMetrics
from dagbook.triggers import schemes, values
from dagbook.triggers.dagu import ImportedTokens, WebhookRequest
from dagbook.triggers.requests import WebhookSettings
from dagbook.triggers.schemes import Headers, SignatureError, Verified
from dagbook.triggers.service import MAX_BYTES, TOKEN, WEBHOOK, Triggers, is_trigger_name
from dagbook.triggers.values import QUICK_BYTES, Message, Pointer, UnusableError

_log = logging.getLogger(__name__)
_REFUSED = "the request is not signed by the sender of this hook, or there is no such hook"
_WRONG_FREE = 500  # wrong signatures of an address before they are delayed; a secret has 16 characters at least
_WRONG_FREE_OF_DAGU = 100  # fewer, for each may take a good part of a second of a core
_MOST_RATES, _MINUTE_SECONDS = 2_000, 60.0
_LONGEST_TYPE, _LONGEST_NAME = 200, 64
_KEPT_BYTES, _COUNT_EVERY_BYTES, _DROP_AT_A_TIME = 256 << 20, 4 << 20, 200  # of the bodies of a trigger
ReadBody = Callable[[Callable[[bytes], object], int], Awaitable[None]]


class HookRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a hook, maybe at the path of Dagu.

    ``read`` gives each part of the body to a function, up to a number of bytes.
    """

    headers: Headers
    read: ReadBody
    address: str
    is_of_dagu: bool = False


class Intake:
    """What hooks receive. Nothing of a request is parsed before its signature is checked."""

    def __init__(self, database: Database, known: Triggers, metrics: RunMetrics, now: Clock) -> None:
        self._database = database
        self._metrics = metrics
        self._known = known
        self._now = now
        self._wrong = WrongSignatures(free=_WRONG_FREE, message=_REFUSED)
        self._wrong_of_dagu = WrongSignatures(free=_WRONG_FREE_OF_DAGU, message=_REFUSED)
        self._tokens = ImportedTokens(database, known, self._wrong_of_dagu)
        self._rates = Rates()
        self._unchecked: dict[int, int] = {}  # by triggers: bytes of bodies since they were counted
        self._full: set[int] = set()

    async def receive(self, name: str, request: HookRequest) -> Received:
        """Keep a request as an event, or find the event that it repeats. Raises AppError."""
        row, body, verified = await self._accept(name, request)
        return await self._keep(row, request, body, verified)

    async def receive_of_dagu(self, name: str, request: HookRequest) -> tuple[str, str]:
        """Keep a request at the path of Dagu as an event; returns the id of its run, empty if it has none, and the DAG.

        Raises AppError, also if the DAG is gone, or has a run with the id that the sender names.
        """
        row, body, verified = await self._accept(name, request)
        given, dag = WebhookRequest.read(body), row.dag_name
        if dag is None:
            raise NotFoundError(f"the DAG of the webhook {name} was deleted")
        run_id = given.dag_run_id or ""
        if run_id and await self._database.read_inline(runs.get, dag, run_id) is not None:
            raise _taken(run_id)
        received = await self._keep(row, request, given.event, Verified(run_id=run_id) if run_id else verified)
        if run_id and received.is_duplicate:
            raise _taken(run_id)
        return (run_id or received.id) if received.state in events.WITH_RUN else "", dag

    async def _accept(self, name: str, request: HookRequest) -> tuple[TriggerRow, bytes, Verified]:
        """Return the trigger of a request, and its body once its sender is known; raises AppError."""
        row = await self._database.read_inline(triggers.get, name) if is_trigger_name(name) else None
        if row is None or row.kind != WEBHOOK or (request.is_of_dagu and not _settings(row).dagu):
            await self._refuse_unknown(name, request)
        known, body = await self._open_secrets(row, request), bytearray()
        await request.read(body.extend, row.max_bytes)
        verified = self._verify(row, known, request, bytes(body))
        self._rates.check(row.id, row.per_minute)
        return row, bytes(body), verified

    async def _keep(self, row: TriggerRow, request: HookRequest, body: bytes, verified: Verified) -> Received:
        if row.id in self._full:
            await self._make_room(row.id)
        work = self._make_event
        if len(body) > QUICK_BYTES:
            event = await asyncio.to_thread(work, row, request.headers, body, verified)
        else:
            event = work(row, request.headers, body, verified)
        received = await self._store(event)
        if not received.is_duplicate:
            self._metrics.count_events(received.state)
            await self._count_body(row.id, len(body))
        return received

    async def _refuse_unknown(self, name: str, request: HookRequest) -> NoReturn:
        """Raise UnauthorizedError as late, and with the same text, as for a wrong signature; keeps nothing."""
        digest = hmac.new(secrets.token_bytes(), digestmod=hashlib.sha256)
        await request.read(digest.update, MAX_BYTES)
        scheme, settings = schemes.guess_scheme(request.headers), WebhookSettings()
        with suppress(SignatureError):
            schemes.verify(scheme, settings, [secrets.token_hex()], request.headers, b"", self._now())
        wrong = self._wrong_of_dagu if request.is_of_dagu else self._wrong
        wrong.refuse(name[:_LONGEST_NAME], request.address)

    async def _open_secrets(self, row: TriggerRow, request: HookRequest) -> list[str]:
        try:
            if row.scheme == TOKEN:
                return await self._tokens.open(row, schemes.find_token(request.headers), request.address)
            return self._known.open_secrets(row)
        except EncryptionError as error:
            _log.error("the trigger %s takes nothing: %s", row.name, error)  # whose details are not for strangers
            raise UnavailableError("this server cannot read the secret of the hook; its log says why") from error

    def _verify(self, row: TriggerRow, known: list[str], request: HookRequest, body: bytes) -> Verified:
        settings = _settings(row)
        try:
            verified = schemes.verify(row.scheme or "", settings, known, request.headers, body, self._now())
        except SignatureError as error:
            if error.clock:
                raise UnauthorizedError(error.clock, "") from error
            (self._wrong_of_dagu if settings.dagu else self._wrong).refuse(row.name, request.address)
        return verified

    def _make_event(self, row: TriggerRow, headers: Headers, body: bytes, verified: Verified) -> NewTriggerEvent:
        settings, at = _settings(row), self._now()
        kept = values.keep_headers(headers, row.filters, row.params, settings.header)
        content_type = next(iter(headers.get("content-type", ())), "")[:_LONGEST_TYPE]
        event_id = new_run_id()
        message = Message(headers=kept, body=body, content_type=content_type)
        key, state, reason = verified.key, events.WAITING, None
        try:
            if settings.key:
                found = message.find(Pointer.read(settings.key, "key"))
                key = "" if found is msgspec.UNSET or found is None else str(found)
            state, reason = judge(row, message)
        except UnusableError as error:
            state, reason = events.DEAD, str(error)
        return NewTriggerEvent(
            id=event_id,
            trigger_id=row.id,
            key=events.key_of_run(verified.run_id)
            if verified.run_id
            else values.as_key(key, events.OWN_KEYS) or event_id,
            body_hash=None if verified.signed is None else hashlib.sha256(verified.signed).digest(),
            state=state,
            reason=reason,
            received_at=at,
            settled_at=None if state == events.WAITING else at,
            content_type=content_type or None,
            headers=kept,
            body=compress_bytes(body),
            body_bytes=len(body),
        )

    async def _store(self, event: NewTriggerEvent) -> Received:
        try:
            received = await self._database.write(events.receive, event)
        except Conflict as error:  # the trigger has just been deleted
            raise UnauthorizedError(_REFUSED, "") from error
        if received is None:
            raise UnavailableError("the event that this one repeats was deleted meanwhile; send it again")
        return received

    async def _count_body(self, trigger: int, size: int) -> None:
        """Drop the oldest bodies of a trigger when there are too many; now and then, for it has to count them."""
        self._unchecked[trigger] = self._unchecked.get(trigger, 0) + size
        if self._unchecked[trigger] >= _COUNT_EVERY_BYTES:
            self._unchecked[trigger] = 0
            if not await trim_bodies(self._database, trigger):
                self._full.add(trigger)

    async def _make_room(self, trigger: int) -> None:
        if not await trim_bodies(self._database, trigger):
            raise UnavailableError(
                f"the events that wait for this trigger have {_KEPT_BYTES >> 20} MiB; send this again later"
            )
        self._full.discard(trigger)


async def trim_bodies(database: Database, trigger: int) -> bool:
    """Drop bodies of settled events until the rest fits; False if those that wait are too many."""
    excess = await database.read(events.count_body_bytes, trigger) - _KEPT_BYTES
    while excess > 0:
        dropped = await database.write(events.drop_bodies, trigger, _DROP_AT_A_TIME)
        if not dropped:
            return False
        excess -= dropped
    return True


class Rates:
    """How many requests each trigger has taken in the minute that its first one has begun, in this process."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._taken: OrderedDict[int, tuple[float, int]] = OrderedDict()

    def check(self, trigger: int, per_minute: int) -> None:
        """Count a request; raises TooManyRequestsError."""
        now = self._seconds()
        since, taken = self._taken.get(trigger, (now, 0))
        if now - since >= _MINUTE_SECONDS:
            since, taken = now, 0
        if taken >= per_minute:
            raise TooManyRequestsError(
                f"this hook takes {per_minute} requests in a minute (perMinute)", since + _MINUTE_SECONDS - now
            )
        self._taken[trigger] = (since, taken + 1)
        self._taken.move_to_end(trigger)
        if len(self._taken) > _MOST_RATES:
            self._taken.popitem(last=False)


def _settings(row: TriggerRow) -> WebhookSettings:
    return msgspec.convert(row.settings, WebhookSettings)


def judge(row: TriggerRow, message: Message) -> tuple[str, str | None]:
    """Return the state of a new event, and why it does not wait; raises UnusableError."""
    if row.scheme == "github" and message.headers.get("x-github-event") == "ping":
        return events.FILTERED, "GitHub has tried the hook (ping)"
    if failed := values.find_failed(row.filters, message):
        return events.FILTERED, f"the filter {shorten(failed)} does not hold"
    return events.WAITING, None


def _taken(run_id: str) -> AlreadyExistsError:
    return AlreadyExistsError(f"dag-run with ID {run_id} already exists")

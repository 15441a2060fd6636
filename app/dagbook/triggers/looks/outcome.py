"""What becomes of what a look has found: events with their keys, or the rows of a first look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from dagbook.clock import Clock
from dagbook.db.compression import compress_bytes
from dagbook.db.database import WriteConnection
from dagbook.db.repositories.triggers import events, looks
from dagbook.db.repositories.triggers.events import NewTriggerEvent
from dagbook.db.repositories.triggers.looks import Handled, LookRow, Outcome
from dagbook.db.repositories.triggers.triggers import NewTrigger, TriggerRow
from dagbook.errors import BadRequestError
from dagbook.identifiers import new_run_id, shorten
from dagbook.triggers import values
from dagbook.triggers.looks import options
from dagbook.triggers.looks.comparison import Entry, Listing, together
from dagbook.triggers.looks.files import LookError
from dagbook.triggers.looks.looker import Asked, Looker
from dagbook.triggers.requests import WebhookSettings
from dagbook.triggers.values import Message, UnusableError

Group = Sequence[Entry]  # what one event is made of


def settings_of(row: NewTrigger) -> WebhookSettings:
    """Return the options of a trigger."""
    return msgspec.convert(row.settings, WebhookSettings)


def asked_of(row: NewTrigger, run_as: str | None, secret: str, known: str = "") -> Asked:
    """Return what a look of a trigger is for."""
    return Asked(
        trigger=row.id if isinstance(row, TriggerRow) else 0,
        kind=row.kind,
        settings=settings_of(row),
        run_as=run_as,
        secret=secret,
        most_bytes=row.max_bytes,
        known=known,
    )


async def look_first(looker: Looker, row: NewTrigger, run_as: str | None, secret: str) -> Listing | None:
    """Look before a trigger is stored, if it is one that looks, and on this machine; raises BadRequestError."""
    if row.kind not in options.KINDS:
        return None
    options.check_secret(row.kind, secret)
    if row.host not in (None, looker.host):
        return None
    try:
        return await looker.look(asked_of(row, run_as, secret))
    except LookError as error:
        raise BadRequestError(f"settings: the first look failed: {error}") from error


def store_first(connection: WriteConnection, trigger_id: int, row: NewTrigger, found: Listing, now: Clock) -> None:
    """Remember what is there at the first look, unless it is to start runs, too."""
    is_new = settings_of(row).existing
    if not is_new:
        handled = [Handled(path=each.path, fingerprint=each.fingerprint) for each in found.entries.values()]
        looks.store(connection, trigger_id, Outcome(handled=handled), 1, now())
    looks.begin(connection, trigger_id, 0 if is_new else row.every_seconds or 0, now())


def make_events(row: LookRow, groups: Sequence[Group], at: datetime) -> list[tuple[NewTriggerEvent, Group]]:
    """Return an event for each group, in this order, without its key, which the number of the look is a part of."""
    return [
        (_make_event(row, group, at + timedelta(microseconds=number)), group) for number, group in enumerate(groups)
    ]


def _make_event(row: LookRow, group: Group, at: datetime) -> NewTriggerEvent:
    first = group[0]
    item = together(group) if row.together else first.item
    message = Message(body=first.body, content_type=first.content_type, item=item)
    state, reason = events.WAITING, None
    try:
        if failed := values.find_failed(row.filters, message):
            state, reason = events.FILTERED, f"the filter {shorten(failed)} does not hold"
    except UnusableError as error:
        state, reason = events.DEAD, str(error)
    return NewTriggerEvent(
        id=new_run_id(),
        trigger_id=row.id,
        key="",
        state=state,
        reason=reason,
        received_at=at,
        settled_at=None if state == events.WAITING else at,
        headers={},
        item=item,
        content_type=first.content_type or None,
        body=None if first.body is None else compress_bytes(first.body),
        body_bytes=len(first.body or b""),
    )


def make_outcome(made: Sequence[tuple[NewTriggerEvent, Group]], look: int) -> Outcome:
    """Return what is stored: an event that was made once has the same key at no later look."""
    keyed = [
        msgspec.structs.replace(event, key=values.as_key(f"{group[0].path}#{look}#{group[0].fingerprint}"))
        for event, group in made
    ]
    handled = [
        Handled(path=each.path, fingerprint=each.fingerprint, event_id=event.id)
        for event, group in made
        for each in group
    ]
    return Outcome(events=keyed, handled=handled)

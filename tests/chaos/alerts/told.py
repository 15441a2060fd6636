"""The channels and rules of an experiment, and what must hold of its rows and of what receivers were told.

The name of a channel is the path of its receiver. The record of the receivers is independent of the servers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx
from sqlalchemy import and_, func, select

from dagbook.db.database import ReadConnection
from dagbook.db.models import Alert, AlertDelivery, AlertEvent, Run
from dagbook.engine.status import RunStatus
from tests.chaos.alerts.receiver import Reply, Request
from tests.process import store
from tests.process.server import Api
from tests.process.waiting import wait_for

_SPEC = "maxActiveRuns: 1000\nsteps: [{{name: a, shell: sh, command: 'exit {status}'}}]\n"
FAILS, SUCCEEDS = _SPEC.format(status=3), _SPEC.format(status=0)
HOOK, CHAT, PING = "hook", "chat", "ping"
_ACCEPTED = (Reply.OK, Reply.HUGE)  # statuses of 200
_SETTLE_SECONDS = 240
_OPENED, _CLOSED = "opened", "closed"
_UNFINISHED = (RunStatus.NOT_STARTED, RunStatus.RUNNING, RunStatus.QUEUED)


def add_channel(api: Api, name: str, url: str, **more: Any) -> None:
    """Add a channel: a chat or a ping if its name begins so, else a webhook."""
    kind = {"type": PING if name.startswith(PING) else "webhook", "url": url}
    if _is_chat(name):
        kind = {"type": "slack", "secret": url}
    _add(api, "/alert-channels", {"name": name, **kind, **more})


def add_rule(api: Api, *to: str, **more: Any) -> None:
    """Add the rule that failures of all DAGs are told to these channels, without reminders."""
    _add(api, "/alert-rules", {"name": "all", "match": ["*"], "on": ["failed"], "to": to, "remindSeconds": 0, **more})


def _add(api: Api, path: str, body: Mapping[str, Any]) -> None:
    """Add what may be there already: the answer to an earlier request may have been lost."""
    answer = api.client.post(path, json=body)
    if answer.status_code != httpx.codes.CONFLICT:
        answer.raise_for_status()


class Delivery(NamedTuple):
    """A row of a message, and the DAG that it is about."""

    id: str
    channel: str
    purpose: str
    status: str
    reason: str | None
    due_at: datetime
    sent_at: datetime | None
    opened_at: datetime
    dag: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.channel, self.dag, self.purpose


class FailedRun(NamedTuple):
    """A root run that has failed, and how many events of its last attempt there are."""

    run_id: str
    dag: str
    events: int


class AlertRows(NamedTuple):
    """What the database has of alerts."""

    failed: Sequence[FailedRun]
    unfinished: int  # runs
    unrouted: int  # events
    deliveries: Sequence[Delivery]

    @property
    def waiting(self) -> int:
        """How many events are to be routed, and messages to be sent."""
        now = datetime.now(UTC)
        return self.unrouted + sum(row.status == "pending" and row.due_at <= now for row in self.deliveries)


_of_end = and_(AlertEvent.run_id == Run.id, AlertEvent.attempt == Run.attempt, AlertEvent.kind == "failed")
_failed = (
    select(Run.run_id, Run.dag_name, func.count(AlertEvent.id))
    .outerjoin(AlertEvent, _of_end)
    .where(Run.root_id.is_(None), Run.status == RunStatus.FAILED)
    .group_by(Run.id)
)
_unfinished = select(func.count()).select_from(Run).where(Run.status.in_(_UNFINISHED))
_unrouted = select(func.count()).select_from(AlertEvent).where(AlertEvent.routed_at.is_(None))
_message = (AlertDelivery.id, AlertDelivery.channel, AlertDelivery.purpose, AlertDelivery.status, AlertDelivery.reason)
_times = (AlertDelivery.due_at, AlertDelivery.sent_at, Alert.opened_at)
_deliveries = (
    select(*_message, *_times, Alert.subject)
    .join(Alert, Alert.id == AlertDelivery.alert_id)
    .order_by(AlertDelivery.created_at, AlertDelivery.id)
)


def read_rows(url: str) -> AlertRows:
    """Read what the database has of alerts."""

    def read(connection: ReadConnection) -> AlertRows:
        # In this order: what was unfinished or unrouted may not be so when the others are read, and not conversely.
        unfinished, unrouted = (int(connection.scalar(each) or 0) for each in (_unfinished, _unrouted))
        failed = [FailedRun(*row) for row in connection.execute(_failed)]
        return AlertRows(failed, unfinished, unrouted, [Delivery(*row) for row in connection.execute(_deliveries)])

    return store.with_retries(url, lambda database: database.read(read))


def wait_until_told(url: str, *, seconds: float = _SETTLE_SECONDS) -> AlertRows:
    """Wait until all runs have ended and nothing is to be routed or sent. Raises NotInTimeError."""

    def look() -> AlertRows | None:
        rows = read_rows(url)
        return None if rows.unfinished or rows.waiting else rows

    return wait_for("all alerts to be sent", look, seconds=seconds)


class Told:
    """What receivers were told, beside the rows about it."""

    def __init__(self, rows: AlertRows, requests: Sequence[Request]) -> None:
        self._rows = rows
        self._requests = list(requests)
        self._accepted = [request for request in self._requests if request.reply in _ACCEPTED]
        self._by_id = Counter(request.id for request in self._accepted if request.id)
        self._messages = [each for each in self._accepted if not each.id]
        self._lines = Counter(key for each in self._messages for key in _keys(each))

    @property
    def repeats(self) -> int:
        """How many messages were accepted once more: webhooks by their ids, those of chats by what they say."""
        sent = Counter(row.key for row in self._rows.deliveries)
        seen: Counter[tuple[str, str, str]] = Counter()
        repeated = 0
        for message in self._messages:
            keys = _keys(message, merged=False)
            seen.update(keys)
            repeated += any(seen[key] > sent[key] for key in keys)
        return repeated + sum(count - 1 for count in self._by_id.values())

    def find_violations(self) -> Iterator[str]:
        """Return a sentence for each end that has not one event, and each message that was lost or came in disorder."""
        rows = self._rows
        for run in rows.failed:
            if run.events != 1:
                yield f"{run.run_id} of {run.dag} has failed, and has {run.events} events"
        if rows.waiting:
            yield f"{rows.waiting} events or messages wait"
        for row in rows.deliveries:
            name = f"{row.purpose} of {row.dag} for {row.channel}"
            if row.status == "failed":
                yield f"given up: {name}: {row.reason}"
            if row.status == "sent" and not (self._lines[row.key] if _is_chat(row.channel) else self._by_id[row.id]):
                yield f"lost: {name} has a receipt, and no receiver was told"
        for dag in {run.dag for run in rows.failed}:
            # Whatever the rows say of this message; an escalation may be dropped.
            for channel in {row.channel for row in rows.deliveries if row.status == "sent"} & {HOOK, CHAT}:
                if not any(self._names(channel, dag, request) for request in self._accepted):
                    yield f"lost: {channel} was not told of {dag}"
        yield from self._disorder()

    def _names(self, channel: str, dag: str, request: Request) -> bool:
        if request.path != f"/{channel}":
            return False
        if not request.id:
            return (channel, dag, _OPENED) in _keys(request)
        return bool(request.body["type"] == "alert.opened" and request.body["data"]["dag"] == dag)

    def _disorder(self) -> Iterator[str]:
        """Return what is wrong with the ids and the order of webhooks."""
        known = {row.id for row in self._rows.deliveries}
        ids: dict[tuple[str, int, str], str] = {}
        opened: set[tuple[str, int]] = set()
        for request in self._requests:
            if not request.id:
                continue
            alert, kind = request.body["data"]["alert"]["id"], request.body["type"]
            if request.id not in known:
                yield f"{request.path} got the unknown id {request.id}"
            if kind == "alert.opened" and ids.setdefault((request.path, alert, kind), request.id) != request.id:
                yield f"{request.path} got two ids for the beginning of the alert {alert}"
            if request.reply not in _ACCEPTED:
                continue
            if kind == "alert.opened":
                opened.add((request.path, alert))
            elif (request.path, alert) not in opened:
                yield f"{request.path} got {kind} before alert.opened of the alert {alert}"


def _is_chat(channel: str) -> bool:
    return channel.startswith(CHAT)


def _keys(request: Request, *, merged: bool = True) -> set[tuple[str, str, str]]:
    """Return what a message of a chat is about; if ``merged``, also the ends that lines about a beginning tell."""
    channel, found = request.path.removeprefix("/"), set()
    for line in request.lines:
        dag, _, said = line.partition(" ")
        if said.startswith("failed at"):
            found.add((channel, dag, _OPENED))
        if said.startswith("succeeded at") or (merged and "succeeded at" in said):
            found.add((channel, dag, _CLOSED))
    return found

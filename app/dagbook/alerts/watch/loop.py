"""The loop that looks for what no event tells, and makes events of it; any number of servers may do so at once.

A round reads, decides, and writes only if something begins or ends. Times are those of the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec

from dagbook.alerts import outbox
from dagbook.alerts.kinds import UNWATCHED, Kind
from dagbook.alerts.texts import clean
from dagbook.alerts.watch import decisions
from dagbook.alerts.watch.decisions import Deadline, Finding, Limit, covering, find_limits
from dagbook.background import BackgroundLoop
from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories.alerts import absences, alerts, events, rules
from dagbook.db.repositories.alerts.absences import (
    DeadProcess,
    FailingChannel,
    FirstRun,
    Success,
    WatchedDag,
    WatchedRun,
)
from dagbook.db.repositories.alerts.alerts import AlertRow
from dagbook.db.repositories.alerts.events import NewEvent
from dagbook.definitions.timetable import Timetable
from dagbook.json_values import Json
from dagbook.tries import lasting

_EVERY_SECONDS = 20.0
_MOST = 500  # findings of one transaction
_STALE = timedelta(seconds=60)  # what was read longer ago, by a server that was suspended meanwhile, counts no more
_OLDEST_GONE = timedelta(days=1)  # a process that was gone before is not looked for
_WATCHED = [kind for kind in Kind if kind.is_watched]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one round has read: the limits of rules by kind, open alerts, and what may be missing or last too long."""

    at: datetime
    limits: Mapping[Kind, Sequence[Limit]]
    open: Sequence[AlertRow]
    dags: Sequence[WatchedDag] = ()
    running: Sequence[WatchedRun] = ()
    waiting: Sequence[FirstRun] = ()
    gone: Sequence[DeadProcess] = ()
    failing: Sequence[FailingChannel] = ()


class Ending(msgspec.Struct, frozen=True):
    """An open alert that ends, and by what."""

    alert: int
    by: str


class Watch:
    """Opens and closes the alerts of a database that are about absences."""

    def __init__(self, database: Database, timetable: Timetable, now: Clock) -> None:
        self._database = database
        self._timetable = timetable
        self._now = now
        self._loop = BackgroundLoop(
            "watch of alerts",
            self.run_once,
            every_seconds=lambda: lasting(_EVERY_SECONDS).total_seconds(),
            failure="it could not be looked for what is missing or lasts too long; it is tried again",
            expected=(DatabaseUnavailable,),
        )

    def start(self) -> None:
        """Start with a round; harmless when repeated."""
        self._loop.start(0.0)

    async def stop(self) -> None:
        """Stop after the active round; harmless without a start."""
        await self._loop.stop()

    async def run_once(self) -> None:
        """Look once."""
        if not await self._database.read_inline(absences.is_watching):
            return
        seen = await self._database.read(_look, self._now())
        unmet: dict[int, list[Deadline]] = {}
        if seen.dags:
            starts = {one.dag.id: one.timing.start for one in await self._timetable.read()}
            limits = seen.limits.get(Kind.OVERDUE, ())
            find = decisions.find_all_unmet
            unmet = await asyncio.to_thread(find, seen.dags, limits, starts, seen.at, self._timetable.zone)
        findings, endings = await self._database.read(_decide, seen, unmet)
        if findings or endings:
            await self._database.write(partial(_apply, now=self._now, seen=seen, findings=findings, endings=endings))


def _look(connection: ReadConnection, now: datetime) -> Seen:
    """Read what the rules ask for."""
    at, known = events.read_time(connection, now), rules.find(connection, enabled=True)
    limits = {kind: found for kind in _WATCHED if (found := find_limits(known, kind))}
    opened = alerts.find_watched(connection, *_WATCHED)
    kinds = set(limits) | {Kind(alert.kind) for alert in opened}
    gone_before = at - lasting(decisions.GONE_SECONDS)
    since = min((alert.opened_at for alert in opened if alert.kind == Kind.SERVER), default=at) - _OLDEST_GONE
    return Seen(
        at=at,
        limits=limits,
        open=opened,
        dags=absences.find_dags(connection) if Kind.OVERDUE in kinds else (),
        running=absences.find_running(connection, at - _least(limits, Kind.SLOW)) if Kind.SLOW in limits else (),
        waiting=absences.find_first(connection, at - _least(limits, Kind.QUEUED)) if Kind.QUEUED in limits else (),
        gone=absences.find_dead(connection, since, gone_before, at) if Kind.SERVER in kinds else (),
        failing=(
            absences.find_failing(connection, at - lasting(decisions.FAILING_SECONDS)) if Kind.CHANNEL in limits else ()
        ),
    )


def _least(limits: Mapping[Kind, Sequence[Limit]], kind: Kind) -> timedelta:
    return min(limit.lasts for limit in limits[kind])


def _decide(
    connection: ReadConnection, seen: Seen, unmet: Mapping[int, Sequence[Deadline]]
) -> tuple[list[Finding], list[Ending]]:
    """Return what begins and what ends."""
    overdue, endings = _decide_overdue(connection, seen, unmet)
    found = [*overdue, *_find_slow(connection, seen), *_find_others(seen)]
    subjects = {decisions.name_process(process) for process in seen.gone}
    endings += [
        Ending(alert.id, "alive again" if Kind.SERVER in seen.limits else UNWATCHED)
        for alert in seen.open
        if alert.kind == Kind.SERVER and (alert.subject not in subjects or Kind.SERVER not in seen.limits)
    ]
    known = events.find_keys(connection, [finding.key for finding in found if finding.key])
    about = {(alert.kind, alert.subject) for alert in seen.open}
    new = [
        finding
        for finding in found
        if (finding.key not in known if finding.key else (finding.kind, finding.subject) not in about)
    ]
    return new[:_MOST], endings


def _decide_overdue(
    connection: ReadConnection, seen: Seen, unmet: Mapping[int, Sequence[Deadline]]
) -> tuple[list[Finding], list[Ending]]:
    opened = {alert.subject: alert for alert in seen.open if alert.kind == Kind.OVERDUE}
    found: dict[str, Finding] = {}
    successes: dict[str, Success] = {}
    for dag in seen.dags:
        if dag.id in unmet:
            since = min(deadline.at for deadline in unmet[dag.id])
            successes[dag.dag_name] = success = absences.find_success(connection, dag.dag_name, since)
            if (finding := decisions.find_overdue(dag, unmet[dag.id], success)) is not None:
                found[dag.dag_name] = finding
    limits, endings = seen.limits.get(Kind.OVERDUE, ()), []
    for dag in seen.dags:
        if (alert := opened.get(dag.dag_name)) is not None and dag.dag_name not in found:
            newest = Success(started_at=dag.started_at, finished_at=dag.finished_at)
            success = successes.get(dag.dag_name, newest)
            endings.append(Ending(alert.id, decisions.why_in_time(dag, limits, success, alert.opened_at)))
    return list(found.values()), endings


def _find_slow(connection: ReadConnection, seen: Seen) -> list[Finding]:
    found = []
    for run in seen.running:
        limits = covering(seen.limits[Kind.SLOW], run.dag_name, run.tags)
        compares = decisions.needs_durations(run, limits, seen.at)
        durations = absences.find_durations(connection, run.dag_name) if compares else ()
        found.append(decisions.find_slow(run, limits, durations, seen.at))
    return [finding for finding in found if finding is not None]


def _find_others(seen: Seen) -> list[Finding]:
    queued = [
        decisions.find_queued(first, covering(seen.limits[Kind.QUEUED], first.dag_name, first.tags), seen.at)
        for first in seen.waiting
    ]
    general = seen.limits.get(Kind.SERVER, ())
    since = min((limit.rule.created_at for limit in general), default=seen.at)
    since = max(since, seen.at - _OLDEST_GONE)
    return [
        *(finding for finding in queued if finding is not None),
        *(decisions.find_gone(process, seen.at) for process in seen.gone if process.lease_until > since),
        *(decisions.find_broken(channel, seen.at) for channel in seen.failing),
    ]


def _apply(
    connection: WriteConnection, *, now: Clock, seen: Seen, findings: Sequence[Finding], endings: Sequence[Ending]
) -> None:
    """Store events of what begins, and end what ends, unless another server has done so meanwhile."""
    events.lock_outbox(connection)
    at = events.read_time(connection, now())
    if at - seen.at > _STALE or alerts.count_open(connection) > outbox.MOST_OPEN:
        findings = ()
    opened = {(alert.kind, alert.subject) for alert in alerts.find_watched(connection, *_WATCHED)}
    for finding in findings:
        about = (finding.kind, finding.subject)
        if finding.key or (about not in opened and not events.is_waiting(connection, *about)):
            events.add_new(connection, _event(finding, at))
    known = rules.find(connection, enabled=True) if endings else ()
    for ending in endings:
        alert = alerts.lock(connection, ending.alert)
        if alert is not None and alert.closed_at is None:
            outbox.close(connection, alert, known, at, ending.by)


def _event(finding: Finding, at: datetime) -> NewEvent:
    data: dict[str, Json] = {"reason": clean(finding.reason)}
    if finding.due_at is not None:
        data["dueAt"] = finding.due_at.isoformat()
    return NewEvent(
        key=finding.key or f"{finding.kind}/{finding.subject}/{at.isoformat()}",
        at=at,
        kind=str(finding.kind),
        subject_kind=finding.kind.about,
        subject=finding.subject,
        data=data,
        run_id=finding.run,
        attempt=finding.attempt,
    )

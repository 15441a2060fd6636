"""What no event tells: that something is missing or lasts longer than a rule allows. Pure; the time is an argument."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from dagbook.alerts.due import format_seconds
from dagbook.alerts.kinds import IN_TIME, SUSPENDED, UNWATCHED, Kind, NamedKind, parse_kind
from dagbook.alerts.routing import judge
from dagbook.db.repositories.alerts.absences import (
    DeadProcess,
    FailingChannel,
    FirstRun,
    Success,
    WatchedDag,
    WatchedRun,
)
from dagbook.db.repositories.alerts.channels import ChannelRow
from dagbook.db.repositories.alerts.rules import RuleRow
from dagbook.definitions.timetable import newest
from dagbook.spec.time.schedule import CronEntry
from dagbook.tries import lasting

_FEWEST_SUCCESSES, _LEAST_SLOW_SECONDS = 5, 60  # for a limit that is a multiple of the usual time
GONE_SECONDS = 60  # after the end of the lease of a process
FAILING_SECONDS = 15 * 60
_HANDLED_SECONDS, _WAITS_SECONDS = 3 * 60, 15 * 60  # from when on a heartbeat reports a failure
_ACTIVE_RUNS = re.compile(r"\): .*", re.DOTALL)


class Limit(NamedTuple):
    """A kind with its limit, and the rule that names it."""

    rule: RuleRow
    named: NamedKind

    @property
    def lasts(self) -> timedelta:
        return lasting(self.named.seconds)


class Deadline(NamedTuple):
    """The time since which a run must have begun that has succeeded; without a schedule, must one have ended."""

    limit: Limit
    at: datetime
    is_scheduled: bool


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What an alert opens for. One without a ``key`` is the same as long as an alert about its subject is open."""

    kind: Kind
    subject: str
    reason: str
    key: str = ""
    run: int | None = None
    attempt: int | None = None
    due_at: datetime | None = None


def find_limits(rules: Iterable[RuleRow], kind: Kind) -> list[Limit]:
    """Return what rules name of a kind, the shortest limit first."""
    found = [Limit(rule, named) for rule in rules for named in map(parse_kind, rule.kinds) if named.kind is kind]
    return sorted(found, key=lambda limit: limit.named.seconds)


def covering(limits: Iterable[Limit], name: str, tags: Collection[str]) -> list[Limit]:
    """Return the limits of the rules that cover a DAG."""
    return [limit for limit in limits if judge(limit.rule.match, name, tags).covers]


# -- overdue ---------------------------------------------------------------------------------------------------------


def find_all_unmet(
    dags: Iterable[WatchedDag],
    limits: Sequence[Limit],
    starts: Mapping[int, Sequence[CronEntry]],
    now: datetime,
    zone: ZoneInfo,
) -> dict[int, list[Deadline]]:
    """Return these deadlines of all DAGs by the key of the DAG; ``starts`` has the schedules in the same way."""
    found = {dag.id: find_unmet(dag, limits, starts.get(dag.id, ()), now, zone) for dag in dags}
    return {dag: deadlines for dag, deadlines in found.items() if deadlines}


def find_unmet(
    dag: WatchedDag, limits: Iterable[Limit], starts: Sequence[CronEntry], now: datetime, zone: ZoneInfo
) -> list[Deadline]:
    """Return the deadlines that the newest run of a DAG has not met, as far as is known of it."""
    if dag.suspended:
        return []
    found = (_find_deadline(dag, limit, starts, now, zone) for limit in covering(limits, dag.dag_name, dag.tags))
    newest_run = Success(started_at=dag.started_at, finished_at=dag.finished_at)
    return [deadline for deadline in found if deadline is not None and not is_met(deadline, newest_run)]


def _find_deadline(
    dag: WatchedDag, limit: Limit, starts: Sequence[CronEntry], now: datetime, zone: ZoneInfo
) -> Deadline | None:
    """Return the last deadline that has passed; the time before DAG and rule were stored does not count."""
    since, latest = max(dag.created_at, limit.rule.created_at), now - limit.lasts
    if latest <= since:
        return None
    if not starts:
        return Deadline(limit, latest, is_scheduled=False)
    if dag.started_at is not None and dag.started_at >= latest:
        return None  # whichever start is the last one
    minutes = newest(starts, since.replace(second=0, microsecond=0), latest.replace(second=0, microsecond=0), zone)
    return Deadline(limit, minutes[0], is_scheduled=True) if minutes else None


def is_met(deadline: Deadline, success: Success) -> bool:
    """Whether a DAG has succeeded in time."""
    at = success.started_at if deadline.is_scheduled else success.finished_at
    return at is not None and at >= deadline.at


def find_overdue(dag: WatchedDag, unmet: Iterable[Deadline], success: Success) -> Finding | None:
    """Return that a DAG is overdue by a deadline."""
    for deadline in unmet:
        if not is_met(deadline, success):
            limit = format_seconds(deadline.limit.named.seconds)
            if deadline.is_scheduled:
                reason = f"no run that began since then has succeeded within {limit}"
                return Finding(kind=Kind.OVERDUE, subject=dag.dag_name, reason=reason, due_at=deadline.at)
            return Finding(kind=Kind.OVERDUE, subject=dag.dag_name, reason=f"no run has succeeded for {limit}")
    return None


def why_in_time(dag: WatchedDag, limits: Iterable[Limit], success: Success, opened_at: datetime) -> str:
    """Return what has ended that a DAG is overdue."""
    if dag.suspended:
        return SUSPENDED
    if not covering(limits, dag.dag_name, dag.tags):
        return UNWATCHED
    return "succeeded" if success.finished_at is not None and success.finished_at >= opened_at else IN_TIME


# -- the others ------------------------------------------------------------------------------------------------------


def needs_durations(run: WatchedRun, limits: Iterable[Limit], now: datetime) -> bool:
    """Whether a run is compared with others of its DAG."""
    return now - run.started_at >= lasting(_LEAST_SLOW_SECONDS) and any(limit.named.factor for limit in limits)


def find_slow(run: WatchedRun, limits: Iterable[Limit], durations: Sequence[float], now: datetime) -> Finding | None:
    """Return that a run is slow by the shortest of its limits; ``durations`` are those of its DAG in seconds."""
    allowed = {
        limit.lasts: f"the limit is {format_seconds(limit.named.seconds)}" for limit in limits if limit.named.seconds
    }
    if len(durations) >= _FEWEST_SUCCESSES:
        usual = median(durations)
        for factor in (limit.named.factor for limit in limits if limit.named.factor):
            longest = max(timedelta(seconds=factor * usual), lasting(_LEAST_SLOW_SECONDS))
            allowed[longest] = f"{format_seconds(round(usual))} is usual, and x{factor:g} the limit"
    ran = now - run.started_at
    if not allowed or ran < min(allowed):
        return None
    return Finding(
        kind=Kind.SLOW,
        subject=run.dag_name,
        reason=f"running for {_written(ran)}; {allowed[min(allowed)]}",
        key=f"slow/{run.id}/{run.attempt}",
        run=run.id,
        attempt=run.attempt,
    )


def find_queued(first: FirstRun, limits: Sequence[Limit], now: datetime) -> Finding | None:
    """Return that the first run of a queue waits longer than the shortest of its limits."""
    waited = now - first.queued_at
    if not limits or waited < min(limit.lasts for limit in limits):
        return None
    # Without the names of the runs that it waits for: a receiver may have no right to see those.
    cause = _ACTIVE_RUNS.sub(")", first.reason or "it is about to start")
    if first.paused_at is not None:
        cause = f"the queue is paused{f' by {first.paused_by}' if first.paused_by else ''}"
    reason = f"{first.dag_name} {first.run_id} for {_written(waited)}: {cause}"
    return Finding(kind=Kind.QUEUED, subject=first.queue, reason=reason, run=first.id, attempt=first.attempt)


def find_gone(process: DeadProcess, now: datetime) -> Finding:
    """Return that a server or worker is gone."""
    reason = f"no heartbeat for {_written(now - process.heartbeat_at)}, and it was not stopped"
    return Finding(kind=Kind.SERVER, subject=name_process(process), reason=reason, key=f"server/{process.id}")


def name_process(process: DeadProcess) -> str:
    """Return what an alert about a process is about: one with its kind and host ends it."""
    return f"{process.kind} on {process.host}"


def find_broken(channel: FailingChannel, now: datetime) -> Finding:
    """Return that a channel does not work."""
    reason = f"its receiver has accepted nothing for {_written(now - channel.failing_since)}"
    return Finding(kind=Kind.CHANNEL, subject=channel.name, reason=reason)


def _written(span: timedelta) -> str:
    return format_seconds(int(span.total_seconds()))


# -- heartbeats ------------------------------------------------------------------------------------------------------


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The last minute whose starts a server has handled, and since when the oldest message waits that is due."""

    handled_at: datetime | None
    waits_since: datetime | None


def find_fault(health: Health, now: datetime, *, has_schedule: bool) -> str:
    """Return why a heartbeat reports a failure; empty if all is well."""
    if has_schedule and (health.handled_at is None or now - health.handled_at > lasting(_HANDLED_SECONDS)):
        since = "" if health.handled_at is None else f" since {health.handled_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return f"no server has started what is due by schedule{since}"
    if health.waits_since is not None and now - health.waits_since > lasting(_WAITS_SECONDS):
        return f"a message is due since {health.waits_since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return ""


def next_beat(channel: ChannelRow, now: datetime) -> datetime:
    """Return when the next heartbeat of a channel is due."""
    last, every = channel.last_alert_at, channel.every_seconds or 0
    return now if last is None else last + lasting(every)

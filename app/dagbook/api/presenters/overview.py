"""The overview of all DAGs: its range, failures by reason, and which runs take longer than is usual. Pure."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from statistics import median

import msgspec
from msgspec import UNSET, UnsetType

from dagbook.api.presenters.fields import or_unset, time_text
from dagbook.api.presenters.history import day_starts
from dagbook.api.presenters.runs import cause
from dagbook.api.schemas.overview import (
    DiskSpace,
    FailureGroup,
    LaterRun,
    MissedStart,
    OverviewBar,
    OverviewCount,
    OverviewRange,
    QueueOverview,
    SourceTrouble,
    UnusualRun,
)
from dagbook.api.schemas.runs import WaitingFor
from dagbook.db.repositories.runs.run_history import QUARTER_SECONDS, CountedRuns, RecentRun
from dagbook.db.repositories.runs.run_overview import FailureRow, LaterRuns, QueuedRuns, QueueWait
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.db.repositories.schedules import MISSED, MissedStarts
from dagbook.engine import rules
from dagbook.engine.admission import Pause, WaitCause
from dagbook.engine.status import RunStatus
from dagbook.sources.service import SourceStatus
from dagbook.telemetry.resources import Sample

MAX_SHOWN = 50  # rows of a list
_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)
_DAYS: dict[OverviewRange, int] = {"7d": 7, "30d": 30}
_DAY_HOURS = 24
_EVENING, _MORNING = time(18), time(8)  # between them is the night
_ID = "[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{2,})*"
_IDS, _NUMBERS = re.compile(_ID), re.compile(f"{_ID}|[0-9]+")  # what differs between two errors that are the same
_GOOD = frozenset({RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED})
_FEW = 3  # runs that are too few to tell what is usual
_LONG, _LATE = timedelta(hours=6), _HOUR  # where nothing is usual
_LONGER, _LATER = _MINUTE, 5 * _MINUTE  # than is usual, at least
_STUCK = frozenset({WaitCause.PAUSED.value, WaitCause.WORKER.value, WaitCause.OFF.value})
_LONGEST_PAUSE = timedelta(days=1)
_MAX_FORECAST = 30 * 86_400  # seconds


def range_starts(range_: OverviewRange, now: datetime, zone: tzinfo) -> list[datetime]:
    """Return the starts of the hours or days of a range, and the end of the last one."""
    if range_ in _DAYS:
        return day_starts(now, _DAYS[range_], zone)
    local = now.astimezone(zone)
    end = local.replace(minute=0, second=0, microsecond=0).astimezone(UTC) + _HOUR
    begin = end - _DAY_HOURS * _HOUR
    if range_ == "night":
        begin = datetime.combine(local.date() - timedelta(days=1), _EVENING, zone).astimezone(UTC)
        end = min(end, datetime.combine(local.date(), _MORNING, zone).astimezone(UTC))
    return [begin + number * _HOUR for number in range((end - begin) // _HOUR + 1)]


def bars(
    starts: Sequence[datetime], counted: Iterable[CountedRuns], waiting: Iterable[CountedRuns]
) -> list[OverviewBar]:
    """Add counts up to the hours or days between ``starts``; those of ``waiting`` are among the others."""
    begins = [int(start.timestamp()) for start in starts]
    counts: list[Counter[tuple[RunStatus, bool]]] = [Counter() for _ in begins]
    for rows, waits in ((counted, False), (waiting, True)):
        for quarter, status, runs in rows:
            bar = counts[bisect_right(begins, quarter * QUARTER_SECONDS) - 1]
            bar[RunStatus(status), waits] += runs
            if waits:
                bar[RunStatus(status), False] -= runs
    return [
        OverviewBar(
            from_date=begins[number],
            to_date=begins[number + 1],
            counts=[
                OverviewCount(
                    status=status, status_label=status.label, count=count, waiting_for_approval=or_unset(waits)
                )
                for (status, waits), count in sorted(counts[number].items())
                if count > 0
            ],
        )
        for number in range(len(begins) - 1)
    ]


def group_failures(rows: Iterable[FailureRow]) -> list[FailureRow]:
    """Merge failures of a DAG whose errors differ in numbers and ids only, newest first; the newest one's error."""
    groups: dict[str, FailureRow] = {}
    for row in sorted(rows, key=lambda one: one.newest, reverse=True):
        known = groups.setdefault(group_id(row), row)
        if known is not row:
            groups[group_id(row)] = msgspec.structs.replace(
                known, runs=known.runs + row.runs, first_at=min(known.first_at, row.first_at)
            )
    return list(groups.values())


def group_id(row: FailureRow) -> str:
    """Return an id that failures of a DAG have in common when their first and last lines are the same.

    The last line may differ in numbers and ids, the first one, such as *exit status 3*, in ids only.
    """
    first, *others = (row.error or "").strip().split("\n")
    last = _NUMBERS.sub("#", others[-1]) if others else ""
    key = msgspec.json.encode([row.dag_name, row.position, _IDS.sub("#", first), last])
    return hashlib.sha256(key).hexdigest()[:16]


def failure_group(
    row: FailureRow,
    later: LaterRuns,
    runs: Mapping[int, RunRow],
    node: str | None,
    zone: tzinfo,
    *,
    waiting: Collection[int],
) -> FailureGroup:
    """Convert a group; ``runs`` has the newest failed run and those of ``later``, ``node`` is the name of its node.

    ``waiting`` has the keys of those that wait for an approval.
    """
    failed, latest = runs[row.newest], runs[later.latest]
    good = None if later.good is None else runs[later.good]
    own = rules.own_error(RunStatus.FAILED, row.error or "", row.position, ())
    return FailureGroup(
        id=group_id(row),
        name=row.dag_name,
        reason=cause(or_unset(own), row.error, node) or (row.error or "failed").strip().split("\n")[0],
        count=row.runs,
        first_at=time_text(row.first_at, zone),
        last_at=_later_run(failed, zone).at,
        dag_run_id=failed.run_id,
        fixed=good is not None and good.created_at > failed.created_at,
        last_good=UNSET if good is None else _later_run(good, zone),
        latest=_later_run(latest, zone, waiting) if latest.created_at > failed.created_at else UNSET,
    )


def _later_run(run: RunRow, zone: tzinfo, waiting: Collection[int] = ()) -> LaterRun:
    return LaterRun(
        dag_run_id=run.run_id,
        status=run.status,
        status_label=run.status.label,
        waiting_for_approval=or_unset(run.id in waiting),
        at=time_text(run.finished_at or run.created_at, zone),
    )


def unusual_runs(
    active: Iterable[RunRow],
    recent: Mapping[str, Sequence[RecentRun]],
    waiting: Collection[int],
    now: datetime,
    zone: tzinfo,
) -> list[UnusualRun]:
    """Return the active runs that take twice as long as their DAG's ``recent`` ones, or are queued so much longer.

    Those that wait for a person are not among them.
    """
    found = []
    for run in active:
        if run.id in waiting:
            continue
        is_running = run.status is RunStatus.RUNNING
        since = (run.started_at if is_running else run.queued_at) or run.created_at
        usual = _usual(recent.get(run.dag_name, ()), running=is_running)
        unknown, more = (_LONG, _LONGER) if is_running else (_LATE, _LATER)
        if now - since > (unknown if usual is None else max(2 * usual, usual + more)):
            found.append(
                UnusualRun(
                    kind="long" if is_running else "late",
                    name=run.dag_name,
                    dag_run_id=run.run_id,
                    since=time_text(since, zone),
                    usual_seconds=UNSET if usual is None else round(usual.total_seconds(), 3),
                )
            )
    return found


def _usual(recent: Iterable[RecentRun], *, running: bool) -> timedelta | None:
    """Return the median duration of those that succeeded, or the median time until they started; None of few."""
    times = [
        (run.finished_at - run.started_at if running else run.started_at - run.created_at).total_seconds()
        for run in recent
        if run.status in _GOOD and run.started_at and run.finished_at
    ]
    return timedelta(seconds=median(times)) if len(times) >= _FEW else None


def queue_overviews(
    queued: Iterable[QueuedRuns],
    waits: Iterable[QueueWait],
    reasons: Mapping[str, WaitingFor],
    now: datetime,
    zone: tzinfo,
) -> list[QueueOverview]:
    """Convert the queues in which runs wait or have waited; ``reasons`` are those of the first runs in them."""
    waited: dict[str, list[int]] = {}
    for wait in waits:
        waited.setdefault(wait.queue, []).append(wait.waited)
    found = {name: QueueOverview(name=name, queued=0, started=0) for name in sorted(waited)}
    for name, runs, oldest in queued:
        one = found[name] = QueueOverview(name=name, queued=runs, oldest_at=time_text(oldest, zone), started=0)
        reason = reasons.get(name)
        if now - oldest > _LATE or (reason is not None and reason.reason in _STUCK):
            one.stuck, one.waiting_for = True, UNSET if reason is None else reason
    for name, times in waited.items():
        one = found[name]
        one.started = len(times)
        one.median_wait, one.longest_wait = median(times) / 1000, max(times) / 1000
    order = sorted(found.values(), key=lambda one: (not one.stuck, -one.queued, -(one.longest_wait or 0), one.name))
    return order[:MAX_SHOWN]


def long_pause(pause: Pause | None, now: datetime, zone: tzinfo) -> str | UnsetType:
    """Return since when everything is paused, if that is more than a day ago and has no end."""
    is_long = pause is not None and pause.until is None and now - pause.since > _LONGEST_PAUSE
    return time_text(pause.since, zone) if pause is not None and is_long else UNSET


def missed_starts(rows: Iterable[MissedStarts], zone: tzinfo) -> list[MissedStart]:
    return [
        MissedStart(
            file_name=row.file_name,
            dag_name=or_unset(row.dag_name),
            outcome="missed" if row.outcome == MISSED else "failed",
            starts=row.starts,
            last_at=time_text(row.last, zone),
        )
        for row in rows
    ]


def source_troubles(sources: Iterable[SourceStatus]) -> list[SourceTrouble]:
    """Return the sources that could not be synced or have files with problems."""
    return [
        SourceTrouble(name=row.name, broken=broken, problem=or_unset(row.problem))
        for row, broken in ((one.row, one.counts.broken) for one in sources)
        if row.problem or broken
    ]


def disk_space(samples: Sequence[Sample]) -> DiskSpace | UnsetType:
    """Return the free space, and when it ends if as much is written as since the first sample, an hour ago or more."""
    if not samples:
        return UNSET
    first, last = samples[0], samples[-1]
    taken, seconds = first.free_bytes - last.free_bytes, last.at - first.at
    left = last.free_bytes * seconds // taken if taken > 0 and seconds >= _HOUR.total_seconds() else _MAX_FORECAST
    return DiskSpace(
        free_bytes=last.free_bytes,
        used_percent=last.disk,
        full_in_seconds=left if left < _MAX_FORECAST else UNSET,
    )

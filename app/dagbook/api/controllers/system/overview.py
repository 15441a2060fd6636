"""The overview of all DAGs: what happened in a range, and what needs attention now. An extension of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from litestar import Controller
from litestar.di import NamedDependency
from msgspec import UNSET
from msgspec.structs import replace

from dagbook.accounts.rights import find_permitted
from dagbook.api.dependencies import CurrentCaller, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters import overview
from dagbook.api.presenters.queues import waiting_for
from dagbook.api.routes import get, permission
from dagbook.api.schemas.overview import FailureGroup, Overview, OverviewRange, QueueOverview, UnusualRun
from dagbook.api.services import OverviewServices
from dagbook.auth.roles import Requires
from dagbook.db.database import ReadConnection
from dagbook.db.repositories import approvals, queue, schedules
from dagbook.db.repositories import services as service_rows
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import Visibility
from dagbook.db.repositories.runs import run_history, run_overview
from dagbook.db.repositories.runs.run_overview import FailureRow, RunWindow
from dagbook.engine.status import RunStatus
from dagbook.queues.wait_reasons import head_reasons, queue_position, read_states
from dagbook.runs.store.queue_head import read_total_pause

Services = NamedDependency[OverviewServices]

_MAX_NAMES, _MAX_SLOTS, _MAX_REASONS, _RECENT = 100_000, 50_000, 10, 20
_MIN_AGE = timedelta(minutes=1)  # of an active run that may be late or take long


class OverviewController(Controller):
    path = "/overview"
    opt = permission(Requires.READ)
    dependencies = provide_services(OverviewServices)

    @get("", "getOverview", narrowed=True)
    async def get_overview(
        self,
        services: Services,
        caller: CurrentCaller,
        range: parameters.TimeRange = "24h",  # noqa: A002 - errors name the parameter so
        zone: parameters.Zone = None,
    ) -> Overview:
        """Return what happened to the runs of all DAGs in a range, and what needs attention now.

        These are the runs that were created in it, by hour, or in long ranges by day of a time zone, and by status; its
        failures by DAG and reason; runs that take longer than is usual; waits in queues; starts that were missed.
        """
        clock = parameters.read_zone(zone) if zone else services.zone
        starts = overview.range_starts(range, services.now(), clock)
        found = await services.database.read(_read, services, range, starts, caller.visibility)
        names = [group.name for group in found.failures]
        (permitted,) = await find_permitted(services.auth, caller, names, Requires.RUN)
        for group in found.failures:
            group.may_retry = group.name in permitted
        if not caller.visibility:
            found.disk = overview.disk_space(services.resources.since(0))
            found.sources = overview.source_troubles(await services.sources.find())
        return found


def _read(
    connection: ReadConnection,
    services: OverviewServices,
    time_range: OverviewRange,
    starts: Sequence[datetime],
    visibility: Visibility,
) -> Overview:
    names = dag_access.find_names(connection, visibility, _MAX_NAMES) if visibility else None
    window, now = RunWindow(since=starts[0], before=starts[-1], names=names), services.now()
    counted_from = run_overview.find_count_start(connection, window)
    counted = window if counted_from is None else replace(window, since=counted_from)
    rows = run_overview.find_failures(connection, window)
    failures = overview.group_failures(rows)
    is_complete = sum(row.runs for row in rows) < run_overview.MAX_FAILURES
    missed = schedules.find_missed(connection, window.since, window.before, visibility, _MAX_SLOTS)
    schedulers = service_rows.find(connection, service_rows.SCHEDULER, now)
    return Overview(
        range=time_range,
        unit="hour" if starts[1] - starts[0] == timedelta(hours=1) else "day",
        from_date=int(window.since.timestamp()),
        to_date=int(window.before.timestamp()),
        bars=overview.bars(
            starts, run_overview.count_by_quarter(connection, counted), run_overview.count_waiting(connection, counted)
        ),
        counted_from=UNSET if counted_from is None else int(counted_from.timestamp()),
        failures=_read_groups(connection, services, failures[: overview.MAX_SHOWN]),
        failure_groups=len(failures),
        failures_from=UNSET if is_complete else int(min(row.first_at for row in rows).timestamp()),
        unusual=_read_unusual(connection, services, names),
        queues=_read_queues(connection, services, window, visibility),
        missed=overview.missed_starts(missed[: overview.MAX_SHOWN], services.zone),
        has_scheduler=any(row.lease_until >= now for row in schedulers),
        paused_since=overview.long_pause(read_total_pause(connection), now, services.zone),
        dags=UNSET if visibility else run_history.count_dags(connection),
    )


def _read_groups(
    connection: ReadConnection, services: OverviewServices, failures: Sequence[FailureRow]
) -> list[FailureGroup]:
    later = run_overview.find_later(connection, [row.newest for row in failures])
    keys = {key for one in later.values() for key in (one.run, one.latest, one.good) if key is not None}
    runs = run_history.find_summaries(connection, keys)
    nodes = run_history.find_failing_nodes(connection, {row.newest: row.position for row in failures})
    waiting = approvals.find_waiting(connection, [key for key, run in runs.items() if run.status is RunStatus.RUNNING])
    return [
        overview.failure_group(row, later[row.newest], runs, nodes.get(row.newest), services.zone, waiting=waiting)
        for row in failures
    ]


def _read_unusual(
    connection: ReadConnection, services: OverviewServices, names: Sequence[str] | None
) -> list[UnusualRun]:
    now = services.now()
    active = run_overview.find_active(connection, now - _MIN_AGE, names)
    waiting = approvals.find_waiting(connection, [run.id for run in active])
    recent = run_history.find_recent(connection, sorted({run.dag_name for run in active}), _RECENT)
    return overview.unusual_runs(active, recent, waiting, now, services.zone)


def _read_queues(
    connection: ReadConnection, services: OverviewServices, window: RunWindow, visibility: Visibility
) -> list[QueueOverview]:
    queued = run_overview.find_queued(connection, window.names)
    names = [one.queue for one in queued[:_MAX_REASONS]]
    heads = [row for name in names for row in queue.find_next(connection, name, 1)]
    waits = head_reasons(services.queues, heads, read_states(connection, names, heads, visibility)) if heads else {}
    reasons = {
        row.queue: waiting_for(queue_position(row.id, row.priority, 1, waits[row.queue]), services.zone)
        for row in heads
    }
    return overview.queue_overviews(
        queued, run_overview.find_waits(connection, window), reasons, services.now(), services.zone
    )

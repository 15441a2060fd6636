"""Collection of the metric values; its cost does not grow with the number of runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

import msgspec

from dagbook.db.database import Database, ReadConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import services as service_rows
from dagbook.db.repositories.runs import run_history
from dagbook.engine.status import RunStatus
from dagbook.maintenance.audit.audit_copy import AuditCopy
from dagbook.maintenance.retention.retention import Retention
from dagbook.runs.queries import RunTotals
from dagbook.telemetry.metrics import MetricValues

_log = logging.getLogger(__name__)
T = TypeVar("T")
_LIMIT_SECONDS = 5.0


class MetricsServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services that the metric values are read from."""

    database: Database
    run_totals: RunTotals
    retention: Retention
    audit_copy: AuditCopy | None
    now: Callable[[], datetime]
    version: str
    started: float


async def collect(services: MetricsServices) -> MetricValues:
    """Read all metric values; one that fails or is not read within 5 s in all is None, and the others are kept."""
    deadline = asyncio.get_running_loop().time() + _LIMIT_SECONDS
    active = await _try(services.database.read_inline(run_history.count_active), deadline)
    finished = await _try(services.run_totals.read(), deadline)
    runs = None
    if active is not None and finished is not None:
        counted = {status: count for status, count in finished.items() if RunStatus(status).is_final} | active
        runs = {RunStatus(status).label: counted[status] for status in sorted(counted)}

    def count_schedulers(connection: ReadConnection) -> int:
        now = services.now()
        return sum(row.lease_until >= now for row in service_rows.find(connection, service_rows.SCHEDULER, now))

    return MetricValues(
        version=services.version,
        uptime_seconds=time.monotonic() - services.started,
        running=None if active is None else active.get(RunStatus.RUNNING, 0),
        queued=None if active is None else active.get(RunStatus.QUEUED, 0),
        runs=runs,
        dags=await _try(services.database.read_inline(run_history.count_dags), deadline),
        removed_runs=services.retention.total.runs,
        removed_log_bytes=services.retention.total.log_bytes,
        audit_copy_works=None if services.audit_copy is None else not services.audit_copy.problem,
        schedulers=await _try(services.database.read_inline(count_schedulers), deadline),
    )


async def _try(count: Awaitable[T], deadline: float) -> T | None:
    try:
        async with asyncio.timeout_at(deadline):
            return await count
    except (DatabaseUnavailable, TimeoutError) as error:
        _log.warning("a metric is left out: %s", error or "reading it took too long")
        return None

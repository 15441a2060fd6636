"""Collection of the metric values; its cost does not grow with the number of runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypeVar

from dagbook.api.services import AppServices
from dagbook.db.database import ReadConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import services
from dagbook.db.repositories.runs import run_history
from dagbook.engine.status import RunStatus
from dagbook.telemetry.metrics import MetricValues

_log = logging.getLogger(__name__)
T = TypeVar("T")
_LIMIT_SECONDS = 5.0


async def collect(parts: AppServices) -> MetricValues:
    """Read all metric values; one that fails or is not read within 5 s in all is None, and the others are kept."""
    deadline = asyncio.get_running_loop().time() + _LIMIT_SECONDS
    active = await _try(parts.database.read_inline(run_history.count_active), deadline)
    finished = await _try(parts.run_totals.read(), deadline)
    return MetricValues(
        version=parts.version,
        uptime_seconds=parts.uptime_seconds(),
        running=None if active is None else active.get(RunStatus.RUNNING, 0),
        queued=None if active is None else active.get(RunStatus.QUEUED, 0),
        runs=None if active is None or finished is None else _by_label(finished, active),
        dags=await _try(parts.database.read_inline(run_history.count_dags), deadline),
        removed_runs=parts.retention.total.runs,
        removed_log_bytes=parts.retention.total.log_bytes,
        schedulers=await _try(parts.database.read_inline(lambda connection: _schedulers(connection, parts)), deadline),
    )


def _by_label(finished: dict[int, int], active: dict[int, int]) -> dict[str, int]:
    counted = {status: count for status, count in finished.items() if RunStatus(status).is_final} | active
    return {RunStatus(status).label: counted[status] for status in sorted(counted)}


def _schedulers(connection: ReadConnection, parts: AppServices) -> int:
    now = parts.now()
    return sum(row.lease_until >= now for row in services.find(connection, services.SCHEDULER, now))


async def _try(count: Awaitable[T], deadline: float) -> T | None:
    try:
        async with asyncio.timeout_at(deadline):
            return await count
    except (DatabaseUnavailable, TimeoutError) as error:
        _log.warning("a metric is left out: %s", error or "reading it took too long")
        return None

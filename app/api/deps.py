"""What handlers are given."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, tzinfo

import msgspec

from app.api.feed import Feed
from app.api.log_search import LogSearch
from app.api.next_runs import NextStartCache
from app.api.totals import RunTotals
from app.db.database import Database
from app.definitions.revisions import Revisions
from app.definitions.search import Search
from app.definitions.service import Definitions
from app.definitions.settings import DagSettingsService
from app.definitions.timetable import Timetable
from app.engine.admission import QueueConfig
from app.people.auth_setup import AuthServices
from app.queue.dequeue import DequeueService
from app.queue.order import QueueService
from app.runs.launch import RunService
from app.runs.rerun import RerunService
from app.spec.definition_cache import DefinitionCache
from app.telemetry.metrics import MetricsPage
from app.telemetry.resources import ResourceSampler
from app.upkeep.audit_pruning import AuditPruning
from app.upkeep.doctor import Doctor
from app.upkeep.retention import Retention
from app.upkeep.retention_service import DagRetentionService


class DagOrder(msgspec.Struct, frozen=True):
    """How a list of DAGs is sorted."""

    by: str
    direction: str


class PageNumber(msgspec.Struct, frozen=True):
    """Which page is wanted, from 1, and how many rows are on one."""

    number: int
    size: int


class SubRunKey(msgspec.Struct, frozen=True):
    """Which sub-run is meant: DAG name and id of its root, and its own id."""

    name: str
    root: str
    sub_run: str


class AppServices(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the server that the API stands on."""

    database: Database
    library: DefinitionCache
    run_service: RunService
    reruns: RerunService
    definitions: Definitions
    revisions: Revisions
    search: Search
    dequeue_service: DequeueService
    audit_pruning: AuditPruning
    queue_service: QueueService
    queues: QueueConfig
    run_totals: RunTotals
    next_runs: NextStartCache
    timetable: Timetable
    dag_settings: DagSettingsService
    metrics_page: MetricsPage
    resources: ResourceSampler
    auth: AuthServices
    feed: Feed
    log_search: LogSearch
    doctor: Doctor
    retention: Retention
    dag_retention: DagRetentionService
    zone: tzinfo
    saves_without_if_match: bool
    now: Callable[[], datetime]
    version: str
    started: float = msgspec.field(default_factory=time.monotonic)

    def uptime_seconds(self) -> float:
        """Seconds since the server started."""
        return time.monotonic() - self.started

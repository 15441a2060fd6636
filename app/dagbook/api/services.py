"""Types of the handlers' dependencies."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from dagbook.accounts.auth_setup import AuthServices
from dagbook.api.live.feed import Feed
from dagbook.api.shares import Shares
from dagbook.db.database import Database
from dagbook.definitions.next_starts import NextStartCache
from dagbook.definitions.queries import Search
from dagbook.definitions.revisions import Revisions
from dagbook.definitions.service import DagSettingsService, Definitions
from dagbook.definitions.timetable import Timetable
from dagbook.engine.admission import QueueConfig
from dagbook.logs.search import LogSearch
from dagbook.maintenance.audit.audit_copy import AuditCopy
from dagbook.maintenance.audit.audit_pruning import AuditPruning
from dagbook.maintenance.doctor import Doctor
from dagbook.maintenance.retention.dag_retention import DagRetentionService
from dagbook.maintenance.retention.retention import Retention
from dagbook.queues.service import DequeueService, QueueService
from dagbook.runs.queries import RunTotals
from dagbook.runs.recovery.hold import Holding
from dagbook.runs.service.approvals import ApprovalService
from dagbook.runs.service.retry import RerunService
from dagbook.runs.service.run_service import RunService
from dagbook.sources.service import Sources
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.telemetry.metrics import MetricsPage
from dagbook.telemetry.resources import ResourceSampler


class DagOrder(msgspec.Struct, frozen=True):
    """Sort order of a list of DAGs."""

    by: str
    direction: str


class PageNumber(msgspec.Struct, frozen=True):
    """Page number, from 1, and rows per page."""

    number: int
    size: int


class SubRunKey(msgspec.Struct, frozen=True):
    """Key of a sub-run: DAG name and id of its root run, and its own id."""

    name: str
    root: str
    sub_run: str


class NoServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of handlers that need none."""


class RunReadServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services that reads of runs need; those of controllers with such reads inherit from them."""

    database: Database
    library: DefinitionCache
    queues: QueueConfig
    zone: ZoneInfo
    now: Callable[[], datetime]


class AppServices(msgspec.Struct, frozen=True, kw_only=True):
    """All services; a controller declares a struct of those that it uses, see ``providers.provide_services``."""

    database: Database
    library: DefinitionCache
    run_service: RunService
    reruns: RerunService
    approvals: ApprovalService
    definitions: Definitions
    revisions: Revisions
    search: Search
    dequeue_service: DequeueService
    audit_copy: AuditCopy | None
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
    feed_shares: Shares
    log_search: LogSearch
    search_shares: Shares
    text_shares: Shares
    holding: Holding
    snapshot: str  # name of the file that this server shows, which nothing changes; empty for a database
    doctor: Doctor
    retention: Retention
    dag_retention: DagRetentionService
    sources: Sources
    zone: ZoneInfo
    saves_without_if_match: bool
    now: Callable[[], datetime]
    version: str
    started: float = msgspec.field(default_factory=time.monotonic)

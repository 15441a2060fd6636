"""The services that controllers get, by package; what ``main`` assembles for the application."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from dagbook.accounts.auth_setup import AuthServices
from dagbook.alerts.channels import Channels
from dagbook.alerts.rules import Rules
from dagbook.alerts.service import AlertService
from dagbook.api.limits import RequestLimits
from dagbook.api.live.feed import Feed
from dagbook.batches.service import Batches
from dagbook.db.database import Database
from dagbook.db.single_flight import SingleFlight
from dagbook.definitions.revisions import Revisions
from dagbook.definitions.search import Search
from dagbook.definitions.service import Definitions
from dagbook.definitions.settings import DagSettingsService
from dagbook.definitions.timetable import Timetable
from dagbook.engine.admission import QueueConfig
from dagbook.logs.search import LogSearch
from dagbook.maintenance.audit.audit_copy import AuditCopy
from dagbook.maintenance.audit.audit_pruning import AuditPruning
from dagbook.maintenance.doctor import Doctor
from dagbook.maintenance.retention.dag_retention import DagRetentionService
from dagbook.maintenance.retention.retention import Retention
from dagbook.queues.pausing import Pausing
from dagbook.queues.service import DequeueService, QueueService
from dagbook.runs.queries import RunTotals
from dagbook.runs.recovery.hold import Holding
from dagbook.runs.secrets.rekey import Rekeying
from dagbook.runs.service.approvals import ApprovalService
from dagbook.runs.service.retry import RerunService
from dagbook.runs.service.run_service import RunService
from dagbook.sources.service import Sources
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.telemetry.metrics import MetricsPage
from dagbook.telemetry.resources import ResourceSampler
from dagbook.triggers.inbox import Inbox
from dagbook.triggers.intake import Intake
from dagbook.triggers.service import Triggers


class AccountServices(msgspec.Struct, frozen=True, kw_only=True):
    """What the controllers of people and logins need, and all others."""

    database: Database
    auth: AuthServices
    zone: ZoneInfo
    now: Callable[[], datetime]


class RunReadServices(AccountServices, frozen=True, kw_only=True):
    """What reads of runs need."""

    library: DefinitionCache
    queues: QueueConfig


class RunServices(RunReadServices, frozen=True, kw_only=True):
    """What the controllers of runs need."""

    limits: RequestLimits
    run_service: RunService
    reruns: RerunService
    approvals: ApprovalService
    log_search: LogSearch


class DagServices(RunServices, frozen=True, kw_only=True):
    """What the controllers of stored DAGs need; these also start and show runs."""

    definitions: Definitions
    revisions: Revisions
    search: Search
    timetable: Timetable
    dag_settings: DagSettingsService
    retention: Retention
    dag_retention: DagRetentionService
    sources: Sources
    saves_without_if_match: bool


class QueueServices(RunServices, frozen=True, kw_only=True):
    """What the controllers of queues need; these also enqueue and show runs."""

    dequeue_service: DequeueService
    queue_service: QueueService


class OverviewServices(RunReadServices, frozen=True, kw_only=True):
    """What the overview of all DAGs needs."""

    resources: ResourceSampler
    sources: Sources


class AlertServices(RunReadServices, frozen=True, kw_only=True):
    """What the controllers of alerts need."""

    channels: Channels
    rules: Rules
    alerts: AlertService
    read_base: Callable[[], str]  # the base configuration, which may send mails for a DAG


class TriggerServices(RunReadServices, frozen=True, kw_only=True):
    """What the controllers of triggers and of hooks need."""

    triggers: Triggers
    intake: Intake
    inbox: Inbox
    hooks: str  # the address of hooks, or their path


class BatchServices(AccountServices, frozen=True, kw_only=True):
    """What the controller of batches needs."""

    batches: Batches


class SystemServices(AccountServices, frozen=True, kw_only=True):
    """What the controllers of the server and its database need."""

    audit_copy: AuditCopy | None
    audit_pruning: AuditPruning
    run_totals: RunTotals
    metrics_page: MetricsPage
    resources: ResourceSampler
    limits: RequestLimits
    feed: Feed
    holding: Holding
    pausing: Pausing
    doctor: Doctor
    rekeying: Rekeying
    retention: Retention
    failing_channels: SingleFlight[list[str]]
    snapshot: str  # name of the file that this server shows, which nothing changes; empty for a database
    version: str
    started: float = msgspec.field(default_factory=time.monotonic)


class AppServices(msgspec.Struct, frozen=True, kw_only=True):
    """The services of an application, by the packages of its controllers."""

    accounts: AccountServices
    runs: RunServices
    dags: DagServices
    queues: QueueServices
    overview: OverviewServices
    alerts: AlertServices
    triggers: TriggerServices
    batches: BatchServices
    system: SystemServices

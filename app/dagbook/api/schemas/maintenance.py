"""Schemas of services and the load (tags system and monitoring), of doctor, retention and audit (extensions)."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Schema
from dagbook.api.schemas.people import Instant
from dagbook.api.schemas.runs import RunName
from dagbook.json_values import Json

InstanceStatus = Literal["active", "inactive", "unknown"]
WorkerHealth = Literal["healthy", "warning", "unhealthy"]


class DoctorFinding(Schema, kw_only=True):
    """An invariant, the number of rows that violate it, and the first of these."""

    name: str
    holds: str
    count: int
    rows: list[dict[str, str | int | float | bool]]


class TableStorage(Schema, kw_only=True):
    """A table with its number of rows, and its size in bytes with its indexes."""

    name: str
    rows: int
    bytes: int


class CopyOfUpgrade(Schema, kw_only=True):
    """A copy of the database from before an upgrade: its file, its revision, when it was made, and its bytes."""

    file: str
    revision: str
    made_at: str
    bytes: int


class DatabaseStorage(Schema, kw_only=True):
    """The size of the database in bytes, the bytes free for new rows, its tables, and copies from before upgrades."""

    bytes: int
    free_bytes: int | UnsetType = UNSET
    tables: list[TableStorage]
    upgrade_copies: list[CopyOfUpgrade] | UnsetType = UNSET


class KeyUse(Schema, kw_only=True):
    """A key of stored secrets by its fingerprint: values encrypted with it, and seals of the audit signed with it."""

    key: str
    values: int
    seals: int


class RekeyedSecrets(Schema, kw_only=True):
    """Values that were encrypted again, those that still have a previous key, and those of unknown keys by its name."""

    done: int
    left: int
    unknown: dict[str, int]


class DoctorReport(Schema, kw_only=True):
    """The doctor's report; ``damage`` is the result of the database's own check, if it was requested."""

    healthy: bool
    at: str
    findings: list[DoctorFinding]
    damage: list[str] | UnsetType = UNSET
    storage: DatabaseStorage
    keys: list[KeyUse]


class HeldDatabase(Schema, kw_only=True):
    """Whether the database is held, since when, by whose restore of which file, and what its end does.

    ``unfinishedRuns`` had not finished when the backup was taken and fail then; ``queuedRuns`` start then.
    """

    held: bool
    since: str | UnsetType = UNSET
    by: str | UnsetType = UNSET
    origin: str | UnsetType = UNSET
    unfinished_runs: int | UnsetType = UNSET
    queued_runs: int | UnsetType = UNSET


class ResumedDatabase(Schema, kw_only=True):
    """The runs that failed at the end of a hold, and those that start from their queues.

    Messages of alerts that waited were dropped, and open alerts closed: the original reports them. Events of triggers
    that waited in the backup are dead: the original may have started them.
    """

    failed_runs: int
    queued_runs: int
    dropped_deliveries: int = 0
    closed_alerts: int = 0
    dead_events: int = 0


class SetPause(Schema, kw_only=True):
    """Why everything is paused, and until when: RFC 3339, no end without it."""

    reason: str
    until: str | UnsetType | None = UNSET


class PauseStatus(Schema, kw_only=True):
    """Whether everything is paused, since when, by whom, why and until when.

    ``running`` and ``queued`` count root runs, ``skippedStarts`` those of schedules that nothing makes up for.
    """

    paused: bool
    since: str | UnsetType = UNSET
    by: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    until: str | UnsetType = UNSET
    running: int | UnsetType = UNSET
    queued: int | UnsetType = UNSET
    skipped_starts: int | UnsetType = UNSET


class EndedPause(Schema, kw_only=True):
    """The starts of schedules that a pause of everything has skipped, and that nothing makes up for.

    ``skipped`` has the number of each DAG by its file name; a batch from ``since`` to ``endedAt`` starts them.
    """

    skipped_starts: int
    skipped: dict[str, int]
    since: str
    ended_at: str


class RetentionLimits(Schema, kw_only=True):
    """Retention limits of a DAG's runs; -1 is no limit."""

    days: float
    runs: int
    log_bytes: int


class SetRetention(Schema, kw_only=True):
    """The retention set for a DAG, which replaces the previous one: -1 is no limit; an omitted field is not set."""

    days: int | None = None
    runs: int | None = None
    log_bytes: int | None = None


class DAGRetention(Schema, kw_only=True):
    """The retention set for a DAG, that of its definition, and the effective limits."""

    set: SetRetention
    set_at: str | UnsetType = UNSET
    set_by: str | UnsetType = UNSET
    hist_retention_days: int | UnsetType = UNSET
    effective: RetentionLimits


class GoingRuns(Schema, kw_only=True):
    """Runs of a DAG to delete: their number, also by reason, and the bytes of their logs."""

    name: str
    limits: RetentionLimits
    runs: int
    log_bytes: int
    reasons: dict[str, int]


class RetentionPreview(Schema, kw_only=True):
    """The runs that would be deleted now; ``more`` says that there are others."""

    runs: int
    log_bytes: int
    more: bool
    dags: list[GoingRuns]


class CleanUp(Schema, kw_only=True):
    """A request to delete runs of one DAG or of all by these limits; without any, by the effective ones."""

    dag_name: str | None = None
    older_than_seconds: int | None = None
    keep: int | None = None
    log_bytes: int | None = None
    dry_run: bool = False


class CleanedUp(Schema, kw_only=True):
    """The runs, with their sub-runs, that were deleted in some seconds, or would be, and whether there are more.

    ``kept`` are runs beyond the limits that are left out, because the next run of their DAG begins from their outputs.
    """

    runs: int
    log_bytes: int
    more: bool
    dags: list[GoingRuns] | UnsetType = UNSET
    kept: list[RunName] | UnsetType = UNSET


class AuditEntry(Schema, kw_only=True):
    """One audited action, carried out or refused; ``kind`` and ``object`` name its object."""

    id: int
    at: Instant
    via: str
    action: str
    kind: str
    object: str
    outcome: str
    actor: str | UnsetType = UNSET
    user_id: str | UnsetType = UNSET
    token_id: str | UnsetType = UNSET
    token_name: str | UnsetType = UNSET
    address: str | UnsetType = UNSET
    request_id: str | UnsetType = UNSET
    before: dict[str, Json] | UnsetType = UNSET
    after: dict[str, Json] | UnsetType = UNSET


class AuditSeal(Schema, kw_only=True):
    """The last seal; a copy of its number and hash kept elsewhere proves later that no earlier entry was changed."""

    number: int
    hash: str
    sealed_at: Instant


class AuditEntries(Schema, kw_only=True):
    """A page of entries, newest first; ``nextBefore`` is ``before`` of the next page, and absent on the last page."""

    entries: list[AuditEntry]
    sealed_up_to: int
    next_before: int | UnsetType = UNSET
    seal: AuditSeal | UnsetType = UNSET


class PruneAudit(Schema, kw_only=True):
    """A request to delete the entries that were sealed before a time; a dry run deletes nothing."""

    before: str
    dry_run: bool = True


class PrunedAudit(Schema, kw_only=True):
    """The number of entries that were deleted, or would be, and the id of the last one; 0 when there are none."""

    entries: int
    up_to: int
    dry_run: bool


class SchedulerInstance(Schema, kw_only=True):
    """A scheduler process."""

    instance_id: str
    host: str
    status: InstanceStatus
    started_at: str


class SchedulerStatusResponse(Schema, kw_only=True):
    """All schedulers."""

    schedulers: list[SchedulerInstance]


class CoordinatorInstance(SchedulerInstance, kw_only=True):
    """A process that dispatches runs to workers."""

    port: int


class CoordinatorStatusResponse(Schema, kw_only=True):
    """All coordinators."""

    coordinators: list[CoordinatorInstance]


class RunningTask(Schema, kw_only=True):
    """An active run of a worker."""

    dag_run_id: str
    dag_name: str
    started_at: str
    root_dag_run_name: str | UnsetType = UNSET
    root_dag_run_id: str | UnsetType = UNSET
    parent_dag_run_name: str | UnsetType = UNSET
    parent_dag_run_id: str | UnsetType = UNSET


class Worker(Schema, kw_only=True):
    """A worker process, which executes runs for the servers."""

    id: str
    labels: dict[str, str]
    total_pollers: int
    busy_pollers: int
    running_tasks: list[RunningTask]
    last_heartbeat_at: str
    health_status: WorkerHealth


class WorkersListResponse(Schema, kw_only=True):
    """All workers."""

    workers: list[Worker]
    errors: list[str]


class MetricPoint(Schema, kw_only=True):
    """A value at an instant, in Unix seconds."""

    timestamp: int
    value: float


class ServiceFigures(Schema, kw_only=True):
    """What the service does: root runs now and of the last hour, stored DAGs, and its database."""

    running: int
    queued: int
    oldest_queued_at: str | UnsetType = UNSET
    runs_of_last_hour: int
    failed_of_last_hour: int
    dags: int
    database: str
    database_bytes: int
    schema_revision: str


class ResourceHistory(Schema, kw_only=True):
    """The machine's load over time: percentages, and the load of the last minute."""

    cpu: list[MetricPoint] | UnsetType = UNSET
    memory: list[MetricPoint] | UnsetType = UNSET
    disk: list[MetricPoint] | UnsetType = UNSET
    load: list[MetricPoint] | UnsetType = UNSET

"""Schemas of the doctor and of retention, extensions of the contract."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Schema


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


class DatabaseStorage(Schema, kw_only=True):
    """The size of the database in bytes, the bytes free for new rows, and its tables."""

    bytes: int
    free_bytes: int | UnsetType = UNSET
    tables: list[TableStorage]


class DoctorReport(Schema, kw_only=True):
    """The doctor's report; ``damage`` is the result of the database's own check, if it was requested."""

    healthy: bool
    at: str
    findings: list[DoctorFinding]
    damage: list[str] | UnsetType = UNSET
    storage: DatabaseStorage


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
    """The runs, with their sub-runs, that were deleted in some seconds, or would be, and whether there are more."""

    runs: int
    log_bytes: int
    more: bool
    dags: list[GoingRuns] | UnsetType = UNSET

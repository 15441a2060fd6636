"""What the doctor has found. An extension of the contract."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Schema


class DoctorFinding(Schema, kw_only=True):
    """Something that must hold, in how many rows it does not, and the first of these."""

    name: str
    holds: str
    count: int
    rows: list[dict[str, str | int | float | bool]]


class TableStorage(Schema, kw_only=True):
    """A table: its rows, and the bytes that it takes with its indexes."""

    name: str
    rows: int
    bytes: int


class DatabaseStorage(Schema, kw_only=True):
    """The bytes of the whole database, those of them that are free for new rows, and its tables."""

    bytes: int
    free_bytes: int | UnsetType = UNSET
    tables: list[TableStorage]


class DoctorReport(Schema, kw_only=True):
    """What the doctor has seen; ``damage`` is what the database says of itself, if it was asked."""

    healthy: bool
    at: str
    findings: list[DoctorFinding]
    damage: list[str] | UnsetType = UNSET
    storage: DatabaseStorage


class RetentionLimits(Schema, kw_only=True):
    """How much is kept of the runs of a DAG; -1 is no limit."""

    days: float
    runs: int
    log_bytes: int


class SetRetention(Schema, kw_only=True):
    """What is set for a DAG, in place of what was: -1 is no limit; what is left out is not set."""

    days: int | None = None
    runs: int | None = None
    log_bytes: int | None = None


class DAGRetention(Schema, kw_only=True):
    """What is set for the runs of a DAG, what its text says, and what counts in the end."""

    set: SetRetention
    set_at: str | UnsetType = UNSET
    set_by: str | UnsetType = UNSET
    hist_retention_days: int | UnsetType = UNSET
    effective: RetentionLimits


class GoingRuns(Schema, kw_only=True):
    """Runs of a DAG that go, how many for which reason, and the bytes of their logs."""

    name: str
    limits: RetentionLimits
    runs: int
    log_bytes: int
    reasons: dict[str, int]


class RetentionPreview(Schema, kw_only=True):
    """What would go now; ``more`` when that is not all."""

    runs: int
    log_bytes: int
    more: bool
    dags: list[GoingRuns]


class CleanUp(Schema, kw_only=True):
    """What is to be removed: of one DAG or of all, by these limits; without any by those that count anyway."""

    dag_name: str | None = None
    older_than_seconds: int | None = None
    keep: int | None = None
    log_bytes: int | None = None
    dry_run: bool = False


class CleanedUp(Schema, kw_only=True):
    """What went in some seconds of work (runs with those they called), or would go, and whether there is more."""

    runs: int
    log_bytes: int
    more: bool
    dags: list[GoingRuns] | UnsetType = UNSET

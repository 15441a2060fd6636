"""What the doctor has found. An extension of the contract."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from app.api.schemas.common import Schema


class DoctorFinding(Schema, kw_only=True):
    """Something that must hold, in how many rows it does not, and the first of these."""

    name: str
    holds: str
    count: int
    rows: list[dict[str, str | int | float | bool | None]]


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

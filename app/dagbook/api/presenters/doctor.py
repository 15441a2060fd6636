"""Response structs of the doctor's report. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo

import msgspec
from msgspec import UNSET

from dagbook.api.presenters.fields import time_text
from dagbook.api.schemas.maintenance import (
    CopyOfUpgrade,
    DatabaseStorage,
    DoctorFinding,
    DoctorReport,
    KeyUse,
    TableStorage,
)
from dagbook.db.sqlite.upgrade_copies import UpgradeCopy
from dagbook.db.storage import Storage
from dagbook.maintenance.doctor import Report


def doctor_report(report: Report, zone: tzinfo = UTC) -> DoctorReport:
    """Convert the doctor's report."""
    return DoctorReport(
        healthy=report.is_healthy,
        at=time_text(report.at, zone),
        findings=msgspec.convert(report.findings, list[DoctorFinding], from_attributes=True),
        damage=UNSET if report.damage is None else list(report.damage),
        storage=_storage(report.storage, zone),
        keys=msgspec.convert(report.keys, list[KeyUse], from_attributes=True),
    )


def upgrade_copies(copies: Sequence[UpgradeCopy], zone: tzinfo) -> list[CopyOfUpgrade]:
    """Convert the copies from before upgrades."""
    return [
        CopyOfUpgrade(
            file=str(copy.file), revision=copy.revision, made_at=time_text(copy.made_at, zone), bytes=copy.size
        )
        for copy in copies
    ]


def _storage(storage: Storage, zone: tzinfo) -> DatabaseStorage:
    return DatabaseStorage(
        bytes=storage.size,
        free_bytes=UNSET if storage.free is None else storage.free,
        tables=[TableStorage(name=use.name, rows=use.rows, bytes=use.size) for use in storage.tables],
        upgrade_copies=upgrade_copies(storage.copies, zone) or UNSET,
    )

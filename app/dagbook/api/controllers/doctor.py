"""Consistency check of the database, for admins. An extension of the contract."""

from __future__ import annotations

from datetime import UTC, tzinfo

from litestar import get
from litestar.di import NamedDependency
from msgspec import UNSET

from dagbook.api.openapi_responses import errors
from dagbook.api.params import parameters
from dagbook.api.presenters.present import time_text
from dagbook.api.schemas.maintenance import DatabaseStorage, DoctorFinding, DoctorReport, TableStorage
from dagbook.api.services import AppServices
from dagbook.auth.roles import Requires
from dagbook.db.storage import Storage
from dagbook.maintenance.doctor.doctor import Examination, Report


@get("/doctor", operation_id="examineDatabase", requires=Requires.UPKEEP, responses=errors())
async def examine(parts: NamedDependency[AppServices], integrity: parameters.Integrity = False) -> DoctorReport:
    """Check all invariants of the stored data; with ``integrity`` the database also checks its own files."""
    return doctor_report(await parts.doctor.examine(Examination(damage=integrity)), parts.zone)


def doctor_report(report: Report, zone: tzinfo = UTC) -> DoctorReport:
    """Convert the doctor's report."""
    found = [
        DoctorFinding(name=finding.name, holds=finding.holds, count=finding.count, rows=list(finding.rows))
        for finding in report.findings
    ]
    return DoctorReport(
        healthy=report.is_healthy,
        at=time_text(report.at, zone),
        findings=found,
        damage=UNSET if report.damage is None else list(report.damage),
        storage=_storage(report.storage),
    )


def _storage(storage: Storage) -> DatabaseStorage:
    return DatabaseStorage(
        bytes=storage.size,
        free_bytes=UNSET if storage.free is None else storage.free,
        tables=[TableStorage(name=use.name, rows=use.rows, bytes=use.size) for use in storage.tables],
    )


HANDLERS = [examine]

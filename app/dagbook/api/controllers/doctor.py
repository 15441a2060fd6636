"""Consistency check of the database, for admins. An extension of the contract."""

from __future__ import annotations

from litestar import Controller, get
from litestar.di import NamedDependency

from dagbook.api.openapi_responses import errors
from dagbook.api.params import parameters
from dagbook.api.presenters.doctor import doctor_report
from dagbook.api.schemas.maintenance import DoctorReport
from dagbook.api.services import AppServices
from dagbook.auth.roles import Requires
from dagbook.maintenance.doctor.doctor import Examination


class DoctorController(Controller):
    path = "/doctor"

    @get(operation_id="examineDatabase", requires=Requires.UPKEEP, responses=errors())
    async def examine(
        self, parts: NamedDependency[AppServices], integrity: parameters.Integrity = False
    ) -> DoctorReport:
        """Check all invariants of the stored data; with ``integrity`` the database also checks its own files."""
        return doctor_report(await parts.doctor.examine(Examination(damage=integrity)), parts.zone)

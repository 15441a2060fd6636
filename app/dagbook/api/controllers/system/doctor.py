"""The consistency check of the database (extension of the contract)."""

from __future__ import annotations

from litestar import Controller
from litestar.di import NamedDependency

from dagbook.api.dependencies import provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.doctor import doctor_report
from dagbook.api.routes import get, permission
from dagbook.api.schemas.maintenance import DoctorReport
from dagbook.api.services import SystemServices
from dagbook.auth.roles import Requires
from dagbook.maintenance.doctor import Examination


class DoctorController(Controller):
    path = "/doctor"
    opt = permission(Requires.UPKEEP)
    dependencies = provide_services(SystemServices)

    @get("", "examineDatabase")
    async def examine(
        self, services: NamedDependency[SystemServices], integrity: parameters.Integrity = False
    ) -> DoctorReport:
        """Check all invariants of the stored data; with ``integrity`` the database also checks its own files."""
        return doctor_report(await services.doctor.examine(Examination(damage=integrity)), services.zone)

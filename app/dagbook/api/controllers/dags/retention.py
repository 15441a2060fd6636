"""Retention of runs: limits per DAG, preview and cleanup. An extension of the contract."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET, UnsetType

from dagbook.api.dependencies import CurrentCaller, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.fields import or_unset, time_text
from dagbook.api.routes import get, permission, post, put
from dagbook.api.schemas.maintenance import (
    CleanedUp,
    CleanUp,
    DAGRetention,
    GoingRuns,
    RetentionLimits,
    RetentionPreview,
    SetRetention,
)
from dagbook.api.schemas.runs import RunName
from dagbook.api.services import DagServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.db.repositories import retention
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.retention import LimitsRow
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.definitions.queries import require_dag
from dagbook.errors import BadRequestError
from dagbook.identifiers import check_dag_name
from dagbook.maintenance.retention.limits import DAY_SECONDS, NO_LIMIT, Limits, RetentionSettings
from dagbook.maintenance.retention.retention import CleanupRequest, PlannedDeletion, Preview

Services = NamedDependency[DagServices]

_PATH = "/dags/{fileName:str}/retention"


def _cleanup_request(data: CleanUp) -> CleanupRequest:
    if data.dag_name is not None:
        check_dag_name(data.dag_name, "dagName")
    given = {"olderThanSeconds": data.older_than_seconds, "keep": data.keep, "logBytes": data.log_bytes}
    for field, value in given.items():
        if value is not None and not 0 <= value <= 2**50:
            raise BadRequestError(f"{field}: {value} does not fit; write a whole number from 0 on")
    if all(value is None for value in given.values()):
        return CleanupRequest(name=data.dag_name)
    limits = Limits(seconds=data.older_than_seconds, runs=data.keep, log_bytes=data.log_bytes, newest=True)
    return CleanupRequest(name=data.dag_name, limits=limits)


def _retention(services: DagServices, dag: DagRow, row: LimitsRow | None) -> DAGRetention:
    settings = RetentionSettings() if row is None else RetentionSettings.of(row)
    written, effective = services.retention.policies.effective(dag.spec, settings)
    return DAGRetention(
        set=msgspec.convert(settings, SetRetention, from_attributes=True),
        set_at=UNSET if row is None else time_text(row.set_at, services.zone),
        set_by=UNSET if row is None else or_unset(row.set_by),
        hist_retention_days=UNSET if written is None else written,
        effective=_limits(effective.limits),
    )


def _limits(limits: Limits) -> RetentionLimits:
    return RetentionLimits(
        days=NO_LIMIT if limits.seconds is None else limits.seconds / DAY_SECONDS,
        runs=NO_LIMIT if limits.runs is None else limits.runs,
        log_bytes=NO_LIMIT if limits.log_bytes is None else limits.log_bytes,
    )


def _sum(found: Preview) -> tuple[int, int]:
    return sum(deletion.runs for deletion in found.planned), sum(deletion.log_bytes for deletion in found.planned)


def _planned(found: Preview) -> list[GoingRuns]:
    return [_planned_runs(deletion) for deletion in found.planned]


def _planned_runs(deletion: PlannedDeletion) -> GoingRuns:
    return GoingRuns(
        name=deletion.policy.name,
        limits=_limits(deletion.policy.limits),
        runs=deletion.runs,
        log_bytes=deletion.log_bytes,
        reasons={str(reason): count for reason, count in sorted(deletion.reasons.items())},
    )


def _kept(left_out: Sequence[RunRow]) -> list[RunName] | UnsetType:
    return or_unset([RunName(name=run.dag_name, dag_run_id=run.run_id) for run in left_out])


class RetentionController(Controller):
    opt = permission(Requires.READ)
    dependencies = provide_services(DagServices)

    @get(_PATH, "getDAGRetention", 404)
    async def get_retention(self, file_name: parameters.FileName, services: Services) -> DAGRetention:
        """Return the retention of a DAG's runs."""
        dag = await require_dag(services.database, file_name)
        found = await services.database.read_inline(lambda connection: retention.get_limits(connection, dag.id))
        return _retention(services, dag, found)

    @put(_PATH, "setDAGRetention", Requires.WRITE, Action.DAG_RETENTION, 404)
    async def put_retention(
        self, file_name: parameters.FileName, data: JSONBody[SetRetention], services: Services, caller: CurrentCaller
    ) -> DAGRetention:
        """Set the retention of a DAG's runs, which takes precedence over its definition and the server's settings."""
        dag = await require_dag(services.database, file_name)
        settings = RetentionSettings(days=data.days, runs=data.runs, log_bytes=data.log_bytes)
        return _retention(services, dag, await services.dag_retention.put(dag.file_name, settings, caller.actor))

    @get("/retention/preview", "previewRetention", 404, narrowed=True)
    async def preview(
        self, services: Services, caller: CurrentCaller, dag_name: parameters.ByDagName = None
    ) -> RetentionPreview:
        """Return which runs would be deleted now, of one DAG or of all; callers with grants name one."""
        if dag_name:
            check_dag_name(dag_name, "dagName")
        if caller.visibility:
            await services.auth.access.require_name(dag_name or "", "dagName", caller)
        found = await services.retention.preview(CleanupRequest(name=dag_name or None))
        runs, log_bytes = _sum(found)
        return RetentionPreview(runs=runs, log_bytes=log_bytes, more=found.more, dags=_planned(found))

    @post("/retention/cleanup", "cleanUp", Requires.UPKEEP, Action.RUN_CLEANUP)
    async def clean_up(self, data: JSONBody[CleanUp], services: Services, caller: CurrentCaller) -> CleanedUp:
        """Delete runs for some seconds and return how many; repeat the request while ``more`` is true."""
        request = _cleanup_request(data)
        if data.dry_run:
            found = await services.retention.preview(request)
            runs, log_bytes = _sum(found)
            kept = _kept(found.left_out)
            return CleanedUp(runs=runs, log_bytes=log_bytes, more=found.more, dags=_planned(found), kept=kept)
        cleaned = await services.retention.clean(request, caller.actor)
        runs, log_bytes = cleaned.deleted.runs, cleaned.deleted.log_bytes
        return CleanedUp(runs=runs, log_bytes=log_bytes, more=cleaned.more, kept=_kept(cleaned.left_out))

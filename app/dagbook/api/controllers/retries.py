"""Retries and reschedules of finished runs, and manual step statuses (tag dag-runs)."""

from __future__ import annotations

import msgspec
from litestar import Controller, Response, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.accounts.auth_setup import AuthServices
from dagbook.api.errors import empty_or_errors, errors
from dagbook.api.params import parameters
from dagbook.api.providers import provide_services
from dagbook.api.run_reads import check_settable, no_content
from dagbook.api.schemas.runs import Reschedule, RescheduledRun, Retry, StepStatus
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.roles import Requires
from dagbook.db.database import Database
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten
from dagbook.runs.model import StartOptions
from dagbook.runs.queries import require_run
from dagbook.runs.service.retry import RerunService
from dagbook.runs.service.run_service import RunService


class RetryServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of retries and reschedules."""

    database: Database
    auth: AuthServices
    run_service: RunService
    reruns: RerunService


class RetriesController(Controller):
    path = "/dag-runs/{name:str}/{dagRunId:str}"
    dependencies = provide_services(RetryServices)

    @post(
        "/retry",
        operation_id="retryDAGRun",
        requires=Requires.RUN,
        audits=Action.RUN_RETRY,
        status_code=200,
        responses=empty_or_errors(404, 409),
    )
    async def retry_run(
        self,
        name: parameters.DagName,
        dag_run_id: parameters.DagRunId,
        data: JSONBody[Retry],
        services: NamedDependency[RetryServices],
        caller: NamedDependency[Caller],
    ) -> Response[None]:
        """Retry a finished run: its failed steps and all that depend on them, or one step only."""
        run = await services.database.read_inline(lambda connection: require_run(connection, name, dag_run_id))
        if data.dag_run_id != dag_run_id:
            raise BadRequestError(
                f"dagRunId: {shorten(data.dag_run_id)} is not the run of the path, {shorten(dag_run_id)}"
            )
        await services.reruns.retry(run, data.step_name or None, caller.actor)
        return no_content()

    @post(
        "/reschedule",
        operation_id="rescheduleDAGRun",
        requires=Requires.RUN,
        audits=Action.RUN_RESCHEDULE,
        status_code=200,
        responses=errors(404, 409),
    )
    async def reschedule_run(
        self,
        name: parameters.DagName,
        dag_run_id: parameters.DagRunId,
        services: NamedDependency[RetryServices],
        caller: NamedDependency[Caller],
        data: JSONBody[Reschedule | None] = None,
    ) -> RescheduledRun:
        """Start a new run with the definition, params and environment of another run."""
        run = await services.database.read_inline(lambda connection: require_run(connection, name, dag_run_id))
        options = data or Reschedule()
        start = StartOptions(
            run_id=options.dag_run_id or "",
            dag_name=options.dag_name or "",
            trigger="reschedule",
            actor=caller.actor,
            edits=caller.may_write,
        )
        await services.auth.access.check_run_name(start.dag_name, caller)
        run_id, queued = await (services.run_service.restart if options.restart else services.run_service.reschedule)(
            run, start
        )
        return RescheduledRun(dag_run_id=run_id, queued=queued)

    @patch(
        "/steps/{stepName:str}/status",
        operation_id="updateDAGRunStepStatus",
        requires=Requires.RUN,
        audits=Action.RUN_STEP_STATUS,
        responses=empty_or_errors(404),
    )
    async def set_step_status(
        self,
        name: parameters.DagName,
        dag_run_id: parameters.DagRunId,
        step_name: NamedDependency[str],
        data: JSONBody[StepStatus],
        services: NamedDependency[RetryServices],
        caller: NamedDependency[Caller],
    ) -> Response[None]:
        """Set the status of a step manually; a retry respects it."""
        check_settable(data.status)
        run = await services.database.read_inline(lambda connection: require_run(connection, name, dag_run_id))
        await services.reruns.set_step_status(run, step_name, data.status, caller.actor)
        return no_content()

"""Operations on sub-runs of every depth, addressed through their root run (tag dag-runs; api-behaviour 3.8)."""

from __future__ import annotations

from litestar import Controller, Response, get, patch
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.response import Stream

from dagbook.api.errors import empty_or_errors, errors
from dagbook.api.params import parameters
from dagbook.api.params.log_paging import PageRequest
from dagbook.api.presenters.present import sub_runs
from dagbook.api.providers import provide_services
from dagbook.api.requests import TEXT_FILE, file_name, send_log
from dagbook.api.run_reads import check_settable, no_content, present_details, read_outputs, read_run_log, read_step_log
from dagbook.api.schemas.runs import DAGRunAnswer, Log, RunOutputs, StepStatus, SubDAGRuns
from dagbook.api.services import RunReadServices, SubRunKey
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.roles import Requires
from dagbook.db.database import ReadConnection
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import NamedSubRunRow
from dagbook.runs.queries import FindRun, find_below, find_run, find_step_log, find_sub_run, read_newest, require_run
from dagbook.runs.service.retry import RerunService


class SubRunServices(RunReadServices, frozen=True, kw_only=True):
    """Services of sub-runs."""

    reruns: RerunService


async def _sub_run(services: SubRunServices, key: SubRunKey, find: FindRun = find_run) -> NamedSubRunRow:
    return await services.database.read_inline(
        lambda connection: find_sub_run(connection, key.name, key.root, key.sub_run, find)
    )


class SubRunsController(Controller):
    path = "/dag-runs/{name:str}/{dagRunId:str}/sub-dag-runs"
    dependencies = provide_services(SubRunServices)

    @get(operation_id="getSubDAGRuns", requires=Requires.READ, responses=errors(404))
    async def list_sub_runs(
        self,
        name: parameters.DagName,
        dag_run_id: parameters.DagRunId,
        services: NamedDependency[SubRunServices],
        parent_sub_run_id: parameters.ParentSubRunId = None,
    ) -> SubDAGRuns:
        """List the sub-runs that the steps of a run called, or with ``parentSubDAGRunId`` those of a sub-run."""

        def read(connection: ReadConnection) -> SubDAGRuns:
            run = find_run(connection, name, dag_run_id)
            if parent_sub_run_id:
                run = find_below(connection, run, parent_sub_run_id)
            nodes = runs.get_nodes(connection, run.id, run.attempt)
            return SubDAGRuns(sub_runs=sub_runs(nodes, runs.find_called(connection, run.id), services.zone))

        return await services.database.read(read)

    @get("/{subDAGRunId:str}", operation_id="getSubDAGRunDetails", requires=Requires.READ, responses=errors(404))
    async def get_sub_run(
        self,
        sub_run_key: NamedDependency[SubRunKey],
        services: NamedDependency[SubRunServices],
        caller: NamedDependency[Caller],
    ) -> DAGRunAnswer:
        """Return a sub-run with its nodes."""
        found = await _sub_run(services, sub_run_key)
        now = services.now()
        newest = await services.database.read_inline(
            lambda connection: read_newest(services.library, connection, found, now)
        )
        return DAGRunAnswer(dag_run_details=await present_details(services, newest, caller.sight))

    @get("/{subDAGRunId:str}/log", operation_id="getSubDAGRunLog", requires=Requires.READ, responses=errors(404))
    async def get_sub_run_log(
        self,
        sub_run_key: NamedDependency[SubRunKey],
        services: NamedDependency[SubRunServices],
        page_request: NamedDependency[PageRequest],
    ) -> Log:
        """Return a page of a sub-run's own log."""
        run = await _sub_run(services, sub_run_key)
        return await read_run_log(services, run, page_request)

    @get(
        "/{subDAGRunId:str}/outputs",
        operation_id="getSubDAGRunOutputs",
        requires=Requires.READ,
        responses=errors(404),
    )
    async def get_outputs(
        self, sub_run_key: NamedDependency[SubRunKey], services: NamedDependency[SubRunServices]
    ) -> RunOutputs:
        """Return the collected outputs of a finished sub-run."""
        return await read_outputs(services, await _sub_run(services, sub_run_key))

    @get(
        "/{subDAGRunId:str}/steps/{stepName:str}/log",
        operation_id="getSubDAGRunStepLog",
        requires=Requires.READ,
        responses=errors(404),
    )
    async def get_sub_run_step_log(
        self,
        sub_run_key: NamedDependency[SubRunKey],
        step_name: NamedDependency[str],
        services: NamedDependency[SubRunServices],
        page_request: NamedDependency[PageRequest],
        stream: parameters.Stream = "stdout",
    ) -> Log:
        """Return a page of the output of a step or handler of a sub-run."""
        run = await _sub_run(services, sub_run_key)
        return await read_step_log(services, run, step_name, stream, page_request)

    @get(
        "/{subDAGRunId:str}/steps/{stepName:str}/log/download",
        operation_id="downloadSubDAGRunStepLog",
        requires=Requires.READ,
        responses={200: TEXT_FILE, **errors(404)},
    )
    async def download_sub_run_step_log(
        self,
        sub_run_key: NamedDependency[SubRunKey],
        step_name: NamedDependency[str],
        services: NamedDependency[SubRunServices],
        stream: parameters.Stream = "stdout",
    ) -> Stream:
        """Download the output of a step or handler of a sub-run so far as a text file."""
        key = await find_step_log(
            services.database, services.library, await _sub_run(services, sub_run_key), step_name, stream
        )
        return send_log(services.database, key, file_name(step_name, stream))

    @patch(
        "/{subDAGRunId:str}/steps/{stepName:str}/status",
        operation_id="updateSubDAGRunStepStatus",
        requires=Requires.RUN,
        audits=Action.RUN_STEP_STATUS,
        responses=empty_or_errors(404),
    )
    async def set_sub_run_step_status(
        self,
        sub_run_key: NamedDependency[SubRunKey],
        step_name: NamedDependency[str],
        data: JSONBody[StepStatus],
        services: NamedDependency[SubRunServices],
        caller: NamedDependency[Caller],
    ) -> Response[None]:
        """Set the status of a sub-run's step by hand; its root and its caller stay as they are."""
        check_settable(data.status)
        run = await _sub_run(services, sub_run_key, require_run)
        await services.reruns.set_step_status(run, step_name, data.status, caller.actor)
        return no_content()

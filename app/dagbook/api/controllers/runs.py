"""Operations on runs and their logs (tag dag-runs)."""

from __future__ import annotations

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.response import Stream
from msgspec.structs import replace

from dagbook.api.errors import empty_or_errors, errors
from dagbook.api.params import parameters
from dagbook.api.params.log_paging import PageRequest
from dagbook.api.params.run_filters import REPEATED, RunSearch
from dagbook.api.providers import provide_services
from dagbook.api.requests import TEXT_FILE, file_name, send_log
from dagbook.api.run_reads import (
    list_named,
    list_runs_matching,
    no_content,
    read_details,
    read_outputs,
    read_run_log,
    read_step_log,
)
from dagbook.api.schemas.runs import DAGRunAnswer, DAGRuns, Log, RunOutputs, StartedRun, StartInline
from dagbook.api.services import RunReadServices
from dagbook.api.shares import Shares, hold_for_text
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.roles import Requires
from dagbook.engine.admission import Admission
from dagbook.errors import NotFoundError
from dagbook.identifiers import shorten
from dagbook.runs.model import StartOptions
from dagbook.runs.output.output_follower import STDERR, STDOUT
from dagbook.runs.queries import find_run, find_step_log
from dagbook.runs.service.run_service import RunService
from dagbook.spec.params.given import GivenParams

_STREAMS = {"stdout": STDOUT, "stderr": STDERR}


class RunServices(RunReadServices, frozen=True, kw_only=True):
    """Services of runs."""

    run_service: RunService
    text_shares: Shares


class RunsController(Controller):
    path = "/dag-runs"
    dependencies = provide_services(RunServices)

    @post(
        operation_id="executeDAGRunFromSpec",
        requires=Requires.RUN_TEXT,
        audits=Action.RUN_START,
        status_code=200,
        responses=errors(409),
    )
    async def start_text(
        self, data: JSONBody[StartInline], services: NamedDependency[RunServices], caller: NamedDependency[Caller]
    ) -> StartedRun:
        """Start a run of a definition that is not stored as a DAG."""
        start = StartOptions(
            params=GivenParams(data.params or ""),
            run_id=data.dag_run_id or "",
            admission=Admission.SINGLETON if data.singleton else Admission.START,
            source_directory=data.source_directory or None,
            actor=caller.actor,
        )
        with hold_for_text(services.text_shares, caller, data.spec):
            run_id = await services.run_service.start_text(data.spec, (data.name or "").strip(), start)
        return StartedRun(dag_run_id=run_id)

    @get(operation_id="listDAGRuns", requires=Requires.READ, narrowed=True, repeated=REPEATED, responses=errors())
    async def list_runs(
        self,
        services: NamedDependency[RunServices],
        run_search: NamedDependency[RunSearch],
        name: parameters.Text = None,
    ) -> DAGRuns:
        """List runs, newest first, at most 1000; without dates those created since 00:00 UTC today.

        Without ``subRuns`` these are root runs. ``nextCursor`` of the response, sent as ``cursor``, continues the
        list. A page with ``nextCursor`` may have fewer runs than ``limit``, or none, when finding more would take too
        long.
        """
        return await list_runs_matching(services, run_search, replace(run_search.filter, name_part=name or None))

    @get(
        "/{name:str}",
        operation_id="listDAGRunsByName",
        requires=Requires.READ,
        repeated=REPEATED,
        responses=errors(),
    )
    async def list_runs_of_name(
        self,
        name: parameters.AnyDagName,
        services: NamedDependency[RunServices],
        run_search: NamedDependency[RunSearch],
    ) -> DAGRuns:
        """List the runs of one DAG name, also of a deleted DAG, as listDAGRuns does."""
        return await list_named(services, name, run_search)

    @get(
        "/{name:str}/{dagRunId:str}",
        operation_id="getDAGRunDetails",
        requires=Requires.READ,
        responses=errors(404),
    )
    async def get_run(
        self,
        name: parameters.DagName,
        dag_run_id: parameters.DagRunId,
        services: NamedDependency[RunServices],
        caller: NamedDependency[Caller],
    ) -> DAGRunAnswer:
        """Return a run with its nodes; ``latest`` is the newest one."""
        return DAGRunAnswer(dag_run_details=await read_details(services, name, dag_run_id, caller.sight))

    @post(
        "/{name:str}/{dagRunId:str}/stop",
        operation_id="terminateDAGRun",
        requires=Requires.RUN,
        audits=Action.RUN_STOP,
        status_code=200,
        responses=empty_or_errors(404),
    )
    async def stop_run(
        self,
        name: parameters.DagName,
        dag_run_id: parameters.DagRunId,
        services: NamedDependency[RunServices],
        caller: NamedDependency[Caller],
    ) -> Response[None]:
        """Request a run to stop; it finishes later."""
        if "\0" in name + dag_run_id:
            raise NotFoundError(f"there is no run {shorten(dag_run_id)} of DAG {shorten(name)}")
        await services.run_service.stop(name, dag_run_id, caller.actor)
        return no_content()

    @get(
        "/{name:str}/{dagRunId:str}/log",
        operation_id="getDAGRunLog",
        requires=Requires.READ,
        responses=errors(404),
    )
    async def get_run_log(
        self,
        name: parameters.DagName,
        dag_run_id: parameters.DagRunId,
        services: NamedDependency[RunServices],
        page_request: NamedDependency[PageRequest],
    ) -> Log:
        """Return a page of the run's own log, which lists its events over all attempts."""
        run = await services.database.read_inline(lambda connection: find_run(connection, name, dag_run_id))
        return await read_run_log(services, run, page_request)

    @get(
        "/{name:str}/{dagRunId:str}/outputs",
        operation_id="getDAGRunOutputs",
        requires=Requires.READ,
        responses=errors(404),
    )
    async def get_outputs(
        self,
        name: parameters.DagName,
        dag_run_id: parameters.DagRunId,
        services: NamedDependency[RunServices],
    ) -> RunOutputs:
        """Return the collected outputs of a finished run."""
        run = await services.database.read_inline(lambda connection: find_run(connection, name, dag_run_id))
        return await read_outputs(services, run)

    @get(
        "/{name:str}/{dagRunId:str}/steps/{stepName:str}/log",
        operation_id="getDAGRunStepLog",
        requires=Requires.READ,
        responses=errors(404),
    )
    async def get_step_log(
        self,
        name: parameters.DagName,
        dag_run_id: parameters.DagRunId,
        step_name: NamedDependency[str],
        services: NamedDependency[RunServices],
        page_request: NamedDependency[PageRequest],
        stream: parameters.Stream = "stdout",
    ) -> Log:
        """Return a page of the output of a step or handler, also while it is running."""
        run = await services.database.read_inline(lambda connection: find_run(connection, name, dag_run_id))
        return await read_step_log(services, run, step_name, stream, page_request)

    @get(
        "/{name:str}/{dagRunId:str}/steps/{stepName:str}/log/download",
        operation_id="downloadDAGRunStepLog",
        requires=Requires.READ,
        responses={200: TEXT_FILE, **errors(404)},
    )
    async def download_step_log(
        self,
        name: parameters.DagName,
        dag_run_id: parameters.DagRunId,
        step_name: NamedDependency[str],
        services: NamedDependency[RunServices],
        stream: parameters.Stream = "stdout",
    ) -> Stream:
        """Download the output of a step or handler so far as a text file."""
        run = await services.database.read_inline(lambda connection: find_run(connection, name, dag_run_id))
        key = await find_step_log(services.database, services.library, run, step_name, stream)
        return send_log(services.database, key, file_name(step_name, stream))

"""Starts and lists of runs, and operations on root runs alone (tag dag-runs)."""

from __future__ import annotations

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec.structs import replace

from dagbook.accounts.rights import read_despite_pause
from dagbook.api.dependencies import CurrentCaller, RequestedRun, provide_caller_of_run, provide_run, provide_services
from dagbook.api.params import parameters
from dagbook.api.params.run_filters import REPEATED, RunSearch
from dagbook.api.presenters.runs import sub_runs
from dagbook.api.routes import RUN, get, permission, post
from dagbook.api.run_reads import list_named, list_runs_matching
from dagbook.api.schemas.runs import (
    DAGRuns,
    Reschedule,
    RescheduledRun,
    Retry,
    StartedRun,
    StartInline,
    SubDAGRuns,
)
from dagbook.api.services import RunServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.db.database import ReadConnection
from dagbook.db.repositories import approvals
from dagbook.db.repositories.runs import runs
from dagbook.engine.admission import Admission
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError, NotFoundError
from dagbook.identifiers import shorten
from dagbook.runs.model import StartOptions
from dagbook.runs.queries import find_below
from dagbook.spec.params.param_text import GivenParams

Services = NamedDependency[RunServices]


class RunsController(Controller):
    path = "/dag-runs"
    opt = permission(Requires.READ)
    dependencies = provide_services(RunServices)

    @post("", "executeDAGRunFromSpec", Requires.RUN_TEXT, Action.RUN_START, 409)
    async def start_text(
        self,
        data: JSONBody[StartInline],
        services: Services,
        caller: CurrentCaller,
        traceparent: parameters.TraceParent = None,
    ) -> StartedRun:
        """Start a run of a definition that is not stored as a DAG."""
        start = StartOptions(
            params=GivenParams(data.params or ""),
            run_id=data.dag_run_id or "",
            admission=Admission.SINGLETON if data.singleton else Admission.START,
            despite_pause=read_despite_pause(services.auth, caller, data.despite_pause),
            source_directory=data.source_directory or None,
            actor=caller.actor,
            traceparent=traceparent or "",
        )
        with services.limits.read_text(caller, data.spec):
            run_id = await services.run_service.start_text(data.spec, (data.name or "").strip(), start)
        return StartedRun(dag_run_id=run_id)

    @get("", "listDAGRuns", narrowed=True, repeated=REPEATED)
    async def list_runs(
        self,
        services: Services,
        caller: CurrentCaller,
        run_search: NamedDependency[RunSearch],
        name: parameters.Text = None,
    ) -> DAGRuns:
        """List runs, newest first, at most 1000; without dates those created since 00:00 UTC today.

        Without ``subRuns`` these are root runs. ``nextCursor`` of the response, sent as ``cursor``, continues the
        list. A page with ``nextCursor`` may have fewer runs than ``limit``, or none, when finding more would take too
        long.
        """
        wanted = replace(run_search.filter, name_part=name or None)
        return await list_runs_matching(services, run_search, wanted, caller)

    @get("/{name:str}", "listDAGRunsByName", repeated=REPEATED)
    async def list_runs_of_name(
        self,
        name: parameters.AnyDagName,
        services: Services,
        caller: CurrentCaller,
        run_search: NamedDependency[RunSearch],
    ) -> DAGRuns:
        """List the runs of one DAG name, also of a deleted DAG, as listDAGRuns does."""
        return await list_named(services, name, run_search, caller)


class RootRunController(Controller):
    path = RUN
    opt = permission(Requires.READ)
    dependencies = provide_services(RunServices, run=provide_run, caller=provide_caller_of_run)

    @post("/stop", "terminateDAGRun", Requires.RUN, Action.RUN_STOP, 404, empty=True)
    async def stop_run(self, run: RequestedRun, services: Services, caller: CurrentCaller) -> None:
        """Request a run to stop; it finishes later."""
        if "\0" in run.name + run.root:
            raise NotFoundError(f"there is no run {shorten(run.root)} of DAG {shorten(run.name)}")
        await services.run_service.stop(run.name, run.root, caller.actor)

    @post("/retry", "retryDAGRun", Requires.RUN, Action.RUN_RETRY, 404, 409, empty=True)
    async def retry_run(
        self, run: RequestedRun, data: JSONBody[Retry], services: Services, caller: CurrentCaller
    ) -> None:
        """Retry a finished run: its failed steps and all that depend on them, or one step only."""
        row = await services.database.read_inline(run.require)
        if data.dag_run_id != run.root:
            raise BadRequestError(
                f"dagRunId: {shorten(data.dag_run_id)} is not the run of the path, {shorten(run.root)}"
            )
        await services.reruns.retry(row, data.step_name or None, caller.actor)

    @post("/reschedule", "rescheduleDAGRun", Requires.RUN, Action.RUN_RESCHEDULE, 404, 409)
    async def reschedule_run(
        self,
        run: RequestedRun,
        services: Services,
        caller: CurrentCaller,
        data: JSONBody[Reschedule | None] = None,
        traceparent: parameters.TraceParent = None,
    ) -> RescheduledRun:
        """Start a new run with the definition, params and environment of another run."""
        row = await services.database.read_inline(run.require)
        options = data or Reschedule()
        start = StartOptions(
            run_id=options.dag_run_id or "",
            dag_name=options.dag_name or "",
            trigger="reschedule",
            actor=caller.actor,
            traceparent=traceparent or "",
            edits=caller.may_write,
        )
        await services.auth.access.check_run_name(start.dag_name, caller)
        begin = services.run_service.restart if options.restart else services.run_service.reschedule
        run_id, queued = await begin(row, start)
        return RescheduledRun(dag_run_id=run_id, queued=queued)

    @get("/sub-dag-runs", "getSubDAGRuns", 404)
    async def list_sub_runs(
        self, run: RequestedRun, services: Services, parent_sub_run_id: parameters.ParentSubRunId = None
    ) -> SubDAGRuns:
        """List the sub-runs that the steps of a run called, or with ``parentSubDAGRunId`` those of a sub-run."""

        def read(connection: ReadConnection) -> SubDAGRuns:
            row = run.find(connection)
            if parent_sub_run_id:
                row = find_below(connection, row, parent_sub_run_id)
            nodes = runs.get_nodes(connection, row.id, row.attempt)
            called = runs.find_called(connection, row.id)
            running = [each.id for each in called.values() if each.status is RunStatus.RUNNING]
            waiting = approvals.find_waiting(connection, running)
            return SubDAGRuns(sub_runs=sub_runs(nodes, called, services.zone, waiting))

        return await services.database.read(read)

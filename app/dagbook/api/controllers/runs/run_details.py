"""A run or sub-run with its nodes, its outputs and events, and the status of a step set by hand (tag dag-runs)."""

from __future__ import annotations

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.api.dependencies import CurrentCaller, RequestedRun
from dagbook.api.params import parameters
from dagbook.api.presenters.outputs import run_outputs
from dagbook.api.presenters.run_events import run_event
from dagbook.api.routes import get, patch, permission
from dagbook.api.run_reads import read_details
from dagbook.api.schemas.run_logs import RunEvents
from dagbook.api.schemas.runs import DAGRunAnswer, RunOutputs, StepStatus
from dagbook.api.services import RunServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.db.database import ReadConnection
from dagbook.db.repositories.runs import run_history, runs
from dagbook.engine.status import NodeStatus
from dagbook.errors import BadRequestError
from dagbook.runs.queries import dag_of
from dagbook.spec.params import param_text

Services = NamedDependency[RunServices]
_SETTABLE = ", ".join(f"{int(status)} ({status.label})" for status in NodeStatus if status is not NodeStatus.RUNNING)


class RunDetails(Controller):
    """Operations on runs and sub-runs, see ``for_sub_runs_too``."""

    opt = permission(Requires.READ)

    @get("", "getDAGRunDetails", 404, sub_run="Return a sub-run with its nodes.")
    async def get_run(self, run: RequestedRun, services: Services, caller: CurrentCaller) -> DAGRunAnswer:
        """Return a run with its nodes; ``latest`` is the newest one."""
        return DAGRunAnswer(dag_run_details=await read_details(services, run.find, caller))

    @get("/outputs", "getDAGRunOutputs", 404, sub_run="Return the collected outputs of a finished sub-run.")
    async def get_outputs(self, run: RequestedRun, services: Services) -> RunOutputs:
        """Return the collected outputs of a finished run."""

        def read(connection: ReadConnection) -> RunOutputs:
            row = run.find(connection)
            nodes = runs.get_nodes(connection, row.id, row.attempt)
            params = param_text.describe(runs.get_params(connection, row.id))
            return run_outputs(row, params, nodes, dag_of(connection, services.library, row), services.zone)

        return await services.database.read_inline(read)

    @get("/events", "listDAGRunEvents", 404, sub_run="List the events of a sub-run, as listDAGRunEvents does.")
    async def list_events(
        self,
        run: RequestedRun,
        services: Services,
        after: parameters.AfterNumber = 0,
        limit: parameters.PageLimit = 100,
    ) -> RunEvents:
        """List the events of a run and its steps over all attempts, in order, after the event ``after``."""

        def read(connection: ReadConnection) -> RunEvents:
            key = run.find(connection).id
            rows = runs.get_events(connection, key, after, limit + 1)
            page = rows[:limit]
            names = run_history.find_node_names(connection, key, {row.attempt for row in page}) if page else {}
            found = RunEvents(events=[run_event(row, names, services.zone) for row in page])
            if len(rows) > limit:
                found.next = page[-1].seq
            return found

        return await services.database.read(read)

    @patch(
        "/steps/{stepName:str}/status",
        "updateDAGRunStepStatus",
        Requires.RUN,
        Action.RUN_STEP_STATUS,
        404,
        empty=True,
        sub_run="Set the status of a sub-run's step by hand; its root and its caller stay as they are.",
    )
    async def set_step_status(
        self,
        run: RequestedRun,
        step_name: parameters.StepName,
        data: JSONBody[StepStatus],
        services: Services,
        caller: CurrentCaller,
    ) -> None:
        """Set the status of a step manually; a retry respects it."""
        if data.status is NodeStatus.RUNNING:
            raise BadRequestError(f"status: a step cannot be set to running; use one of {_SETTABLE}")
        row = await services.database.read_inline(run.require)
        await services.reruns.set_step_status(row, step_name.strip(), data.status, caller.actor)

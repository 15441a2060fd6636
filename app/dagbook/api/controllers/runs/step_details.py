"""One step of a run in detail, the summaries of a run, and the last good run (extensions of the contract)."""

from __future__ import annotations

import asyncio

from litestar import Controller
from litestar.di import NamedDependency

from dagbook.api.dependencies import CurrentCaller, RequestedRun
from dagbook.api.params import parameters
from dagbook.api.presenters.step_details import MOST_EVENTS, FoundStep, good_run, run_summaries, step_details
from dagbook.api.routes import get, permission
from dagbook.api.schemas.step_details import LastGoodRun, RunSummaries, StepDetails
from dagbook.api.services import RunServices
from dagbook.auth.audit_context import Caller
from dagbook.auth.roles import Requires, Role, Scope
from dagbook.db.database import ReadConnection
from dagbook.db.repositories.runs import run_history, runs
from dagbook.db.repositories.runs import step_details as details
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.db.repositories.runs.step_details import Summaries
from dagbook.runs.queries import dag_of
from dagbook.runs.service.retry import unknown_step

Services = NamedDependency[RunServices]


class StepDetailsOperations(Controller):
    """Operations on runs and sub-runs, see ``for_sub_runs_too``."""

    opt = permission(Requires.READ)

    @get(
        "/steps/{stepName:str}",
        "getDAGRunStepDetails",
        404,
        sub_run="Return one step or handler of a sub-run in detail, as getDAGRunStepDetails does.",
    )
    async def get_step(
        self, run: RequestedRun, step_name: parameters.StepName, services: Services, caller: CurrentCaller
    ) -> StepDetails:
        """Return one step or handler of a run in detail: how it was carried out, its variables, outputs and tries.

        The values of ``env`` are for managers of the DAG alone.
        """

        def read(connection: ReadConnection) -> FoundStep:
            row, name = run.find(connection), step_name.strip()
            node = None if "\0" in name else details.find_node(connection, row.id, row.attempt, name)
            if node is None:
                raise unknown_step(row, name)
            return FoundStep(
                run=row,
                dag=dag_of(connection, services.library, row),
                node=node,
                params=runs.get_params(connection, row.id),
                environment=details.get_environment(connection, row.id),
                events=details.find_events(connection, node, MOST_EVENTS),
                summary=details.get_summary(connection, node),
            )

        found = await services.database.read(read)
        is_manager = await _is_manager(services, caller, found.run)
        return await asyncio.to_thread(step_details, found, services.zone, is_manager=is_manager)

    @get("/summary", "getDAGRunSummary", 404, sub_run="Return the summaries that steps of a sub-run wrote.")
    async def get_summary(self, run: RequestedRun, services: Services) -> RunSummaries:
        """Return the summaries that steps of a run wrote, as Markdown and as HTML."""

        def read(connection: ReadConnection) -> Summaries:
            row = run.find(connection)
            return details.find_summaries(connection, row.id, row.attempt)

        return await asyncio.to_thread(run_summaries, await services.database.read(read))

    @get("/last-good", "getDAGRunLastGood", 404, sub_run="Return an empty object: sub-runs are not compared.")
    async def get_last_good(self, run: RequestedRun, services: Services) -> LastGoodRun:
        """Return the newest run of the same DAG before this one that succeeded, also partially."""

        def read(connection: ReadConnection) -> LastGoodRun:
            row = run.find(connection)
            good = None if row.root_id is not None else run_history.find_last_good(connection, row)
            if good is None:
                return LastGoodRun()
            same = runs.get_params(connection, row.id) == runs.get_params(connection, good.id)
            return LastGoodRun(run=good_run(good, services.zone, same_params=same))

        return await services.database.read(read)


async def _is_manager(services: RunServices, caller: Caller, run: RunRow) -> bool:
    """Whether a caller may see what only managers of a DAG see.

    The guard has determined the role for the DAG of the root; a sub-run may be one of another stored DAG.
    """
    if caller.scopes is not None and Scope.WRITE not in caller.scopes:
        return False
    role = caller.role
    if caller.visibility and run.root_id is not None and run.file_name is not None:
        role = await services.auth.access.role_for_name(run.dag_name, caller) or Role.VIEWER
    return role in (None, Role.MANAGER, Role.ADMIN)

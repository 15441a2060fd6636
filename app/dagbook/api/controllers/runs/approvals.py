"""Approvals: the inbox, and the decisions of people (extensions of the contract, tag dag-runs)."""

from __future__ import annotations

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.api.dependencies import CurrentCaller, RequestedRun, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.approvals import approval_item
from dagbook.api.routes import get, permission, post
from dagbook.api.schemas.runs import Approvals, Approve, Approved, Reject, Rejected
from dagbook.api.services import RunServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.db.repositories import approvals

Services = NamedDependency[RunServices]
_MOST = 1000


class InboxController(Controller):
    path = "/approvals"
    opt = permission(Requires.READ)
    dependencies = provide_services(RunServices)

    @get("", "listApprovals", narrowed=True)
    async def list_approvals(self, services: Services, caller: CurrentCaller) -> Approvals:
        """List the approvals that runs wait for, the oldest first."""
        rows = await services.database.read(
            lambda connection: approvals.find_open(connection, caller.visibility, _MOST + 1)
        )
        items = [approval_item(row, services.zone) for row in rows[:_MOST]]
        return Approvals(approvals=items, has_more=len(rows) > _MOST)


class Decisions(Controller):
    """Operations on runs and sub-runs, see ``for_sub_runs_too``."""

    path = "/steps/{stepName:str}"

    @post(
        "/approve",
        "approveDAGRunStep",
        Requires.RUN,
        Action.RUN_APPROVE,
        404,
        sub_run="Approve what a step of a sub-run asks.",
    )
    async def approve(
        self,
        run: RequestedRun,
        step_name: parameters.StepName,
        services: Services,
        caller: CurrentCaller,
        data: JSONBody[Approve | None] = None,
    ) -> Approved:
        """Approve what a step asks, with the values that it requires; the run goes on."""
        row = await services.database.read_inline(run.require)
        step, inputs = step_name.strip(), (data and data.inputs) or {}
        resumed = await services.approvals.approve(row, step, inputs, caller.actor)
        return Approved(dag_run_id=row.run_id, step_name=step, resumed=resumed)

    @post(
        "/reject",
        "rejectDAGRunStep",
        Requires.RUN,
        Action.RUN_REJECT,
        404,
        sub_run="Reject what a step of a sub-run asks.",
    )
    async def reject(
        self,
        run: RequestedRun,
        step_name: parameters.StepName,
        services: Services,
        caller: CurrentCaller,
        data: JSONBody[Reject | None] = None,
    ) -> Rejected:
        """Reject what a step asks; the step fails."""
        row = await services.database.read_inline(run.require)
        step = step_name.strip()
        await services.approvals.reject(row, step, (data and data.reason) or "", caller.actor)
        return Rejected(dag_run_id=row.run_id, step_name=step)

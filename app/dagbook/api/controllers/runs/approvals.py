"""Approvals: the inbox, and the decisions of people (extensions of the contract, tag dag-runs)."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.accounts.rights import find_permitted
from dagbook.api.dependencies import CurrentCaller, RequestedPage, RequestedRun, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.approvals import approval_item, decided_item
from dagbook.api.routes import get, permission, post
from dagbook.api.schemas.runs import (
    ApprovalCount,
    Approvals,
    Approve,
    Approved,
    DecidedApprovals,
    Reject,
    Rejected,
)
from dagbook.api.services import RunServices
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.roles import Requires
from dagbook.db.repositories import approvals
from dagbook.db.repositories.accounts import groups
from dagbook.db.repositories.approvals import OpenApproval
from dagbook.runs.open_approvals import read_questions

Services = NamedDependency[RunServices]
_MOST = 1000


class InboxController(Controller):
    path = "/approvals"
    opt = permission(Requires.READ)
    dependencies = provide_services(RunServices)

    @get("", "listApprovals", narrowed=True)
    async def list_approvals(self, services: Services, caller: CurrentCaller) -> Approvals:
        """List the approvals that runs wait for, the oldest first."""
        found = await services.database.read(
            lambda connection: read_questions(connection, services.library, caller.visibility, _MOST + 1)
        )
        shown = found[:_MOST]
        decidable = await _may_decide(services, caller, [each.approval for each in shown])
        items = [approval_item(each, services.zone, may_decide=may) for each, may in zip(shown, decidable, strict=True)]
        return Approvals(approvals=items, has_more=len(found) > _MOST)

    @get("/count", "countApprovals", narrowed=True)
    async def count_approvals(self, services: Services, caller: CurrentCaller) -> ApprovalCount:
        """Count the approvals that runs wait for, and those of them that the caller may decide."""
        rows = await services.database.read(
            lambda connection: approvals.find_open(connection, caller.visibility, _MOST)
        )
        return ApprovalCount(open=len(rows), may_decide=sum(await _may_decide(services, caller, rows)))

    @get("/decided", "listDecidedApprovals", narrowed=True)
    async def list_decided(
        self, services: Services, caller: CurrentCaller, page_number: RequestedPage
    ) -> DecidedApprovals:
        """List the decisions about approvals, the newest first."""
        size = page_number.size
        rows = await services.database.read(
            lambda connection: approvals.find_history(connection, caller.visibility, page_number.offset, size + 1)
        )
        return DecidedApprovals(
            approvals=[decided_item(row, services.zone) for row in rows[:size]], has_more=len(rows) > size
        )


async def _may_decide(services: RunServices, caller: Caller, rows: Sequence[OpenApproval]) -> list[bool]:
    """Check for each whether the caller may decide it."""
    names = [row.root_name or row.dag_name for row in rows]
    (permitted,) = await find_permitted(services.auth, caller, names, Requires.RUN)
    memberships: Sequence[str] = ()
    if any(row.request.approvers for row in rows):
        memberships = await services.database.read_inline(groups.find_names, caller.user_id or "")
    return [
        name in permitted and row.request.allows(caller.name, memberships)
        for row, name in zip(rows, names, strict=True)
    ]


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

"""Approvals: the inbox, and the decisions of people (extensions of the contract, tag dag-runs)."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.api.errors import errors
from dagbook.api.params import parameters
from dagbook.api.presenters.approvals import approval_item
from dagbook.api.providers import provide_services
from dagbook.api.schemas.runs import Approvals, Approve, Approved, Reject, Rejected
from dagbook.api.services import SubRunKey
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.roles import Requires
from dagbook.db.database import Database
from dagbook.db.repositories import approvals
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.runs.queries import find_sub_run, require_run
from dagbook.runs.service.approvals import ApprovalService

_MOST = 1000


class ApprovalServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of approvals."""

    database: Database
    approvals: ApprovalService
    zone: ZoneInfo


async def _approve(
    services: ApprovalServices, run: RunRow, step: str, data: Approve | None, caller: Caller
) -> Approved:
    inputs = (data and data.inputs) or {}
    resumed = await services.approvals.approve(run, step, inputs, caller.actor)
    return Approved(dag_run_id=run.run_id, step_name=step, resumed=resumed)


async def _reject(services: ApprovalServices, run: RunRow, step: str, data: Reject | None, caller: Caller) -> Rejected:
    await services.approvals.reject(run, step, (data and data.reason) or "", caller.actor)
    return Rejected(dag_run_id=run.run_id, step_name=step)


class InboxController(Controller):
    path = "/approvals"
    dependencies = provide_services(ApprovalServices)

    @get(operation_id="listApprovals", requires=Requires.READ, narrowed=True, responses=errors())
    async def list_approvals(
        self, services: NamedDependency[ApprovalServices], caller: NamedDependency[Caller]
    ) -> Approvals:
        """List the approvals that runs wait for, the oldest first."""
        rows = await services.database.read(lambda connection: approvals.find_open(connection, caller.sight, _MOST + 1))
        items = [approval_item(row, services.zone) for row in rows[:_MOST]]
        return Approvals(approvals=items, has_more=len(rows) > _MOST)


class ApprovalsController(Controller):
    path = "/dag-runs/{name:str}/{dagRunId:str}"
    dependencies = provide_services(ApprovalServices)

    @post(
        "/steps/{stepName:str}/approve",
        operation_id="approveDAGRunStep",
        requires=Requires.RUN,
        audits=Action.RUN_APPROVE,
        status_code=200,
        responses=errors(404),
    )
    async def approve(
        self,
        name: parameters.DagName,
        dag_run_id: parameters.DagRunId,
        step_name: NamedDependency[str],
        services: NamedDependency[ApprovalServices],
        caller: NamedDependency[Caller],
        data: JSONBody[Approve | None] = None,
    ) -> Approved:
        """Approve what a step asks, with the values that it requires; the run goes on."""
        run = await services.database.read_inline(lambda connection: require_run(connection, name, dag_run_id))
        return await _approve(services, run, step_name, data, caller)

    @post(
        "/steps/{stepName:str}/reject",
        operation_id="rejectDAGRunStep",
        requires=Requires.RUN,
        audits=Action.RUN_REJECT,
        status_code=200,
        responses=errors(404),
    )
    async def reject(
        self,
        name: parameters.DagName,
        dag_run_id: parameters.DagRunId,
        step_name: NamedDependency[str],
        services: NamedDependency[ApprovalServices],
        caller: NamedDependency[Caller],
        data: JSONBody[Reject | None] = None,
    ) -> Rejected:
        """Reject what a step asks; the step fails."""
        run = await services.database.read_inline(lambda connection: require_run(connection, name, dag_run_id))
        return await _reject(services, run, step_name, data, caller)

    @post(
        "/sub-dag-runs/{subDAGRunId:str}/steps/{stepName:str}/approve",
        operation_id="approveSubDAGRunStep",
        requires=Requires.RUN,
        audits=Action.RUN_APPROVE,
        status_code=200,
        responses=errors(404),
    )
    async def approve_in_sub_run(
        self,
        sub_run_key: NamedDependency[SubRunKey],
        step_name: NamedDependency[str],
        services: NamedDependency[ApprovalServices],
        caller: NamedDependency[Caller],
        data: JSONBody[Approve | None] = None,
    ) -> Approved:
        """Approve what a step of a sub-run asks."""
        return await _approve(services, await _sub_run(services, sub_run_key), step_name, data, caller)

    @post(
        "/sub-dag-runs/{subDAGRunId:str}/steps/{stepName:str}/reject",
        operation_id="rejectSubDAGRunStep",
        requires=Requires.RUN,
        audits=Action.RUN_REJECT,
        status_code=200,
        responses=errors(404),
    )
    async def reject_in_sub_run(
        self,
        sub_run_key: NamedDependency[SubRunKey],
        step_name: NamedDependency[str],
        services: NamedDependency[ApprovalServices],
        caller: NamedDependency[Caller],
        data: JSONBody[Reject | None] = None,
    ) -> Rejected:
        """Reject what a step of a sub-run asks."""
        return await _reject(services, await _sub_run(services, sub_run_key), step_name, data, caller)


async def _sub_run(services: ApprovalServices, key: SubRunKey) -> RunRow:
    return await services.database.read_inline(
        lambda connection: find_sub_run(connection, key.name, key.root, key.sub_run, require_run)
    )

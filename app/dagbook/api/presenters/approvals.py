"""Approvals as the API shows them (DAG format 1.30, 7.3). Pure."""

from __future__ import annotations

from datetime import datetime, tzinfo

import msgspec
from msgspec import UNSET
from msgspec.structs import asdict

from dagbook.api.presenters.fields import TimeFormatter, formatter_for, or_unset
from dagbook.api.schemas.runs import ApprovalItem, DecidedApproval, Node, StepBefore, WaitingForApproval
from dagbook.api.schemas.step_details import StepApproval
from dagbook.db.repositories import approvals
from dagbook.db.repositories.approvals import Asked
from dagbook.engine.status import NodeStatus
from dagbook.runs.open_approvals import Question

WAITS = "waits for approval"


class _Decision(msgspec.Struct, frozen=True):
    """What was decided, when and by whom."""

    approved: bool
    by: str
    at: datetime
    inputs: dict[str, str] = {}
    reason: str = ""


class _Approval(Asked, frozen=True, kw_only=True):
    """What the row of a node has: what it asks, since when, and the decision."""

    since: datetime | None = None
    decision: _Decision | None = None


def _waiting(asked: Asked, since: datetime | None, times: TimeFormatter) -> WaitingForApproval:
    return WaitingForApproval(
        since=times.text(since),
        prompt=asked.prompt,
        input=list(asked.input),
        required=list(asked.required),
        approvers=or_unset(list(asked.approvers)),
    )


def add_approval(node: Node, stored: object, times: TimeFormatter) -> None:
    """Set the members of a node about its approval: what it waits for, or what was decided."""
    approval = msgspec.convert(stored, _Approval)
    decision = approval.decision
    if decision is None:
        if node.status is NodeStatus.RUNNING:
            node.reason, node.waiting = WAITS, _waiting(approval, approval.since, times)
        return
    at = times.text(decision.at)
    if decision.approved:
        node.approved_at, node.approved_by, node.approval_inputs = at, decision.by, decision.inputs
    else:
        node.rejected_at, node.rejected_by = at, decision.by
        node.rejection_reason = or_unset(decision.reason)


def step_approval(stored: object, times: TimeFormatter) -> StepApproval:
    """Convert what the row of a node has about its approval."""
    approval = msgspec.convert(stored, _Approval)
    shown = StepApproval(asked_at=times.text(approval.since), prompt=or_unset(approval.prompt))
    if (decision := approval.decision) is not None:
        shown.approved, shown.by, shown.at = decision.approved, decision.by, times.text(decision.at)
        shown.inputs, shown.reason = or_unset(decision.inputs), or_unset(decision.reason)
    return shown


def approval_item(found: Question, zone: tzinfo, *, may_decide: bool) -> ApprovalItem:
    """Convert an approval that is waited for."""
    row, times = found.approval, formatter_for(zone)
    waiting = _waiting(row.request, row.asked_at, times)
    waiting.may_decide = may_decide
    before = [StepBefore(name=name, status=status, status_label=status.label) for name, status in found.before.items()]
    return ApprovalItem(
        **asdict(waiting),
        dag_name=row.dag_name,
        dag_run_id=row.run_id,
        step_name=row.step,
        root_dag_run_name=or_unset(row.root_name or ""),
        root_dag_run_id=or_unset(row.root_run_id or ""),
        trigger=found.root.trigger,
        actor=or_unset(found.root.actor),
        params=or_unset(found.run.params_text),
        before=before,
        next=list(found.next),
        on_failure=or_unset(found.on_failure),
        deadline=or_unset(times.text(found.deadline)),
    )


def decided_item(row: approvals.DecidedApproval, zone: tzinfo) -> DecidedApproval:
    """Convert a decision."""
    times = formatter_for(zone)
    answer = msgspec.convert(row.answer or {}, _Approval)
    decision = answer.decision
    return DecidedApproval(
        dag_name=row.dag_name,
        dag_run_id=row.run_id,
        step_name=row.step,
        root_dag_run_name=or_unset(row.root_name or ""),
        root_dag_run_id=or_unset(row.root_run_id or ""),
        prompt=answer.prompt,
        since=times.text(row.asked_at),
        decided_at=times.text(row.decided_at),
        decided_by=row.decided_by,
        approved=bool(row.decision.get("approved")),
        inputs=UNSET if decision is None else or_unset(decision.inputs),
        reason=UNSET if decision is None else or_unset(decision.reason),
        status=row.status,
        status_label=row.status.label,
    )

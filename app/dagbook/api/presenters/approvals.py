"""Approvals as the API shows them (DAG format 1.30, 7.3). Pure."""

from __future__ import annotations

from datetime import datetime, tzinfo

import msgspec
from msgspec.structs import asdict

from dagbook.api.presenters.fields import TimeFormatter, formatter_for, or_unset
from dagbook.api.schemas.runs import ApprovalItem, Node, WaitingForApproval
from dagbook.db.repositories.approvals import OpenApproval
from dagbook.engine.status import NodeStatus

WAITS = "waits for approval"


class _Decision(msgspec.Struct, frozen=True):
    """What was decided, as a node has it."""

    approved: bool
    by: str
    at: datetime
    inputs: dict[str, str] = {}
    reason: str = ""


class _Asked(msgspec.Struct, frozen=True):
    """What a step asks, as a node has it: there also since when, and what was decided."""

    prompt: str = ""
    input: list[str] = []
    required: list[str] = []
    approvers: list[str] = []
    since: datetime | None = None
    decision: _Decision | None = None


def _waiting(asked: _Asked, since: datetime | None, times: TimeFormatter) -> WaitingForApproval:
    return WaitingForApproval(
        since=times.text(since),
        prompt=asked.prompt,
        input=asked.input,
        required=asked.required,
        approvers=or_unset(asked.approvers),
    )


def add_approval(node: Node, approval: object, times: TimeFormatter) -> None:
    """Set the members of a node about its approval: what it waits for, or what was decided."""
    asked = msgspec.convert(approval, _Asked)
    decision = asked.decision
    if decision is None:
        if node.status is NodeStatus.RUNNING:
            node.reason, node.waiting = WAITS, _waiting(asked, asked.since, times)
        return
    at = times.text(decision.at)
    if decision.approved:
        node.approved_at, node.approved_by = at, decision.by
        node.approval_inputs = decision.inputs
    else:
        node.rejected_at, node.rejected_by = at, decision.by
        node.rejection_reason = or_unset(decision.reason)


def approval_item(row: OpenApproval, zone: tzinfo) -> ApprovalItem:
    """Convert an approval that is waited for."""
    return ApprovalItem(
        **asdict(_waiting(msgspec.convert(row.request, _Asked), row.asked_at, formatter_for(zone))),
        dag_name=row.dag_name,
        dag_run_id=row.run_id,
        step_name=row.step,
        root_dag_run_name=or_unset(row.root_name or ""),
        root_dag_run_id=or_unset(row.root_run_id or ""),
    )

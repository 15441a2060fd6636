"""Approvals as the API shows them (DAG format 1.30, 7.3). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from msgspec.structs import asdict

from dagbook.api.presenters.fields import TimeFormatter, formatter_for, or_unset
from dagbook.api.schemas.runs import ApprovalItem, Node, WaitingForApproval
from dagbook.db.repositories.approvals import OpenApproval
from dagbook.engine.status import NodeStatus

WAITS = "waits for approval"


def _waiting(request: Mapping[str, Any], since: datetime, times: TimeFormatter) -> WaitingForApproval:
    return WaitingForApproval(
        since=times.text(since),
        prompt=request.get("prompt", ""),
        input=list(request.get("input", ())),
        required=list(request.get("required", ())),
        approvers=or_unset(list(request.get("approvers", ()))),
    )


def add_approval(node: Node, approval: Mapping[str, Any], times: TimeFormatter) -> None:
    """Set the members of a node about its approval: what it waits for, or what was decided."""
    decision = approval.get("decision")
    if decision is None:
        if node.status is NodeStatus.RUNNING:
            since = datetime.fromisoformat(approval["since"])
            node.reason, node.waiting = WAITS, _waiting(approval, since, times)
        return
    at = times.text(datetime.fromisoformat(decision["at"]))
    if decision["approved"]:
        node.approved_at, node.approved_by = at, decision["by"]
        node.approval_inputs = dict(decision.get("inputs", {}))
    else:
        node.rejected_at, node.rejected_by = at, decision["by"]
        node.rejection_reason = or_unset(decision.get("reason", ""))


def approval_item(row: OpenApproval, zone: tzinfo) -> ApprovalItem:
    """Convert an approval that is waited for."""
    return ApprovalItem(
        **asdict(_waiting(row.request, row.asked_at, formatter_for(zone))),
        dag_name=row.dag_name,
        dag_run_id=row.run_id,
        step_name=row.step,
        root_dag_run_name=or_unset(row.root_name or ""),
        root_dag_run_id=or_unset(row.root_run_id or ""),
    )

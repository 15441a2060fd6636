"""Use cases of approvals: a person approves what a step asks, with values, or rejects it (DAG format 1.30, 7.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from dagbook.auth.audit_context import Action, Actor, run_action
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.repositories import approvals, audit
from dagbook.db.repositories.accounts import groups, users
from dagbook.db.repositories.approvals import GROUP, DecisionRow, OpenApproval
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.errors import BadRequestError, ForbiddenError
from dagbook.identifiers import shorten
from dagbook.runs.active_runs import ActiveRuns
from dagbook.runs.service.retry import unknown_step
from dagbook.spec.model import HITL, Definition
from dagbook.spec.problem import MAX_PROBLEMS, quoted

_ANONYMOUS = "anonymous"
_LONGEST_VALUE, _LONGEST_REASON = 32 * 1024, 4 * 1024  # characters
_EVALUATED = frozenset("$`")


class ApprovalService:
    """Stores decisions, and tells the runner of the run."""

    def __init__(self, database: Database, active_runs: ActiveRuns, now: Callable[[], datetime]) -> None:
        self._database = database
        self._active_runs = active_runs
        self._now = now

    async def approve(self, run: RunRow, step: str, inputs: Mapping[str, str], actor: Actor) -> bool:
        """Approve what a step asks; returns whether the run waits for nothing else. Raises AppError."""
        long = sorted(name for name, value in inputs.items() if len(value) > _LONGEST_VALUE or "\0" in value)
        if long:
            limit = f"may have {_LONGEST_VALUE:,} characters, and no NUL"
            raise BadRequestError(
                f"inputs: {', '.join(map(shorten, long))}: a value {limit}; pass large data in a file"
            )
        return await self._decide(run, step, {"approved": True, "inputs": dict(inputs)}, actor)

    async def reject(self, run: RunRow, step: str, reason: str, actor: Actor) -> None:
        """Reject what a step asks, which fails the step. Raises AppError."""
        if len(reason) > _LONGEST_REASON:
            raise BadRequestError(f"reason: has {len(reason):,} characters; give at most {_LONGEST_REASON:,}")
        reason = reason.replace("\0", "\N{REPLACEMENT CHARACTER}").strip()
        await self._decide(run, step, {"approved": False, "reason": reason}, actor)

    async def find_unknown_approvers(self, definition: Definition) -> list[str]:
        """Return a warning for each approver who is no user or group of this server.

        A user of such a name who is created later may decide. Names that are evaluated are left out.
        """
        named = dict.fromkeys(
            (step.name, name)
            for dag in (definition.dag, *definition.local_dags)
            for step in dag.steps
            if step.executor.type == HITL
            for name in step.executor.config["approvers"]
            if _EVALUATED.isdisjoint(name)
        )
        if not named:
            return []

        def find_known(connection: ReadConnection) -> set[str]:
            found = users.find_usernames(connection, {name for _, name in named})
            return found | {f"{GROUP}{group.name}" for group in groups.find(connection)}

        known = await self._database.read_inline(find_known)
        unknown = [(step, name) for step, name in named if name not in known]
        return [
            f"step {quoted(step)}: approvers: there is no {'group' if name.startswith(GROUP) else 'user'} "
            f"{quoted(name.removeprefix(GROUP))}; create it, or correct the name"
            for step, name in unknown[:MAX_PROBLEMS]
        ]

    async def _decide(self, run: RunRow, step: str, decision: dict[str, Any], actor: Actor) -> bool:
        by, at = actor.label or _ANONYMOUS, self._now()

        def write(connection: WriteConnection) -> tuple[DecisionRow, bool]:
            waiting = _require_open(connection, run, step)
            _check_inputs(waiting, decision)
            if not waiting.request.allows(actor.actor, groups.find_names(connection, actor.user_id or "")):
                approvers = ", ".join(waiting.request.approvers)
                raise ForbiddenError(f"step {shorten(step)} may only be decided by {approvers}")
            if not approvals.decide(connection, waiting, decision, by, at):
                raise BadRequestError(f"step {shorten(step)} does not wait for approval any more; reload the run")
            approved = decision["approved"]
            action = Action.RUN_APPROVE if approved else Action.RUN_REJECT
            after = {"step": step, **({"inputs": sorted(decision["inputs"])} if approved else {})}
            audit.add(connection, actor.entry(run_action(action, run, after=after), at))
            row = DecisionRow(
                run_id=run.id,
                attempt=waiting.attempt,
                position=waiting.position,
                decided_at=at,
                decided_by=by,
                decision=decision,
            )
            return row, approvals.count_open(connection, run.id) == 0

        row, is_last = await self._database.write(write)
        self._active_runs.notify_decision(row)
        return is_last


def _require_open(connection: ReadConnection, run: RunRow, step: str) -> OpenApproval:
    waiting = None if "\0" in step else approvals.get_open(connection, run.id, step)
    if waiting is not None:
        return waiting
    nodes = runs.get_nodes(connection, run.id, run.attempt)
    if not any(node.name == step and not node.handler for node in nodes):
        raise unknown_step(run, step)
    raise BadRequestError(f"step {shorten(step)} does not wait for approval")


def _check_inputs(waiting: OpenApproval, decision: Mapping[str, Any]) -> None:
    if not decision["approved"]:
        return
    given: Mapping[str, str] = decision["inputs"]
    known, required = waiting.request.input, waiting.request.required
    unknown = sorted(name for name in given if name not in known)
    if unknown:
        names = f"it asks for {', '.join(known)}" if known else "it asks for no values"
        raise BadRequestError(f"inputs: {', '.join(map(shorten, unknown))}: the step has no such input; {names}")
    missing = [name for name in required if not given.get(name, "").strip()]
    if missing:
        raise BadRequestError(f"inputs: {', '.join(missing)}: must be given to approve this step")

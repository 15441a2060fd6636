"""Steps that wait for an approval: nothing runs meanwhile, the state is in the database (DAG format 1.30, 7.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from dagbook.db.repositories.approvals import Asked, DecisionRow
from dagbook.engine.event import StepExited
from dagbook.executors.contract import Outcome
from dagbook.json_values import JsonObject

_STOPPED = -1


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided about an approval, when and by whom; ``inputs`` are the values of an approval."""

    approved: bool
    by: str
    at: datetime
    inputs: Mapping[str, str] = {}
    reason: str = ""

    @classmethod
    def of(cls, row: DecisionRow) -> Decision:
        """Read a stored decision."""
        return msgspec.convert({**row.decision, "by": row.decided_by, "at": row.decided_at}, cls)


class ApprovalWait:
    """The execution of a step that waits for an approval: it ends by a decision, a stop or a time limit."""

    def __init__(self) -> None:
        self._ended: asyncio.Future[Decision | None] = asyncio.get_running_loop().create_future()

    async def decision(self) -> Decision | None:
        """Wait for the decision; None when the step is stopped, or its time limit is reached."""
        return await asyncio.shield(self._ended)

    def decide(self, decision: Decision | None) -> None:
        """End the wait; only the first call counts."""
        if not self._ended.done():
            self._ended.set_result(decision)

    async def wait(self) -> Outcome:
        """Wait for the end."""
        await self.decision()
        return Outcome(exit_code=None)

    def signal(self, name: str) -> None:
        """End the wait: there is no process that could ignore the signal."""
        del name
        self.decide(None)

    def kill(self) -> None:
        """End the wait."""
        self.decide(None)

    def detach(self) -> None:
        """Do nothing: the next server waits on."""


class ApprovalRequest(Asked, frozen=True, kw_only=True):
    """What a step asks, when its config was evaluated."""

    def notice(self) -> str:
        """Return the text for the log of the step."""
        lines = ["[dagbook: waits for approval]", self.prompt]
        for label, names in (("input", self.input), ("required", self.required), ("approvers", self.approvers)):
            lines.append(f"{label}: {', '.join(names)}" if names else "")
        return "".join(f"{line}\n" for line in lines if line)


def read_request(config: JsonObject) -> ApprovalRequest:
    """Read the evaluated config of a step."""
    return msgspec.convert(dict(config), ApprovalRequest)


def exit_of(key: int, execution: int, decision: Decision | None) -> StepExited:
    """Make the event of the end of a wait."""
    if decision is None:
        return StepExited(
            key=key, execution=execution, exit_code=_STOPPED, error="stopped while it waited for approval"
        )
    if decision.approved:
        return StepExited(key=key, execution=execution, exit_code=0, decided_by=decision.by)
    reason = f": {decision.reason}" if decision.reason else ""
    error = f"rejected by {decision.by}{reason}"
    return StepExited(key=key, execution=execution, exit_code=1, error=error, decided_by=decision.by, final=True)


def decided(asked: Mapping[str, Any], decision: Decision) -> dict[str, Any]:
    """Return what the node keeps of an approval that was decided."""
    answer = msgspec.to_builtins(decision)
    return {**asked, "decision": {name: value for name, value in answer.items() if value not in ("", {})}}


def given_values(approval: Mapping[str, Any] | None) -> Mapping[str, str]:
    """Return the values that were given with an approval, by name."""
    inputs: Mapping[str, str] = ((approval or {}).get("decision") or {}).get("inputs") or {}
    return inputs

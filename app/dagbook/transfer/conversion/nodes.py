"""Conversion of recorded steps and handlers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from dagbook.engine.state import NodeState
from dagbook.engine.status import NodeStatus
from dagbook.executors.calls import SubRun
from dagbook.json_values import Json
from dagbook.runs.evaluation.sub_run_plan import SubRunRecord
from dagbook.runs.output.summaries import stored_text
from dagbook.runs.secrets.masking import Masker
from dagbook.runs.store.row_mapping import NodeRecord as StoredRecord
from dagbook.transfer.layout import CallRecord, NodeRecord, RecordError, read_time

WAITED = "imported while it waited in a queue: it was not started here"
RAN = "imported while it was running: how it ended is not known here"
RESTED = "imported while it waited for an approval: it does not go on here"
_EXIT_CODE = re.compile(r"exit status (\d{1,3})\b")
_INTERNAL = "DAGU_"  # outputs that are no step's own
# By the source's number: the status here, and the reason if the node had not ended.
STATUSES: Mapping[int, tuple[NodeStatus, str]] = {
    **{int(status): (status, "") for status in NodeStatus if status is not NodeStatus.RUNNING},
    1: (NodeStatus.FAILED, RAN),
    7: (NodeStatus.ABORTED, RESTED),
    8: (NodeStatus.FAILED, ""),
}


class ConvertedNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node: its record, None if the attempt has none, and its state."""

    record: NodeRecord | None
    state: NodeState

    @classmethod
    def read(cls, record: NodeRecord | None, run_started_at: datetime | None) -> ConvertedNode:
        """Read a node; raises RecordError."""
        if record is None:
            return cls(record=None, state=NodeState())
        name = record.step.name
        if record.status not in STATUSES:
            raise RecordError(f"the status {record.status} of its step {name[:40]!r} is unknown")
        status, reason = STATUSES[record.status]
        started_at = read_time(record.started_at, f"startedAt of step {name[:40]!r}")
        finished_at = read_time(record.finished_at, f"finishedAt of step {name[:40]!r}")
        if started_at is None and status in (NodeStatus.SUCCEEDED, NodeStatus.PARTIALLY_SUCCEEDED):
            started_at = run_started_at  # a status that was set by hand
        if status is NodeStatus.NOT_STARTED:
            started_at = finished_at = None
        conditions = tuple(condition.error for condition in record.step.preconditions or ())
        code = _EXIT_CODE.search(record.error)
        succeeded = status in (NodeStatus.SUCCEEDED, NodeStatus.PARTIALLY_SUCCEEDED) and not record.error
        executed = started_at is not None and status is not NodeStatus.SKIPPED
        state = NodeState(
            status=status,
            execution=max(1, record.done_count, record.retry_count + 1) if executed else 0,
            started_at=started_at,
            finished_at=finished_at,
            executed_at=started_at if executed else None,
            retried_at=read_time(record.retried_at, f"retriedAt of step {name[:40]!r}"),
            retry_count=max(record.retry_count, 0),
            done_count=max(record.done_count, 0),
            repeated=record.repeated,
            exit_code=0 if succeeded and executed else int(code[1]) if code and executed else None,
            error=record.error or reason or record.rejection_reason,
            conditions=conditions if any(conditions) else (),
        )
        return cls(record=record, state=state)

    def state_until(self, run_finished_at: datetime) -> NodeState:
        """Return the state with an end that is neither before its start nor missing."""
        state = self.state
        if state.started_at is None or not state.status.is_final:
            return msgspec.structs.replace(state, finished_at=None)
        return msgspec.structs.replace(state, finished_at=max(state.started_at, state.finished_at or run_finished_at))

    @property
    def summary(self) -> str:
        """The summary as it is stored; empty without one."""
        return "" if self.record is None else stored_text(self.record.summary.encode(), Masker(), "utf-8")

    def stored(self, called: Mapping[str, str]) -> StoredRecord:
        """Return what is stored beside the state; ``called`` has the DAG names of sub-runs by their ids."""
        record = self.record
        if record is None:
            return StoredRecord()
        outputs = {
            name: text for name, text in (record.output_variables or {}).items() if not name.startswith(_INTERNAL)
        }
        name = record.step.output.removeprefix("$")
        name = name if name in outputs else next(iter(outputs), "")
        shown = record.step.shown
        return StoredRecord(
            output_name=name or None,
            output_value=outputs[name].removeprefix(f"{name}=") if name else None,
            shown={"command": shown.command, "args": shown.args or []} if shown and shown.command else None,
            sub_runs=self._sub_runs(record, called),
            has_summary=bool(self.summary),
        )

    def _sub_runs(self, record: NodeRecord, called: Mapping[str, str]) -> dict[str, Json] | None:
        if not (record.children or record.children_repeated):
            return None
        name = record.step.child_dag.name if record.step.child_dag else ""

        def calls(records: Sequence[CallRecord] | None) -> list[SubRun]:
            return [
                SubRun(id=each.dag_run_id, name=called.get(each.dag_run_id, name), params=each.params)
                for each in records or ()
            ]

        stored = SubRunRecord(
            execution=self.state.execution,
            called=name,
            retries=self.state.retry_count,
            current=calls(record.children),
            earlier=calls(record.children_repeated),
        )
        converted: dict[str, Json] = msgspec.to_builtins(stored)
        return converted

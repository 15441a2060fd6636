"""The spans of a trace, made from the rows of a run, its sub-runs and their steps (runtime 28.2). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from dagbook.db.repositories.runs.run_traces import TracedNode, TracedRetry, TracedRun, TraceRows
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.json_values import JsonObject
from dagbook.runs.evaluation.sub_run_plan import read_record
from dagbook.runs.trace_context import TraceContext, is_first, span_of_node, span_of_run
from dagbook.telemetry import otlp
from dagbook.telemetry.otlp import MOST_PARTS, Span, attributes, nanoseconds

MOST_SPANS = 10_000  # of a trace
CUT = "dagbook.trace_is_cut"  # the attribute of its first span that says that there are more
_LONGEST_ERROR, _LONGEST_NAME = 300, 256
_STATUSES = {"failed": otlp.ERROR, "succeeded": otlp.OK}


def make_spans(rows: TraceRows, key: int, context: TraceContext, most: int = MOST_SPANS) -> list[Span]:
    """Return the spans of a run and its sub-runs, callers before callees, none of what has not ended.

    The parent of the first one is the span of the request that started the run, if there was one.
    """
    trace = _Trace(rows, context.trace)
    spans, waiting = list[Span](), [(key, "" if is_first(context, key) else context.span)]
    for run_key, parent in waiting:  # grows with the sub-runs that are found
        if len(spans) > most:
            break
        if (run := trace.runs.get(run_key)) is None:
            continue
        spans.append(trace.of_run(run, parent))
        for node in trace.nodes[run_key]:
            callees = trace.callees(node)
            spans.append(trace.of_node(run, node, callees))
            waiting += [(callee.id, spans[-1].span_id) for callee in callees]
    if len(spans) > most:
        first = replace(spans[0], attributes=[*spans[0].attributes, *attributes({CUT: True})])
        spans = [first, *spans[1:most]]
    return spans


class _Trace:
    """The rows of a trace, by the runs that they belong to."""

    def __init__(self, rows: TraceRows, trace: str) -> None:
        self._trace = trace
        self.runs = {run.id: run for run in rows.runs}
        self._called = {(run.parent_id, run.run_id): run for run in rows.runs}
        self.nodes: Mapping[int, list[TracedNode]] = defaultdict(list)
        self._retries: Mapping[tuple[int, int], list[TracedRetry]] = defaultdict(list)
        for node in rows.nodes:
            self.nodes[node.run_id].append(node)
        for retry in rows.retries:
            if retry.data.get("retry_count"):
                self._retries[retry.run_id, retry.position].append(retry)

    def callees(self, node: TracedNode) -> list[TracedRun]:
        """Return the sub-runs that a node has called, those of earlier executions first."""
        record = read_record(node.sub_runs)
        called = () if record is None else (*record.earlier, *record.current)
        found = (self._called.get((node.run_id, each.id)) for each in called)
        return [run for run in found if run is not None]

    def of_run(self, run: TracedRun, parent: str) -> Span:
        """Make the span of an attempt of a run; of a sub-run it names the caller."""
        caller = self.runs.get(run.parent_id or 0)
        about = {
            "dag.name": run.dag_name,
            "dag.run_id": run.run_id,
            "dag.parent_run_id": caller.run_id if caller else None,
            "dag.parent_name": caller.dag_name if caller else None,
            "dag.status": run.status.label,
        }
        first = min((node.started_at for node in self.nodes[run.id]), default=run.closed_at)
        start, end = _times(run.started_at or first, run.closed_at)
        return Span(
            trace_id=self._trace,
            span_id=span_of_run(run.id, run.attempt),
            parent_span_id=parent,
            name=f"DAG: {run.dag_name}"[:_LONGEST_NAME],
            kind=otlp.INTERNAL,
            start_time_unix_nano=start,
            end_time_unix_nano=end,
            attributes=attributes(about),
            status=_status(run.status, run.error),
        )

    def of_node(self, run: TracedRun, node: TracedNode, callees: Sequence[TracedRun]) -> Span:
        """Make the span of a step or handler: of all its executions, with an event for each retry."""
        about = {"step.name": node.name, "step.status": node.status.label, "step.exit_code": node.exit_code or None}
        retries = self._retries[node.run_id, node.position]
        start, end = _times(node.started_at, node.finished_at or run.closed_at)
        return Span(
            trace_id=self._trace,
            span_id=span_of_node(run.id, run.attempt, node.name, is_handler=node.position < 0),
            parent_span_id=span_of_run(run.id, run.attempt),
            name=f"Step: {node.name}"[:_LONGEST_NAME],
            kind=otlp.INTERNAL,
            start_time_unix_nano=start,
            end_time_unix_nano=end,
            attributes=attributes(about),
            events=[_event(retry) for retry in retries[:MOST_PARTS]],
            dropped_events_count=len(retries[MOST_PARTS:]),
            links=[
                {"traceId": self._trace, "spanId": span_of_run(callee.id, callee.attempt)}
                for callee in callees[:MOST_PARTS]
            ],
            dropped_links_count=len(callees[MOST_PARTS:]),
            status=_status(node.status, node.error),
        )


def _event(retry: TracedRetry) -> JsonObject:
    error = str(retry.data.get("error") or "")[:_LONGEST_ERROR] or None
    number, exit_code = retry.data.get("retry_count"), retry.data.get("exit_code")
    about = {"step.retry": number, "step.exit_code": exit_code, "step.error": error}
    return {"timeUnixNano": nanoseconds(retry.at), "name": "retry", "attributes": attributes(about)}


def _times(start: datetime, end: datetime) -> tuple[str, str]:
    return nanoseconds(start), nanoseconds(max(start, end))


def _status(status: RunStatus | NodeStatus, error: str | None) -> JsonObject | None:
    code = _STATUSES.get(status.label)
    message = {"message": error[:_LONGEST_ERROR]} if error and code == otlp.ERROR else {}
    return None if code is None else {"code": code, **message}

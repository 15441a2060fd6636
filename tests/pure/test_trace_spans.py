"""The spans of a trace, made from rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from dagbook.db.repositories.runs.run_traces import TracedNode, TracedRetry, TracedRun, TraceRows
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.runs import trace_context
from dagbook.runs.notifications.trace_spans import CUT, make_spans
from dagbook.runs.trace_context import TraceContext, span_of_node, span_of_run
from dagbook.telemetry.otlp import encode, nanoseconds
from tests.otlp import Received, read, read_attributes

START = datetime(2026, 12, 1, 7, 30, tzinfo=UTC)
CONTEXT = trace_context.of_new_run(1, 1)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def run(key: int, name: str = "etl", **values: Any) -> TracedRun:
    defaults: dict[str, Any] = {
        "parent_id": None,
        "run_id": f"run-{key}",
        "attempt": 1,
        "status": RunStatus.SUCCEEDED,
        "opened_at": at(0),
        "started_at": at(1),
        "closed_at": at(9),
        "error": None,
    }
    return TracedRun(id=key, dag_name=name, **defaults | values)


def node(run_key: int, position: int, name: str, **values: Any) -> TracedNode:
    defaults: dict[str, Any] = {
        "status": NodeStatus.SUCCEEDED,
        "started_at": at(2),
        "finished_at": at(3),
        "exit_code": 0,
        "error": "",
        "retry_count": 0,
        "sub_runs": None,
    }
    return TracedNode(run_id=run_key, position=position, name=name, **defaults | values)


def calls(*ids: str, earlier: tuple[str, ...] = ()) -> dict[str, Any]:
    made = {"execution": 1, "called": "child", "current": [{"id": each, "name": "child"} for each in ids]}
    return made | {"earlier": [{"id": each, "name": "child"} for each in earlier]}


def spans(rows: TraceRows, context: TraceContext = CONTEXT, most: int = 100) -> list[Received]:
    made = make_spans(rows, 1, context, most)
    return read(encode({}, made)) if made else []


def test_a_run_and_its_steps_are_a_tree_with_ids_and_times_of_their_rows() -> None:
    failed = node(1, 1, "b", status=NodeStatus.FAILED, exit_code=3, error="exit status 3", finished_at=at(5.000001))
    exiting = node(1, -5, "onExit")
    rows = TraceRows(
        runs=[run(1, status=RunStatus.FAILED, error="step b failed")],
        nodes=[exiting, node(1, 0, "a"), failed],
        retries=[],
    )
    root, handler, first, second = spans(rows)
    assert (root.name, root.id, root.parent) == ("DAG: etl", span_of_run(1, 1), "")
    assert root.attributes == {"dag.name": "etl", "dag.run_id": "run-1", "dag.status": "failed"}
    assert root.raw["status"] == {"code": 2, "message": "step b failed"}
    assert [each.name for each in (handler, first, second)] == ["Step: onExit", "Step: a", "Step: b"]
    assert {each.parent for each in (handler, first, second)} == {root.id}
    assert {each.raw["traceId"] for each in (root, handler, first, second)} == {CONTEXT.trace}
    assert handler.id == span_of_node(1, 1, "onExit", is_handler=True)
    assert first.id == span_of_node(1, 1, "a", is_handler=False)
    assert first.attributes == {"step.name": "a", "step.status": "succeeded"}
    assert second.attributes == {"step.name": "b", "step.status": "failed", "step.exit_code": "3"}
    assert second.raw["endTimeUnixNano"] == nanoseconds(at(5.000001))
    assert root.times == (int(nanoseconds(at(1))), int(nanoseconds(at(9))))


def test_a_retry_is_an_event() -> None:
    retried: dict[str, Any] = {
        "retry_count": 1,
        "exit_code": 7,
        "error": "exit status 7",
        "due_at": "2026-12-01T07:30:03Z",
    }
    other: dict[str, Any] = {"execution": 2}
    rows = TraceRows(
        runs=[run(1)],
        nodes=[node(1, 0, "a", retry_count=1)],
        retries=[
            TracedRetry(run_id=1, position=0, at=at(2.5), data=retried),
            TracedRetry(run_id=1, position=0, at=at(2.6), data=other),
        ],
    )
    (event,) = spans(rows)[1].raw["events"]
    assert (event["name"], event["timeUnixNano"]) == ("retry", nanoseconds(at(2.5)))
    assert read_attributes(event["attributes"]) == {
        "step.retry": "1",
        "step.exit_code": "7",
        "step.error": "exit status 7",
    }


def test_sub_runs_are_below_the_step_that_called_them_and_it_has_links_to_them() -> None:
    children = [run(key, "child", parent_id=1, attempt=key - 1) for key in (2, 3, 4)]
    rows = TraceRows(
        runs=[run(1), *children],
        nodes=[
            node(1, 0, "call", sub_runs=calls("run-3", "run-4", "never-started", earlier=("run-2",))),
            *(node(key, 0, "inner") for key in (2, 3, 4)),
        ],
        retries=[],
    )
    root, call, *below = spans(rows)
    assert [link["spanId"] for link in call.raw["links"]] == [span_of_run(key, key - 1) for key in (2, 3, 4)]
    assert [each.name for each in below] == ["DAG: child", "Step: inner"] * 3
    assert [each.parent for each in below[::2]] == [call.id] * 3
    assert [each.parent for each in below[1::2]] == [each.id for each in below[::2]]
    assert below[0].attributes["dag.parent_run_id"] == "run-1"
    assert below[0].attributes["dag.parent_name"] == "etl"
    assert "dag.parent_name" not in root.attributes


def test_a_request_that_is_part_of_a_trace_is_the_parent() -> None:
    incoming = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    (root,) = spans(TraceRows(runs=[run(1)], nodes=[], retries=[]), incoming)
    assert (root.raw["traceId"], root.parent) == (incoming.trace, incoming.span)


def test_a_run_without_a_start_of_its_own_begins_with_its_first_step() -> None:
    older = run(1, started_at=None)
    root, _ = spans(TraceRows(runs=[older], nodes=[node(1, 0, "a")], retries=[]))
    assert root.times[0] == int(nanoseconds(at(2)))
    (never,) = spans(TraceRows(runs=[older], nodes=[], retries=[]))
    assert never.times == (int(nanoseconds(at(9))),) * 2


def test_what_has_not_ended_has_no_span() -> None:
    rows = TraceRows(runs=[run(1)], nodes=[node(1, 0, "call", sub_runs=calls("run-2"))], retries=[])
    assert [each.name for each in spans(rows)] == ["DAG: etl", "Step: call"]
    assert spans(TraceRows(runs=[], nodes=[], retries=[])) == []


def test_a_large_trace_is_cut_and_says_so() -> None:
    rows = TraceRows(runs=[run(1)], nodes=[node(1, position, f"s{position}") for position in range(100)], retries=[])
    found = spans(rows, most=10)
    assert len(found) == 10
    assert found[0].attributes[CUT] is True
    assert CUT not in spans(rows, most=101)[0].attributes
    assert len(spans(rows, most=101)) == 101


def test_links_of_a_step_are_bounded() -> None:
    children = [run(key, "child", parent_id=1) for key in range(2, 202)]
    called = calls(*(child.run_id for child in children))
    rows = TraceRows(runs=[run(1), *children], nodes=[node(1, 0, "call", sub_runs=called)], retries=[])
    found = spans(rows, most=1000)
    assert (len(found[1].raw["links"]), found[1].raw["droppedLinksCount"]) == (128, 72)
    assert len(found) == 202

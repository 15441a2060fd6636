"""Records of Dagu 1.x become rows: statuses, times, attempts, params, texts, and a history that adds up."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.db.repositories.runs.runs import EngineFields
from dagbook.engine import history
from dagbook.engine.history import Change
from dagbook.engine.plan import Plan, initial_state
from dagbook.engine.state import NodeState, Phase, RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.spec.model import Pair
from dagbook.spec.reading.definition_cache import DefinitionCache, hash_of
from dagbook.spec.reading.load import load
from dagbook.transfer import layout
from dagbook.transfer.conversion import nodes
from dagbook.transfer.conversion.converter import Converted, Converter, Known, SourceAttempt, SourceRun
from dagbook.transfer.conversion.history import record_history
from dagbook.transfer.conversion.texts import TextChooser
from dagbook.transfer.layout import RecordError, SnapshotRecord, StatusRecord
from tests.dagu_home import SPEC, START, node, succeeded, text, waiting_node


def _attempt(number: int = 0, *, spec: str = SPEC, location: str = "", **status: Any) -> SourceAttempt:
    record = {"name": "etl", "dagRunId": "run-1", **succeeded(), **status}
    return SourceAttempt(
        opened_at=START + timedelta(minutes=number),
        status=msgspec.convert(record, StatusRecord),
        snapshot=SnapshotRecord(yaml_data=base64.b64encode(spec.encode()).decode(), location=location),
    )


def _convert(*attempts: SourceAttempt, base: str = "", known: Known | None = None, **fields: Any) -> Converted:
    converter = Converter(TextChooser(DefinitionCache(), base), known or Known())
    run = SourceRun(name="etl", run_id="run-1", attempts=attempts or (_attempt(),), **fields)
    return converter.convert(run)


@pytest.mark.parametrize(
    ("recorded", "status", "reason"),
    [
        (0, RunStatus.ABORTED, nodes.WAITED),
        (1, RunStatus.FAILED, nodes.RAN),
        (2, RunStatus.FAILED, ""),
        (3, RunStatus.ABORTED, ""),
        (4, RunStatus.SUCCEEDED, ""),
        (5, RunStatus.ABORTED, nodes.WAITED),
        (6, RunStatus.PARTIALLY_SUCCEEDED, ""),
        (7, RunStatus.ABORTED, nodes.RESTED),
        (8, RunStatus.FAILED, ""),
    ],
)
def test_every_status_becomes_a_final_one(recorded: int, status: RunStatus, reason: str) -> None:
    converted = _convert(_attempt(status=recorded, nodes=[waiting_node("one"), waiting_node("two")]))
    run = converted.runs[0]
    assert (run.run.status, run.attempts[-1].status) == (status, status)
    assert run.run.error == (reason or None)
    assert [reason in note for note in converted.notes] == [True] * bool(reason)


@pytest.mark.parametrize("status", [-1, 9, 99])
def test_an_unknown_status_is_refused(status: int) -> None:
    with pytest.raises(RecordError, match=f"status {status} is unknown"):
        _convert(_attempt(status=status))


def test_the_end_of_a_run_that_had_not_ended_is_the_last_time_that_is_known() -> None:
    at = START + timedelta(seconds=7)
    nodes = [node("one"), node("two", 1, at=at, finishedAt="")]
    run = _convert(_attempt(status=1, nodes=nodes, finishedAt="")).runs[0]
    assert run.run.finished_at == at
    assert [(row.status, row.finished_at) for row in run.nodes] == [
        (NodeStatus.SUCCEEDED, START + timedelta(seconds=1)),
        (NodeStatus.FAILED, at),
    ]


def test_times_that_contradict_each_other_are_put_in_order_and_noted() -> None:
    before = _convert(
        _attempt(finishedAt=text(START - timedelta(hours=1)), nodes=[waiting_node("one"), waiting_node("two")])
    )
    assert before.runs[0].run.finished_at == START
    late = node("two", at=START + timedelta(minutes=5))
    after = _convert(_attempt(nodes=[node("one"), late]))
    assert after.runs[0].run.finished_at == START + timedelta(minutes=5, seconds=1)
    assert [len(found.notes) for found in (before, after)] == [1, 1]


def test_attempts_that_only_waited_are_not_attempts_here() -> None:
    waited = _attempt(status=5, nodes=[waiting_node("one"), waiting_node("two")], startedAt="", finishedAt="")
    run = _convert(waited, _attempt(1, queuedAt=text(START))).runs[0]
    assert (run.run.attempt, len(run.attempts), run.run.queued_at) == (1, 1, START)
    assert run.run.created_at == START


def test_a_node_that_a_retry_kept_names_the_attempt_with_its_output() -> None:
    kept = node("one", stdout="/logs/one.out", stderr="/logs/one.err")
    failed, again = node("two", 2, stdout="/logs/two.1"), node("two", stdout="/logs/two.2")
    converted = _convert(_attempt(status=2, nodes=[kept, failed]), _attempt(1, nodes=[kept, again]))
    rows = [(row.attempt, row.position, row.log_attempt) for row in converted.runs[0].nodes]
    assert rows == [(1, 0, None), (1, 1, None), (2, 0, 1), (2, 1, None)]
    assert [(log.attempt, log.stdout) for log in converted.logs] == [
        (1, "/logs/one.out"),
        (1, "/logs/two.1"),
        (2, "/logs/two.2"),
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"paramsList": ["A=1", "2=two words", "3=a=b"]}, [("A", "1"), ("2", "two words"), ("3", "a=b")]),
        ({"paramsList": ["plain"]}, [("1", "plain")]),
        ({"paramsList": None, "params": 'A="x y" z'}, [("A", "x y"), ("2", "z")]),
        ({"paramsList": None, "params": ""}, []),
    ],
)
def test_params_are_read_from_their_list_or_their_text(fields: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    run = _convert(_attempt(**fields)).runs[0].run
    assert run.params == [Pair(name, value) for name, value in expected]


def test_outputs_commands_codes_and_conditions_are_those_of_the_record() -> None:
    variables = {"DAGU_CONTINUE_ON.one": "DAGU_CONTINUE_ON.one=false", "OUT": "OUT=a=b"}
    one = node("one", 2, error="it failed: exit status 3", retryCount=2, outputVariables=variables)
    one["step"] |= {"output": "OUT", "preconditions": [{"condition": "x", "error": "not met"}]}
    row = _convert(_attempt(status=2, nodes=[one, waiting_node("two")])).runs[0].nodes[0]
    assert (row.output_name, row.output_value) == ("OUT", "a=b")
    assert (row.exit_code, row.execution, row.retry_count) == (3, 3, 2)
    assert row.shown == {"command": "echo", "args": ["one"]}
    assert EngineFields.of(row.detail).conditions == ("not met",)


def test_a_step_whose_command_is_in_the_step_itself_is_read_as_well() -> None:
    one = node("one")
    one["step"] = {"name": "one", "command": "echo", "args": ["x"], "cmdWithArgs": "echo x"}
    row = _convert(_attempt(nodes=[one, node("two")])).runs[0].nodes[0]
    assert row.shown == {"command": "echo", "args": ["x"]}


def test_sub_runs_come_after_their_callers_and_a_lost_one_leaves_its_own_to_the_root() -> None:
    def child(run_id: str, parent: str, **status: Any) -> SourceRun:
        found = _attempt(dagRunId=run_id, parent={"name": "etl", "id": parent}, **status)
        return SourceRun(name="etl", run_id=run_id, attempts=(found,), file=run_id)

    children = (child("c", "b"), child("b", "a", status=99), child("a", "run-1"), child("d", "a"))
    converted = _convert(children=children)
    keys = {run.run.run_id: run.run.id for run in converted.runs}
    parents = {run.run.run_id: run.run.parent_id for run in converted.runs}
    assert parents == {"run-1": None, "a": keys["run-1"], "d": keys["a"], "c": keys["run-1"]}
    assert [run.run.root_id for run in converted.runs[1:]] == [keys["run-1"]] * 3
    assert converted.lost == [("b", "its status 99 is unknown")]


def test_keys_follow_from_times_and_names_and_avoid_those_that_are_taken() -> None:
    first, second = _convert().runs[0].run.id, _convert().runs[0].run.id
    assert first == second
    converter = Converter(TextChooser(DefinitionCache(), ""), Known())
    run = SourceRun(name="etl", run_id="run-1", attempts=(_attempt(),))
    assert converter.convert(run, {first, first + 1}).runs[0].run.id == first + 2


BASE = "handlerOn:\n  exit:\n    command: echo bye\n"


def test_a_text_fits_with_the_base_configuration_that_gives_the_recorded_handlers() -> None:
    with_handler = _convert(_attempt(onExit=node("onExit")), base=BASE).runs[0]
    assert (with_handler.definition.spec, with_handler.definition.base) == (SPEC, BASE)
    without = _convert(base=BASE).runs[0]
    assert (without.definition.spec, without.definition.base) == (SPEC, None)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("", "it has no text of its own"),
        ("steps: [{name: other, command: x}]\n", "its own text has other steps or handlers"),
        ("steps: [", "its own text has other steps or handlers"),
        ("steps: [{name: one, command: x, depends: [gone]}, {name: two}]", "its own text has other steps or handlers"),
    ],
)
def test_a_text_that_does_not_fit_is_made_from_the_recorded_steps(spec: str, reason: str) -> None:
    call = node("two", step={"childDag": {"name": "child", "params": "A=1"}, "depends": ["one", "gone"]})
    converted = _convert(_attempt(spec=spec, nodes=[node("one"), call], onFailure=waiting_node("onFailure")))
    made = converted.runs[0].definition.spec
    assert [reason in note for note in converted.notes] == [True]
    loaded = load(made)
    assert loaded.problems == ()
    dag = loaded.definition.dag
    assert (dag.steps[0].name, dag.steps[0].command_line, dag.steps[0].depends) == ("one", "echo one", ())
    assert dag.steps[1].call is not None
    assert (dag.steps[1].call.name, dag.steps[1].depends) == ("child", ("one",))
    assert dag.handlers.failure is not None


def test_a_run_of_a_stored_dag_names_its_file_and_revision() -> None:
    known = Known(revisions={("etl", hash_of(SPEC)): 3})
    run = _convert(_attempt(location="/home/x/dags/etl.yaml"), known=known).runs[0].run
    assert (run.file_name, run.dag_revision) == ("etl", 3)
    inline = _convert(_attempt(location="/tmp/inline/etl.yaml"), known=known).runs[0].run
    assert (inline.file_name, inline.dag_revision) == (None, None)


_times = st.none() | st.integers(0, 100).map(lambda seconds: START + timedelta(seconds=seconds))


@st.composite
def _node_states(draw: st.DrawFn) -> NodeState:
    started_at = draw(_times)
    if started_at is None:
        status = draw(st.sampled_from([NodeStatus.NOT_STARTED, NodeStatus.ABORTED, NodeStatus.SKIPPED]))
        return NodeState(status=status, error=draw(st.sampled_from(["", "upstream failed"])))
    return NodeState(
        status=draw(st.sampled_from([NodeStatus.SUCCEEDED, NodeStatus.FAILED, NodeStatus.SKIPPED])),
        started_at=started_at,
        finished_at=started_at + timedelta(seconds=draw(st.integers(0, 100))),
        execution=draw(st.integers(0, 3)),
        done_count=draw(st.integers(0, 3)),
        exit_code=draw(st.none() | st.integers(0, 255)),
    )


@given(st.tuples(_node_states(), _node_states()), _node_states(), _times)
def test_the_history_of_an_attempt_adds_up_to_its_state_and_never_goes_back(
    steps: tuple[NodeState, NodeState], handler: NodeState, started_at: datetime | None
) -> None:
    plan = Plan.of(load(SPEC, base=BASE).definition.dag)
    final = RunState(
        status=RunStatus.FAILED,
        phase=Phase.CLOSED,
        outcome=RunStatus.FAILED,
        steps=steps,
        handlers=dict.fromkeys(plan.handlers, handler),
        error="bad",
        started_at=started_at,
        finished_at=START + timedelta(hours=1),
    )
    recorded = list(record_history(final, {}, START))
    assert history.fold(initial_state(plan), [change for _, change in recorded]) == final
    assert [at for at, _ in recorded] == sorted(at for at, _ in recorded)
    assert recorded[-1][1] == Change(None, recorded[-1][1].fields)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"name":"a","dagRunId":"r","status":1}\n{"name":"a","dagRunId":"r","status":4}\n', 4),
        (b'{"name":"a","dagRunId":"r","status":1}\n{"name":"a","dagRunId":"r","sta', 1),
        (b'{"name":"a","dagRunId":"r","status":4,"nodes":null,"later":{"x":1}}', 4),
        (b'{"name":"a\\u0000b","dagRunId":"r","status":4}', 4),
    ],
)
def test_the_last_complete_line_of_a_status_file_counts(data: bytes, expected: int) -> None:
    record = layout.read_status(data, "r")
    assert (record.status, "\0" in record.name) == (expected, False)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\n\n", b"{", b"[]", b'{"name":1}', b"\xff", b"[" * 100_000),
        b'{"name":"a","dagRunId":"other","status":4}',
        b'{"name":"a","dagRunId":"r","status":4}\n' + b"x\n" * 10,
        b'{"name":"a","dagRunId":"r","status":4,"nodes":[{"step":{},"retryCount":1000000001}]}',
    ],
)
def test_what_is_no_status_is_refused(data: bytes) -> None:
    with pytest.raises(RecordError):
        layout.read_status(data, "r")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", None),
        ("-", None),
        ("0001-01-01T00:00:00Z", None),
        ("2031-05-01T10:00:00+02:00", START),
        ("2031-05-01T08:00:00.123456789Z", START + timedelta(microseconds=123456)),
    ],
)
def test_times_are_read_in_every_form(written: str, expected: datetime | None) -> None:
    assert layout.read_time(written, "x") == expected


@pytest.mark.parametrize("written", ["soon", "2031-05-01T08:00:00", "9999-01-01T00:00:00Z"])
def test_what_is_no_time_is_refused(written: str) -> None:
    with pytest.raises(RecordError, match="x: "):
        layout.read_time(written, "x")


def test_the_time_in_the_name_of_a_folder_is_read() -> None:
    assert layout.read_stamp("20310501_080000", "007") == datetime(2031, 5, 1, 8, 0, 0, 7000, tzinfo=UTC)
    for stamp in ("20311301_080000", "00010101_080000", "99991231_235959"):
        with pytest.raises(RecordError):
            layout.read_stamp(stamp)

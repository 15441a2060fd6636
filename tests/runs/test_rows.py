"""Engine state as rows and back."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dagbook.db.repositories.runs.run_rows import RunChange
from dagbook.db.repositories.runs.runs import AttemptRow, CompleteRun, NodeRow
from dagbook.engine.history import Change
from dagbook.engine.plan import running_keys
from dagbook.engine.state import Kill, NodeState, Phase, RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.runs.store import row_mapping
from dagbook.runs.store.row_mapping import NodeRecord
from tests.runs.rows import columns_of, row_of

MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
SOME_TIME = st.none() | MOMENTS
COUNTS = st.integers(0, 1000)
TEXTS = st.text(max_size=10)
CONDITIONS = st.lists(TEXTS, max_size=3).map(tuple)
NODES = st.builds(
    NodeState,
    status=st.sampled_from(NodeStatus),
    execution=COUNTS,
    started_at=SOME_TIME,
    finished_at=SOME_TIME,
    executed_at=SOME_TIME,
    due_at=SOME_TIME,
    retried_at=SOME_TIME,
    retry_count=COUNTS,
    done_count=COUNTS,
    repeated=st.booleans(),
    exit_code=st.none() | st.integers(-1, 255),
    error=TEXTS,
    checking=st.booleans(),
    kill=st.none() | st.sampled_from(Kill),
    tolerated=st.booleans(),
    verdict=st.none() | st.sampled_from(NodeStatus),
    retry_limit=st.none() | COUNTS,
    retry_interval_seconds=st.none() | COUNTS,
    conditions=CONDITIONS,
)
RUNS = st.builds(
    RunState,
    status=st.sampled_from(RunStatus),
    phase=st.sampled_from(Phase),
    steps=st.lists(NODES, max_size=3).map(tuple),
    handlers=st.dictionaries(st.integers(-5, -1), NODES, max_size=2),
    only=st.none() | COUNTS,
    status_before=st.none() | st.sampled_from(RunStatus),
    cancelled=st.booleans(),
    error=TEXTS,
    error_key=st.none() | st.integers(-5, 5),
    outcome=st.none() | st.sampled_from(RunStatus),
    started_at=SOME_TIME,
    finished_at=SOME_TIME,
    stop_asked_at=SOME_TIME,
    signalled_at=SOME_TIME,
    killed_at=SOME_TIME,
    timed_out=st.booleans(),
    next_pick_at=SOME_TIME,
    conditions=CONDITIONS,
)


def _stored_node(key: int, state: NodeState, records: NodeRecord | None = None) -> NodeRow:
    """Return a node as the database returns it."""
    return row_of(NodeRow, columns_of(row_mapping.node_change(1, 1, key, state, records or NodeRecord())))


@given(NODES)
def test_a_node_comes_back_from_its_row_as_it_was(state: NodeState) -> None:
    assert row_mapping.node_state(_stored_node(0, state)) == state


@given(RUNS)
def test_a_run_comes_back_from_its_rows_as_it_was(state: RunState) -> None:
    attempt = columns_of(row_mapping.attempt_change(1, 1, state, None))
    nodes = [_stored_node(key, node) for key, node in [*state.handlers.items(), *enumerate(state.steps)]]
    run = row_of(CompleteRun, columns_of(row_mapping.run_change(1, state)))
    back = row_mapping.run_state(run, row_of(AttemptRow, attempt), nodes)
    assert msgspec.structs.replace(back, running=()) == msgspec.structs.replace(state, running=())
    assert running_keys(back) == running_keys(state)


def test_a_state_that_says_nothing_takes_no_room() -> None:
    assert row_mapping.node_change(1, 1, 0, NodeState(), NodeRecord()).detail is None
    assert row_mapping.attempt_state(RunState()) == {}


def test_facts_come_back_from_the_row() -> None:
    records = NodeRecord(output_name="X", output_value="v", pid=1, pid_started=2, spool="/s", shown={"command": "c"})
    assert row_mapping.node_record(_stored_node(0, NodeState(), records)) == records


def test_events_are_numbered_on_from_the_last_one() -> None:
    now = datetime.now(UTC)
    made = row_mapping.event_rows(7, 2, 5, [Change(None, {"a": 1}), Change(3, {"b": 2})], now)
    assert [(row.run_id, row.attempt, row.seq, row.position, row.data) for row in made] == [
        (7, 2, 6, None, {"a": 1}),
        (7, 2, 7, 3, {"b": 2}),
    ]


def test_every_field_of_the_engine_s_state_is_stored_or_derived() -> None:
    stored = {*NodeRow.__struct_fields__, *row_mapping._NODE_DETAIL}
    assert set(NodeState.__struct_fields__) <= stored
    derived = {"steps", "handlers", "ready", "running"}
    assert set(RunState.__struct_fields__) - derived <= {*RunChange.__struct_fields__, *row_mapping._RUN_DETAIL}

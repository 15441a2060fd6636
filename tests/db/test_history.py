"""What was written once and stays: events, logs, definitions, revisions."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import Conflict
from dagbook.db.models import LogChunk, Node, RunAttempt, RunEvent, RunRequest, SecretUse, Summary
from dagbook.db.repositories.runs import run_writes
from dagbook.db.repositories.runs.run_rows import NewSummary
from tests.db.rows import (
    NOW,
    add,
    add_chunk,
    add_dag,
    add_definition,
    add_event,
    add_request,
    add_revision,
    add_whole_run,
    rehearse,
    run_sql,
    stored,
    table_of,
)

EVENTS = table_of(RunEvent)
CHUNKS = table_of(LogChunk)
CUT = "a log chunk continues where the one before it ended"
FIXED = "a definition is never changed; its text may be redacted once, with time and name"


@pytest.mark.parametrize("numbers", [[0], [2], [1, 3], [1, 2, 2], [1, 2, 1], [-1]], ids=str)
async def test_events_are_numbered_without_gaps(shared_database: Database, numbers: list[int]) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_whole_run(connection)
        for number in numbers:
            add_event(connection, run_id, number)

    with pytest.raises(Conflict, match="the events of a run are numbered from one without gaps"):
        await rehearse(shared_database, work)


async def test_one_statement_may_bring_many_events(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_whole_run(connection)
        rows = [{"run_id": run_id, "seq": seq, "attempt": 1, "at": NOW, "data": {}} for seq in range(1, 51)]
        connection.execute(EVENTS.insert().values(rows[:25]))
        connection.execute(EVENTS.insert(), rows[25:])
        assert connection.scalar(select(func.max(EVENTS.c.seq))) == 50

    await rehearse(shared_database, work)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE run_events SET data = '{}' WHERE seq = 1", "an event is never changed"),
        ("DELETE FROM run_events WHERE seq = 2", "an event goes only together with its run"),
    ],
)
async def test_an_event_stays_as_it_is(shared_database: Database, statement: str, reason: str) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_whole_run(connection)
        add_event(connection, run_id, 1)
        add_event(connection, run_id, 2)
        run_sql(connection, statement)

    with pytest.raises(Conflict, match=reason):
        await rehearse(shared_database, work)


async def test_a_run_takes_everything_below_it_along(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_whole_run(connection)
        add_event(connection, run_id, 1)
        add_event(connection, run_id, 2)
        add_chunk(connection, run_id, 0)
        add_request(connection, run_id)
        add(connection, Summary, run_id=run_id, attempt=1, position=0, text="# done")
        add(connection, SecretUse, run_id=run_id, attempt=1, name="TOKEN", provider="env", key="T", version=None)
        run_sql(connection, "DELETE FROM runs")
        for model in (RunAttempt, Node, RunEvent, RunRequest, LogChunk, Summary, SecretUse):
            assert connection.scalar(select(func.count()).select_from(model)) == 0

    await rehearse(shared_database, work)


async def test_a_summary_replaces_the_one_before_and_is_that_of_a_node(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_whole_run(connection)
        for texts in (["first"], ["second", "third"]):  # of several in one transaction the last
            rows = [NewSummary(run_id=run_id, attempt=1, position=0, text=text) for text in texts]
            run_writes.put_summaries(connection, rows)
        assert list(connection.scalars(select(Summary.text))) == ["third"]

    await rehearse(shared_database, work)


@pytest.mark.parametrize("row", [{"position": 1}, {"attempt": 2}, {"text": "x" * 66_001}])
async def test_a_summary_without_a_node_or_of_any_length_is_refused(
    shared_database: Database, row: dict[str, Any]
) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_whole_run(connection)
        add(connection, Summary, **({"run_id": run_id, "attempt": 1, "position": 0, "text": "x"} | row))

    with pytest.raises(Conflict):
        await rehearse(shared_database, work)


@pytest.mark.parametrize(
    "last",
    [
        pytest.param({"seq": 3}, id="a number is missing"),
        pytest.param({"seq": -1}, id="a number below zero"),
        pytest.param({"seq": 2, "first_line": 2}, id="lines overlap"),
        pytest.param({"seq": 2, "first_line": 4}, id="lines are missing"),
        pytest.param({"seq": 2, "byte_offset": 11}, id="bytes overlap"),
        pytest.param({"seq": 2, "byte_offset": 13}, id="bytes are missing"),
        pytest.param({"seq": 0, "stream": 2, "first_line": 2}, id="a stream begins at its first line"),
        pytest.param({"seq": 0, "stream": 2, "byte_offset": 6}, id="a stream begins at its first byte"),
        pytest.param({"seq": 2, "stream": 2}, id="each stream has numbers of its own"),
    ],
)
async def test_log_chunks_follow_on_each_other(shared_database: Database, last: dict[str, Any]) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_whole_run(connection)
        add_chunk(connection, run_id, 0)
        add_chunk(connection, run_id, 1)
        add_chunk(connection, run_id, **last)

    with pytest.raises(Conflict, match=CUT):
        await rehearse(shared_database, work)


async def test_the_same_log_chunk_is_not_stored_twice(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_whole_run(connection)
        add_chunk(connection, run_id, 0)
        add_chunk(connection, run_id, 0)

    with pytest.raises(Conflict):
        await rehearse(shared_database, work)


async def test_one_statement_may_bring_many_log_chunks(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        run_id = add_whole_run(connection)
        key = {"run_id": run_id, "attempt": 1, "position": 0, "execution": 1, "received_at": NOW, "text": "a\n"}
        sizes = {"line_count": 1, "byte_count": 2}
        rows = [
            key | sizes | {"stream": stream, "seq": seq, "ordinal": seq, "first_line": seq + 1, "byte_offset": 2 * seq}
            for stream in (1, 2)
            for seq in range(10)
        ]
        connection.execute(CHUNKS.insert(), rows)
        assert connection.scalar(select(func.count()).select_from(CHUNKS)) == 20

    await rehearse(shared_database, work)


async def test_a_log_chunk_is_never_changed(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_chunk(connection, add_whole_run(connection), 0)
        run_sql(connection, "UPDATE log_chunks SET text = 'other'")

    with pytest.raises(Conflict, match="a log chunk is never changed"):
        await rehearse(shared_database, work)


@pytest.mark.parametrize(
    "change",
    [
        "spec = 'steps: [other]'",
        "base = NULL",
        "spec = NULL",
        "hash = 'b'",
        "redacted_at = :at, redacted_by = 'ann'",
        "redacted_at = :at, redacted_by = 'ann', spec = 'steps: [other]'",
        "redacted_at = :at, redacted_by = 'ann', spec = NULL, base = 'other'",
        "redacted_at = :at, redacted_by = 'ann', spec = NULL, hash = 'b'",
        "redacted_at = :at, spec = NULL",
    ],
)
async def test_a_definition_is_never_edited(shared_database: Database, change: str) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        values = {"at": stored(connection, NOW)} if ":at" in change else {}
        run_sql(connection, f"UPDATE definitions SET {change}", **values)  # noqa: S608  # the test's own words

    with pytest.raises(Conflict, match=FIXED):
        await rehearse(shared_database, work)


@pytest.mark.parametrize("keep_base", [True, False])
async def test_the_text_of_a_definition_is_redacted_once(shared_database: Database, keep_base: bool) -> None:
    kept = "" if keep_base else "base = NULL, "
    redaction = f"UPDATE definitions SET spec = NULL, {kept}redacted_at = :at, redacted_by = 'ann'"  # noqa: S608  # ours

    def once(connection: WriteConnection) -> None:
        add_definition(connection)
        run_sql(connection, redaction, at=stored(connection, NOW))

    def twice(connection: WriteConnection) -> None:
        once(connection)
        run_sql(connection, redaction, at=stored(connection, NOW))

    await rehearse(shared_database, once)
    with pytest.raises(Conflict, match=FIXED):
        await rehearse(shared_database, twice)


async def test_a_redacted_text_does_not_come_back(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        at = stored(connection, NOW)
        run_sql(connection, "UPDATE definitions SET spec = NULL, redacted_at = :at, redacted_by = 'ann'", at=at)
        run_sql(connection, "UPDATE definitions SET spec = 'x', redacted_at = NULL, redacted_by = NULL")

    with pytest.raises(Conflict, match=FIXED):
        await rehearse(shared_database, work)


async def test_a_definition_has_a_text_unless_it_was_redacted(shared_database: Database) -> None:
    with pytest.raises(Conflict, match="text_or_redacted"):
        await rehearse(shared_database, lambda connection: add_definition(connection, spec=None))


@pytest.mark.parametrize("user", [add_dag, add_whole_run])
async def test_a_definition_in_use_is_not_deleted(shared_database: Database, user: Any) -> None:
    def work(connection: WriteConnection) -> None:
        if user is add_dag:
            add_definition(connection)
        user(connection)
        run_sql(connection, "DELETE FROM definitions")

    with pytest.raises(Conflict, match=r"(?i)foreign key"):
        await rehearse(shared_database, work)


async def test_a_saved_revision_is_never_changed(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        add_revision(connection, add_dag(connection), 1)
        run_sql(connection, "UPDATE dag_revisions SET note = 'other'")

    with pytest.raises(Conflict, match="a saved revision is never changed"):
        await rehearse(shared_database, work)


async def test_revisions_go_with_their_dag(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        add_revision(connection, add_dag(connection), 1)
        run_sql(connection, "DELETE FROM dags")
        assert connection.exec_driver_sql("SELECT count(*) FROM dag_revisions").scalar() == 0

    await rehearse(shared_database, work)

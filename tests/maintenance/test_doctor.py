"""The doctor finds no violations in a healthy database, and each violation by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.repositories.invariants.findings import Finding, all_checks, find_broken
from tests.conftest import ROOT
from tests.db.rows import rehearse, run_sql
from tests.maintenance.scene import (
    LATER,
    MINUTE,
    OVER,
    RUNS,
    furnish,
    request_stop,
    run_lawlessly,
    without_guards,
)

GRACE, DAY = timedelta(minutes=3), timedelta(days=1)
DAYS_LATER = (LATER, LATER + 2 * DAY)

_OPEN_ALERT = """INSERT INTO alerts (kind, subject_kind, subject, opened_at, last_at, count, data)
VALUES ('failed', 'dag', 'other', :early, :early, 1, '{}')"""
# What somebody does by hand, past all guards, and the check that has to name it.
BREAKS: dict[str, Sequence[str]] = {
    "scheduled-run-has-its-slot": [
        """INSERT INTO schedule_slots (dag_id, kind, minute, file_name, outcome, made_up, settled_at)
        VALUES (1, 'start', :early, 'gone', 'skipped', FALSE, :early)""",
        "UPDATE runs SET trigger = 'schedule' WHERE id = :over",
    ],
    "over-run-closed-attempt": ["UPDATE run_attempts SET closed_at = NULL WHERE run_id = :over"],
    "open-run-open-attempt": ["UPDATE run_attempts SET closed_at = :late WHERE run_id = :runs"],
    "run-has-its-attempt": ["UPDATE runs SET attempt = 2 WHERE id = :over"],
    "attempts-without-gaps": ["UPDATE run_attempts SET number = 3 WHERE run_id = :retried AND number = 1"],
    "run-and-attempt-agree": ["UPDATE runs SET status = 2 WHERE id = :over"],
    "one-open-attempt": ["UPDATE run_attempts SET closed_at = NULL WHERE run_id = :retried"],
    "earlier-attempts-over": ["UPDATE run_attempts SET status = 1 WHERE run_id = :retried AND number = 1"],
    "run-has-inputs": ["DELETE FROM run_inputs WHERE run_id = :over"],
    "run-has-definition": ["UPDATE runs SET definition_hash = 'gone' WHERE id = :over"],
    "run-ends-after-start": ["UPDATE runs SET finished_at = :early WHERE id = :over"],
    "over-run-has-end": ["UPDATE runs SET finished_at = NULL WHERE id = :over"],
    "open-run-has-no-end": ["UPDATE runs SET finished_at = :late WHERE id = :runs"],
    "running-run-has-start": ["UPDATE runs SET started_at = NULL WHERE id = :runs"],
    "run-has-owner": ["UPDATE run_attempts SET owner = NULL WHERE run_id = :runs"],
    "queued-run-has-no-owner": ["UPDATE run_attempts SET owner = 'server' WHERE run_id = :waits"],
    "owner-lives": [
        """INSERT INTO services (id, kind, host, boot_id, pid_namespace, pid, pid_started, address, version, started_at,
        heartbeat_at, lease_until) SELECT 'dead', kind, host, boot_id, pid_namespace, pid, pid_started, address,
        version, started_at, :early, :early FROM services""",
        "UPDATE run_attempts SET owner = 'dead' WHERE run_id = :runs",
    ],
    "sub-run-in-its-callers-tree": ["UPDATE runs SET root_id = :over WHERE id = :called"],
    "sub-run-ends-with-its-caller": ["UPDATE runs SET parent_id = :over, root_id = :over WHERE id = :called"],
    "only-what-is-over-goes": ["INSERT INTO removals (run_id, begun_at) VALUES (:runs, :late)"],
    "stop-answered-before-the-end": [
        "INSERT INTO run_requests (run_id, kind, asked_at) VALUES (:over, 'stop', :early)"
    ],
    "stop-is-heard": ["INSERT INTO run_requests (run_id, kind, asked_at) VALUES (:runs, 'stop', :early)"],
    "over-run-no-running-node": ["UPDATE nodes SET status = 1 WHERE run_id = :over AND position = 0"],
    "closed-attempt-no-running-node": ["UPDATE nodes SET status = 1 WHERE run_id = :retried AND attempt = 1"],
    "running-node-in-running-run": ["UPDATE nodes SET status = 1 WHERE run_id = :waits"],
    "running-node-has-start": ["UPDATE nodes SET started_at = NULL WHERE run_id = :runs"],
    "succeeded-run-began-all-steps": ["UPDATE nodes SET status = 0 WHERE run_id = :over AND position = 1"],
    "node-ends-after-start": ["UPDATE nodes SET finished_at = :early WHERE run_id = :over AND position = 0"],
    "ended-node-is-settled": ["UPDATE nodes SET finished_at = :late WHERE run_id = :runs AND position = 0"],
    "settled-node-has-end": ["UPDATE nodes SET finished_at = NULL WHERE run_id = :over AND position = 0"],
    "node-ends-before-its-run": ["UPDATE nodes SET finished_at = :late WHERE run_id = :over AND position = 0"],
    "succeeded-node-was-executed": ["UPDATE nodes SET execution = 0 WHERE run_id = :over AND position = 0"],
    "kept-node-was-there": [
        "UPDATE nodes SET log_attempt = 2 WHERE run_id = :retried AND attempt = 2 AND position = 0"
    ],
    "steps-without-gaps": ["UPDATE nodes SET position = 7 WHERE run_id = :over AND position = 1"],
    "attempts-have-the-same-nodes": ["DELETE FROM nodes WHERE run_id = :retried AND attempt = 2 AND position = 1"],
    "history-without-gaps": ["DELETE FROM run_events WHERE run_id = :over AND seq = 2"],
    "history-begins-with-the-run": ["UPDATE run_events SET data = '{}' WHERE run_id = :over AND seq = 1"],
    "history-tells-the-end": ["UPDATE runs SET status = 2 WHERE id = :over"],
    "history-ends-with-the-run": [
        "INSERT INTO run_events (run_id, seq, attempt, at, position, data) VALUES (:over, 5, 1, :late, 0, '{}')"
    ],
    "history-knows-its-nodes": ["UPDATE run_events SET position = 9 WHERE run_id = :runs AND seq = 2"],
    "log-without-gaps": ["DELETE FROM log_chunks WHERE run_id = :over AND stream = 1 AND seq = 0"],
    "log-adds-up": ["UPDATE log_chunks SET first_line = 5 WHERE run_id = :over AND stream = 1 AND seq = 1"],
    "log-in-order": ["UPDATE log_chunks SET ordinal = 1 WHERE run_id = :over AND stream = 2"],
    "log-of-a-begun-node": ["UPDATE nodes SET started_at = NULL WHERE run_id = :over"],
    "log-of-a-known-execution": ["UPDATE log_chunks SET execution = 2 WHERE run_id = :over"],
    "kept-node-has-no-log": ["UPDATE log_chunks SET attempt = 2 WHERE run_id = :retried"],
    "queued-run-has-a-place": ["DELETE FROM queue_entries"],
    "place-of-a-queued-run": ["UPDATE queue_entries SET run_id = :over"],
    "place-in-the-runs-queue": ["UPDATE queue_entries SET queue = 'other'"],
    "no-sub-run-waits": ["UPDATE queue_entries SET run_id = :called"],
    "dag-has-its-revision": ["UPDATE dags SET revision = 2"],
    "revisions-without-gaps": ["UPDATE dag_revisions SET number = 2", "UPDATE dags SET revision = 2"],
    "dag-is-readable": ["UPDATE definitions SET spec = NULL"],
    "an-admin-is-left": ["UPDATE users SET role = 'viewer'"],
    "failure-has-its-event": ["DELETE FROM alert_events"],
    "event-is-routed": ["UPDATE alert_events SET routed_at = NULL, outcome = NULL"],
    "message-is-tried": ["UPDATE alert_deliveries SET status = 'pending', sent_at = NULL, tries = 0"],
    "one-open-alert": [_OPEN_ALERT, _OPEN_ALERT],
    "sent-message-has-its-answer": ["UPDATE alert_deliveries SET attempts = '[]'"],
    "run-of-one-event": [
        "UPDATE runs SET trigger = 'webhook' WHERE id = :over",
        "UPDATE trigger_events SET run_id = NULL WHERE id = 'over'",
    ],
    "event-waits-for-something": ["UPDATE triggers SET paused_at = NULL, paused_by = NULL"],
    "open-batch-has-open-items": ["UPDATE batch_items SET state = 'done'"],
    "open-batch-has-runs": ["UPDATE batches SET paused_at = NULL, paused_by = NULL"],
    "references-lead-somewhere": ["UPDATE nodes SET run_id = 99 WHERE run_id = :waits"],
}


def _found(connection: ReadConnection) -> dict[str, Finding]:
    return {finding.name: finding for finding in find_broken(connection, LATER, GRACE) if finding.count}


def test_there_are_at_least_twenty_five_checks_and_each_is_broken_here() -> None:
    names = [check.name for check in all_checks()]
    assert len(set(names)) == len(names) >= 25
    assert set(names) == set(BREAKS)


def test_the_page_of_the_doctor_has_the_line_of_every_check() -> None:
    page = (ROOT / "docs" / "how-to" / "doctor.md").read_text().splitlines()
    assert [check.name for check in all_checks() if f"| `{check.name}` | {check.holds} |" not in page] == []


async def test_a_healthy_database_has_no_violations(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        furnish(connection)
        assert _found(connection) == {}

    await rehearse(shared_database, look)


@pytest.mark.parametrize("name", BREAKS)
async def test_each_violation_is_found(shared_database: Database, name: str) -> None:
    def look(connection: WriteConnection) -> None:
        furnish(connection)
        with without_guards(connection):
            for statement in BREAKS[name]:
                run_lawlessly(connection, statement)
        assert name in _found(connection)

    await rehearse(shared_database, look)


async def test_the_logs_of_a_run_that_is_being_deleted_may_be_incomplete(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        furnish(connection)
        run_lawlessly(connection, "INSERT INTO removals (run_id, begun_at) VALUES (:over, :late)")
        run_lawlessly(connection, "DELETE FROM log_chunks WHERE run_id = :over AND stream = 1 AND seq = 1")
        assert _found(connection) == {}

    await rehearse(shared_database, look)


def _lawful(break_it: Callable[[WriteConnection], None]) -> Callable[[WriteConnection], None]:
    def look(connection: WriteConnection) -> None:
        furnish(connection)
        break_it(connection)
        assert _found(connection) == {}

    return look


@pytest.mark.parametrize("after", [timedelta(hours=2), timedelta(hours=1, minutes=59, seconds=30)])
async def test_a_recent_stop_request_may_be_unanswered(shared_database: Database, after: timedelta) -> None:
    await rehearse(shared_database, _lawful(lambda connection: request_stop(connection, RUNS, after)))


async def test_a_stop_may_be_too_late_for_a_run_that_finishes(shared_database: Database) -> None:
    await rehearse(shared_database, _lawful(lambda connection: request_stop(connection, OVER, MINUTE / 2)))


async def test_a_dead_owner_is_valid_without_a_server_to_adopt_its_runs(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        furnish(connection)
        run_sql(connection, "UPDATE services SET lease_until = started_at, heartbeat_at = started_at")
        assert _found(connection) == {}

    await rehearse(shared_database, work)


async def test_a_failure_without_its_event_is_named_with_its_attempt(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        furnish(connection)
        run_lawlessly(connection, "DELETE FROM alert_events")
        finding = _found(connection)["failure-has-its-event"]
        assert finding.rows == [{"dag_name": "etl", "run_id": "retried", "attempt": 1}]

    await rehearse(shared_database, look)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE alert_rules SET enabled = FALSE",
        "UPDATE alert_rules SET created_at = :late",
        # As that of an imported run.
        "UPDATE run_attempts SET owner = NULL, token = token + 1 WHERE number = 1 AND closed_at IS NOT NULL",
    ],
)
async def test_a_failure_that_no_rule_was_there_for_has_no_event(shared_database: Database, statement: str) -> None:
    def work(connection: WriteConnection) -> None:
        run_lawlessly(connection, "DELETE FROM alert_events")
        run_lawlessly(connection, statement)

    await rehearse(shared_database, _lawful(work))


async def test_an_event_may_have_been_deleted_by_the_retention(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        furnish(connection)
        run_lawlessly(connection, "DELETE FROM alert_events")
        names = [{each.name for each in find_broken(connection, now, GRACE, DAY) if each.count} for now in DAYS_LATER]
        assert ["failure-has-its-event" in each for each in names] == [True, False]

    await rehearse(shared_database, look)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE services SET lease_until = started_at, heartbeat_at = started_at",
        "UPDATE alert_channels SET next_try_at = :late",
        "UPDATE alert_channels SET interval_seconds = 7200",
        """INSERT INTO alert_deliveries (id, channel_id, channel, type, purpose, number, created_at, due_at, status,
        tries, attempts) SELECT 'd2', channel_id, channel, type, purpose, 1, created_at, due_at, status, 1, '[]'
        FROM alert_deliveries""",
    ],
)
async def test_a_message_waits_for_a_server_and_for_its_channel(shared_database: Database, statement: str) -> None:
    def look(connection: WriteConnection) -> None:
        furnish(connection)
        with without_guards(connection):
            run_lawlessly(connection, BREAKS["message-is-tried"][0])
        assert "message-is-tried" in _found(connection)
        run_lawlessly(connection, statement)
        assert "message-is-tried" not in _found(connection)

    await rehearse(shared_database, look)


async def test_all_broken_rows_are_counted_and_the_first_are_shown(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        furnish(connection)
        with without_guards(connection):
            run_lawlessly(connection, "UPDATE runs SET queue = 'elsewhere'")
            run_lawlessly(connection, "DELETE FROM run_inputs")
        finding = _found(connection)["run-has-inputs"]
        assert finding.count == 5
        assert {"dag_name": "etl", "run_id": "over"} in finding.rows

    await rehearse(shared_database, look)

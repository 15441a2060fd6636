"""Questions to a database at rest whose answer must be nothing, whatever its servers went through."""

from __future__ import annotations

from tests.process import store

# What is wrong, and the statement that finds where. A run that is over is 2, 3, 4 or 6, a settled node also 5.
QUERIES = {
    "a run that is over has an open node": """
        SELECT n.run_id, n.name FROM nodes n JOIN runs r ON r.id = n.run_id AND r.attempt = n.attempt
        WHERE r.status IN (2, 3, 4, 6) AND n.status = 1""",
    "a run succeeded although a step did not begin": """
        SELECT n.run_id, n.name FROM nodes n JOIN runs r ON r.id = n.run_id AND r.attempt = n.attempt
        WHERE r.status = 4 AND n.status = 0 AND n.position >= 0""",
    "a run that is over has an open attempt": """
        SELECT r.id FROM runs r JOIN run_attempts a ON a.run_id = r.id
        WHERE r.status IN (2, 3, 4, 6) AND a.closed_at IS NULL""",
    "the attempt of a run that is not over is closed": """
        SELECT r.id FROM runs r JOIN run_attempts a ON a.run_id = r.id AND a.number = r.attempt
        WHERE r.status NOT IN (2, 3, 4, 6) AND a.closed_at IS NOT NULL""",
    "run and attempt disagree": """
        SELECT r.id, r.status, a.status FROM runs r JOIN run_attempts a ON a.run_id = r.id AND a.number = r.attempt
        WHERE r.status <> a.status""",
    "a run is without its attempt": """
        SELECT r.id FROM runs r LEFT JOIN run_attempts a ON a.run_id = r.id AND a.number = r.attempt
        WHERE a.run_id IS NULL""",
    "a run has two open attempts": """
        SELECT run_id FROM run_attempts WHERE closed_at IS NULL GROUP BY run_id HAVING COUNT(*) > 1""",
    "a run is without its inputs": """
        SELECT r.id FROM runs r LEFT JOIN run_inputs i ON i.run_id = r.id WHERE i.run_id IS NULL""",
    "a run is without its definition": """
        SELECT r.id FROM runs r LEFT JOIN definitions d ON d.hash = r.definition_hash WHERE d.hash IS NULL""",
    "events are missing": """
        SELECT r.id FROM runs r LEFT JOIN run_events e ON e.run_id = r.id
        GROUP BY r.id HAVING COUNT(e.seq) = 0 OR MIN(e.seq) <> 1 OR MAX(e.seq) <> COUNT(e.seq)""",
    "the history of a run that is over does not end with the run": """
        SELECT r.id FROM runs r JOIN run_events e ON e.run_id = r.id
        WHERE r.status IN (2, 3, 4, 6) AND e.position IS NOT NULL
          AND e.seq = (SELECT MAX(seq) FROM run_events WHERE run_id = r.id)""",
    "a run finished before it started": "SELECT id FROM runs WHERE finished_at < started_at",
    "a run that is over has no end": "SELECT id FROM runs WHERE status IN (2, 3, 4, 6) AND finished_at IS NULL",
    "a node finished before it started": "SELECT run_id, name FROM nodes WHERE finished_at < started_at",
    "a node has an end and still runs": """
        SELECT run_id, name FROM nodes WHERE finished_at IS NOT NULL AND status NOT IN (2, 3, 4, 5, 6)""",
    "a node that was begun and settled has no end": """
        SELECT run_id, name FROM nodes
        WHERE status IN (2, 3, 4, 5, 6) AND started_at IS NOT NULL AND finished_at IS NULL""",
    "a node ended after its run": """
        SELECT n.run_id, n.name FROM nodes n JOIN runs r ON r.id = n.run_id AND r.attempt = n.attempt
        WHERE r.status IN (2, 3, 4, 6) AND n.finished_at > r.finished_at""",
    "a node succeeded without an execution": "SELECT run_id, name FROM nodes WHERE status = 4 AND execution = 0",
    "chunks of a log are missing": """
        SELECT run_id, attempt, position, stream FROM log_chunks GROUP BY run_id, attempt, position, stream
        HAVING MIN(seq) <> 0 OR MAX(seq) <> COUNT(*) - 1 OR MIN(first_line) <> 1 OR MIN(byte_offset) <> 0""",
    "the order of a node's chunks has a gap": """
        SELECT run_id, attempt, position FROM log_chunks GROUP BY run_id, attempt, position
        HAVING MIN(ordinal) <> 0 OR MAX(ordinal) <> COUNT(*) - 1 OR COUNT(DISTINCT ordinal) <> COUNT(*)""",
    "a node has a log and was never begun": """
        SELECT DISTINCT l.run_id, n.name FROM log_chunks l
        JOIN nodes n ON n.run_id = l.run_id AND n.attempt = l.attempt AND n.position = l.position
        WHERE n.started_at IS NULL OR n.execution = 0""",
    "a run is queued and has no place in a queue": """
        SELECT r.id FROM runs r LEFT JOIN queue_entries q ON q.run_id = r.id WHERE r.status = 5 AND q.id IS NULL""",
    "a run has a place in a queue and is not queued": """
        SELECT r.id, r.status FROM runs r JOIN queue_entries q ON q.run_id = r.id WHERE r.status <> 5""",
    "a run is queued and has an owner": """
        SELECT run_id FROM run_attempts WHERE status = 5 AND owner IS NOT NULL""",
    "a scheduled run belongs to no time of a schedule": """
        SELECT r.id FROM runs r LEFT JOIN schedule_slots s ON s.run_id = r.id
        WHERE r.trigger = 'schedule' AND s.run_id IS NULL""",
    "a time of a schedule has begun a run that is not there": """
        SELECT dag_id, kind, minute FROM schedule_slots
        WHERE outcome IN ('started', 'queued', 'restarted') AND run_id IS NULL""",
    "a stop was asked of a run that is over and is still waiting": """
        SELECT q.id FROM run_requests q JOIN runs r ON r.id = q.run_id
        WHERE q.handled_at IS NULL AND r.status IN (2, 3, 4, 6) AND q.asked_at < r.finished_at""",
}


def find_violations(url: str) -> list[str]:
    """Ask all questions and return a sentence for each row found."""
    return [f"{wrong}: {tuple(row)}" for wrong, rows in store.query_all(url, QUERIES).items() for row in rows[:5]]

-- Statements end at a blank line. Conditions are in WHEN, so that a permitted write costs a comparison or a key lookup.
-- The tables of allowed changes are those of dagbook/engine/status.py: 0 not started, 1 running, 2 failed, 3 aborted,
-- 4 succeeded, 5 queued (a run) or skipped (a node), 6 partially succeeded.

CREATE TRIGGER guard_definitions_insert BEFORE INSERT ON definitions
WHEN EXISTS (SELECT 1 FROM definitions WHERE hash = NEW.hash AND (spec <> NEW.spec OR base <> NEW.base))
BEGIN SELECT RAISE(ABORT, 'a definition cannot be replaced by another text'); END;

CREATE TRIGGER guard_definitions_update BEFORE UPDATE ON definitions
WHEN NOT (
  OLD.redacted_at IS NULL AND NEW.redacted_at IS NOT NULL AND NEW.redacted_by IS NOT NULL
  AND NEW.hash IS OLD.hash AND NEW.created_at IS OLD.created_at
  AND NEW.spec IS NULL AND (NEW.base IS NULL OR NEW.base IS OLD.base)
)
BEGIN SELECT RAISE(ABORT, 'a definition is never changed; its text may be redacted once, with time and name'); END;

CREATE TRIGGER guard_dag_revisions_update BEFORE UPDATE ON dag_revisions
BEGIN SELECT RAISE(ABORT, 'a saved revision is never changed'); END;

CREATE TRIGGER guard_runs_insert BEFORE INSERT ON runs
WHEN NEW.status NOT IN (0, 5)
BEGIN SELECT RAISE(ABORT, 'a run begins as not started or queued'); END;

CREATE TRIGGER guard_runs_status BEFORE UPDATE OF status, attempt ON runs
WHEN NEW.attempt = OLD.attempt AND NEW.status <> OLD.status AND NOT (
  (OLD.status IN (0, 5) AND NEW.status IN (1, 2, 3)) OR (OLD.status = 1 AND NEW.status IN (2, 3, 4, 6))
)
BEGIN SELECT RAISE(ABORT, 'a run cannot go from its status to this one in the same attempt'); END;

CREATE TRIGGER guard_runs_attempt BEFORE UPDATE OF status, attempt ON runs
WHEN NEW.attempt <> OLD.attempt AND NOT (
  (NEW.attempt = OLD.attempt + 1 AND OLD.status IN (2, 3, 4, 6) AND NEW.status IN (0, 1, 5))
  OR (
    NEW.attempt = OLD.attempt - 1 AND OLD.status = 5 AND NEW.status IN (2, 3, 4, 6)
    AND NEW.status IS (SELECT status FROM run_attempts WHERE run_id = NEW.id AND number = NEW.attempt)
  )
)
BEGIN SELECT RAISE(ABORT, 'a run cannot change to this attempt with this status'); END;

CREATE TRIGGER guard_run_attempts_status BEFORE UPDATE OF status ON run_attempts
WHEN OLD.status IN (2, 3, 4, 6) AND NEW.status <> OLD.status
BEGIN SELECT RAISE(ABORT, 'a closed attempt keeps its status'); END;

CREATE TRIGGER guard_run_attempts_closed BEFORE UPDATE OF closed_at ON run_attempts
WHEN OLD.closed_at IS NOT NULL AND NEW.closed_at IS NOT OLD.closed_at
BEGIN SELECT RAISE(ABORT, 'a closed attempt stays closed'); END;

CREATE TRIGGER guard_run_attempts_token BEFORE UPDATE OF owner, token ON run_attempts
WHEN NEW.token < OLD.token OR (NEW.token = OLD.token AND NEW.owner IS NOT OLD.owner)
BEGIN SELECT RAISE(ABORT, 'the token of an attempt only grows, and grows with every change of owner'); END;

CREATE TRIGGER guard_nodes_insert BEFORE INSERT ON nodes
WHEN NEW.status <> 0 AND (NEW.status = 1 OR NEW.attempt = 1)
BEGIN SELECT RAISE(ABORT, 'a node begins as not started, or in a retry with the status it keeps'); END;

CREATE TRIGGER guard_nodes_status BEFORE UPDATE OF status ON nodes
WHEN NEW.status <> OLD.status AND NOT (
  (OLD.status = 0 AND NEW.status IN (1, 2, 3, 5)) OR (OLD.status = 1 AND NEW.status IN (2, 3, 4, 5, 6))
  OR (
    OLD.status <> 1 AND NEW.status <> 1 AND NEW.edited_at IS NOT NULL AND NEW.edited_at IS NOT OLD.edited_at
    AND EXISTS (SELECT 1 FROM runs WHERE id = NEW.run_id AND status NOT IN (0, 1))
  )
)
BEGIN SELECT RAISE(ABORT, 'a node cannot go from its status to this one'); END;

CREATE TRIGGER guard_nodes_log_insert BEFORE INSERT ON nodes
WHEN NEW.log_attempt >= NEW.attempt
BEGIN SELECT RAISE(ABORT, 'the log that a node has kept is that of an earlier attempt'); END;

CREATE TRIGGER guard_nodes_log_update BEFORE UPDATE OF log_attempt ON nodes
WHEN NEW.log_attempt IS NOT OLD.log_attempt
BEGIN SELECT RAISE(ABORT, 'whose log a node shows is settled when it begins'); END;

CREATE TRIGGER guard_run_events_insert BEFORE INSERT ON run_events
WHEN NEW.seq <> COALESCE((SELECT seq FROM run_events WHERE run_id = NEW.run_id ORDER BY seq DESC LIMIT 1), 0) + 1
BEGIN SELECT RAISE(ABORT, 'the events of a run are numbered from one without gaps'); END;

CREATE TRIGGER guard_run_events_update BEFORE UPDATE ON run_events
BEGIN SELECT RAISE(ABORT, 'an event is never changed'); END;

CREATE TRIGGER guard_run_events_delete BEFORE DELETE ON run_events
WHEN EXISTS (SELECT 1 FROM runs WHERE id = OLD.run_id)
BEGIN SELECT RAISE(ABORT, 'an event goes only together with its run'); END;

CREATE TRIGGER guard_log_chunks_insert BEFORE INSERT ON log_chunks
WHEN CASE NEW.seq
  WHEN 0 THEN NEW.first_line <> 1 OR NEW.byte_offset <> 0
  ELSE NOT EXISTS (
    SELECT 1 FROM log_chunks
    WHERE run_id = NEW.run_id AND attempt = NEW.attempt AND position = NEW.position AND stream = NEW.stream
      AND seq = NEW.seq - 1 AND first_line + line_count = NEW.first_line AND byte_offset + byte_count = NEW.byte_offset
  )
END
BEGIN SELECT RAISE(ABORT, 'a log chunk continues where the one before it ended'); END;

CREATE TRIGGER guard_log_chunks_update BEFORE UPDATE ON log_chunks
BEGIN SELECT RAISE(ABORT, 'a log chunk is never changed'); END;

CREATE TRIGGER guard_audit_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'an audit entry is never changed'); END;

CREATE TRIGGER guard_audit_delete BEFORE DELETE ON audit
WHEN (SELECT pruned_at FROM audit_seals WHERE last_id >= OLD.id ORDER BY last_id LIMIT 1) IS NULL
BEGIN SELECT RAISE(ABORT, 'an audit entry goes only when the seal over it is marked as pruned'); END;

CREATE TRIGGER guard_audit_seals_insert BEFORE INSERT ON audit_seals
WHEN NEW.pruned_at IS NOT NULL
  OR NEW.number <> COALESCE((SELECT number FROM audit_seals ORDER BY number DESC LIMIT 1), 0) + 1
  OR NEW.first_id <= COALESCE((SELECT last_id FROM audit_seals ORDER BY number DESC LIMIT 1), 0)
BEGIN SELECT RAISE(ABORT, 'a seal follows the last one, in its number and in its entries'); END;

CREATE TRIGGER guard_audit_seals_update BEFORE UPDATE ON audit_seals
WHEN NOT (
  OLD.pruned_at IS NULL AND NEW.pruned_at IS NOT NULL AND NEW.marks IS NULL
  AND NEW.number IS OLD.number AND NEW.first_id IS OLD.first_id AND NEW.last_id IS OLD.last_id
  AND NEW.entries IS OLD.entries AND NEW.digest IS OLD.digest AND NEW.hash IS OLD.hash
  AND NEW.signature IS OLD.signature AND NEW.sealed_at IS OLD.sealed_at
  AND NOT EXISTS (SELECT 1 FROM audit_seals WHERE number = OLD.number - 1 AND pruned_at IS NULL)
)
BEGIN SELECT RAISE(ABORT, 'a seal is never changed; it may be marked as pruned once, after those before it'); END;

CREATE TRIGGER guard_audit_seals_delete BEFORE DELETE ON audit_seals
BEGIN SELECT RAISE(ABORT, 'a seal is kept for ever'); END;

-- Statements end at a blank line. The rules and messages are those of sqlite.sql. A condition that needs no other row is
-- in WHEN, and the function only raises the error; a permitted write then never enters plpgsql.

CREATE FUNCTION guard_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER guard_definitions_update BEFORE UPDATE ON definitions FOR EACH ROW
WHEN (NOT (
  OLD.redacted_at IS NULL AND NEW.redacted_at IS NOT NULL AND NEW.redacted_by IS NOT NULL
  AND NEW.hash = OLD.hash AND NEW.created_at = OLD.created_at
  AND NEW.spec IS NULL AND (NEW.base IS NULL OR NEW.base IS NOT DISTINCT FROM OLD.base)
))
EXECUTE FUNCTION guard_refuse('a definition is never changed; its text may be redacted once, with time and name');

CREATE TRIGGER guard_dag_revisions_update BEFORE UPDATE ON dag_revisions FOR EACH ROW
EXECUTE FUNCTION guard_refuse('a saved revision is never changed');

CREATE TRIGGER guard_runs_insert BEFORE INSERT ON runs FOR EACH ROW
WHEN (NEW.status NOT IN (0, 5))
EXECUTE FUNCTION guard_refuse('a run begins as not started or queued');

CREATE TRIGGER guard_runs_status BEFORE UPDATE OF status, attempt ON runs FOR EACH ROW
WHEN (NEW.attempt = OLD.attempt AND NEW.status <> OLD.status AND NOT (
  (OLD.status IN (0, 5) AND NEW.status IN (1, 2, 3)) OR (OLD.status = 1 AND NEW.status IN (2, 3, 4, 6))
))
EXECUTE FUNCTION guard_refuse('a run cannot go from its status to this one in the same attempt');

CREATE FUNCTION guard_runs_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.attempt = OLD.attempt - 1 AND OLD.status = 5 AND NEW.status IN (2, 3, 4, 6)
    AND EXISTS (SELECT 1 FROM run_attempts WHERE run_id = NEW.id AND number = NEW.attempt AND status = NEW.status)
  THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a run cannot change to this attempt with this status' USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER guard_runs_attempt BEFORE UPDATE OF status, attempt ON runs FOR EACH ROW
WHEN (NEW.attempt <> OLD.attempt AND NOT (
  NEW.attempt = OLD.attempt + 1 AND OLD.status IN (2, 3, 4, 6) AND NEW.status IN (0, 1, 5)
))
EXECUTE FUNCTION guard_runs_attempt();

CREATE TRIGGER guard_run_attempts_status BEFORE UPDATE OF status ON run_attempts FOR EACH ROW
WHEN (OLD.status IN (2, 3, 4, 6) AND NEW.status <> OLD.status)
EXECUTE FUNCTION guard_refuse('a closed attempt keeps its status');

CREATE TRIGGER guard_run_attempts_closed BEFORE UPDATE OF closed_at ON run_attempts FOR EACH ROW
WHEN (OLD.closed_at IS NOT NULL AND NEW.closed_at IS DISTINCT FROM OLD.closed_at)
EXECUTE FUNCTION guard_refuse('a closed attempt stays closed');

CREATE TRIGGER guard_run_attempts_token BEFORE UPDATE OF owner, token ON run_attempts FOR EACH ROW
WHEN (NEW.token < OLD.token OR (NEW.token = OLD.token AND NEW.owner IS DISTINCT FROM OLD.owner))
EXECUTE FUNCTION guard_refuse('the token of an attempt only grows, and grows with every change of owner');

CREATE TRIGGER guard_nodes_insert BEFORE INSERT ON nodes FOR EACH ROW
WHEN (NEW.status <> 0 AND (NEW.status = 1 OR NEW.attempt = 1))
EXECUTE FUNCTION guard_refuse('a node begins as not started, or in a retry with the status it keeps');

CREATE FUNCTION guard_nodes_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.status <> 1 AND NEW.status <> 1
    AND NEW.edited_at IS NOT NULL AND NEW.edited_at IS DISTINCT FROM OLD.edited_at
    AND EXISTS (SELECT 1 FROM runs WHERE id = NEW.run_id AND status NOT IN (0, 1))
  THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a node cannot go from its status to this one' USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER guard_nodes_status BEFORE UPDATE OF status ON nodes FOR EACH ROW
WHEN (NEW.status <> OLD.status AND NOT (
  (OLD.status = 0 AND NEW.status IN (1, 2, 3, 5)) OR (OLD.status = 1 AND NEW.status IN (2, 3, 4, 5, 6))
))
EXECUTE FUNCTION guard_nodes_status();

CREATE TRIGGER guard_nodes_log_insert BEFORE INSERT ON nodes FOR EACH ROW
WHEN (NEW.log_attempt >= NEW.attempt)
EXECUTE FUNCTION guard_refuse('the log that a node has kept is that of an earlier attempt');

CREATE TRIGGER guard_nodes_log_update BEFORE UPDATE OF log_attempt ON nodes FOR EACH ROW
WHEN (NEW.log_attempt IS DISTINCT FROM OLD.log_attempt)
EXECUTE FUNCTION guard_refuse('whose log a node shows is settled when it begins');

CREATE FUNCTION guard_run_events_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.seq = COALESCE((SELECT seq FROM run_events WHERE run_id = NEW.run_id ORDER BY seq DESC LIMIT 1), 0) + 1 THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'the events of a run are numbered from one without gaps' USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER guard_run_events_insert BEFORE INSERT ON run_events FOR EACH ROW
EXECUTE FUNCTION guard_run_events_insert();

CREATE TRIGGER guard_run_events_update BEFORE UPDATE ON run_events FOR EACH ROW
EXECUTE FUNCTION guard_refuse('an event is never changed');

CREATE FUNCTION guard_run_events_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM runs WHERE id = OLD.run_id) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'an event goes only together with its run' USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER guard_run_events_delete BEFORE DELETE ON run_events FOR EACH ROW
EXECUTE FUNCTION guard_run_events_delete();

CREATE TRIGGER guard_run_events_truncate BEFORE TRUNCATE ON run_events
EXECUTE FUNCTION guard_refuse('an event goes only together with its run');

CREATE FUNCTION guard_log_chunks_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.seq = 0 THEN
    IF NEW.first_line = 1 AND NEW.byte_offset = 0 THEN
      RETURN NEW;
    END IF;
  ELSIF EXISTS (
    SELECT 1 FROM log_chunks
    WHERE run_id = NEW.run_id AND attempt = NEW.attempt AND position = NEW.position AND stream = NEW.stream
      AND seq = NEW.seq - 1 AND first_line + line_count = NEW.first_line AND byte_offset + byte_count = NEW.byte_offset
  ) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a log chunk continues where the one before it ended' USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER guard_log_chunks_insert BEFORE INSERT ON log_chunks FOR EACH ROW
EXECUTE FUNCTION guard_log_chunks_insert();

CREATE TRIGGER guard_log_chunks_update BEFORE UPDATE ON log_chunks FOR EACH ROW
EXECUTE FUNCTION guard_refuse('a log chunk is never changed');

CREATE TRIGGER guard_audit_update BEFORE UPDATE ON audit FOR EACH ROW
EXECUTE FUNCTION guard_refuse('an audit entry is never changed');

CREATE FUNCTION guard_audit_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT pruned_at FROM audit_seals WHERE last_id >= OLD.id ORDER BY last_id LIMIT 1) IS NOT NULL THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'an audit entry goes only when the seal over it is marked as pruned' USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER guard_audit_delete BEFORE DELETE ON audit FOR EACH ROW
EXECUTE FUNCTION guard_audit_delete();

CREATE TRIGGER guard_audit_truncate BEFORE TRUNCATE ON audit
EXECUTE FUNCTION guard_refuse('an audit entry goes only when the seal over it is marked as pruned');

CREATE FUNCTION guard_audit_seals_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.pruned_at IS NULL
    AND NEW.number = COALESCE((SELECT number FROM audit_seals ORDER BY number DESC LIMIT 1), 0) + 1
    AND NEW.first_id > COALESCE((SELECT last_id FROM audit_seals ORDER BY number DESC LIMIT 1), 0)
  THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a seal follows the last one, in its number and in its entries' USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER guard_audit_seals_insert BEFORE INSERT ON audit_seals FOR EACH ROW
EXECUTE FUNCTION guard_audit_seals_insert();

CREATE FUNCTION guard_audit_seals_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.pruned_at IS NULL AND NEW.pruned_at IS NOT NULL AND NEW.marks IS NULL
    AND NEW.number = OLD.number AND NEW.first_id = OLD.first_id AND NEW.last_id = OLD.last_id
    AND NEW.entries = OLD.entries AND NEW.digest = OLD.digest AND NEW.hash = OLD.hash
    AND NEW.signature = OLD.signature AND NEW.sealed_at = OLD.sealed_at
    AND NOT EXISTS (SELECT 1 FROM audit_seals WHERE number = OLD.number - 1 AND pruned_at IS NULL)
  THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a seal is never changed; it may be marked as pruned once, after those before it'
    USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER guard_audit_seals_update BEFORE UPDATE ON audit_seals FOR EACH ROW
EXECUTE FUNCTION guard_audit_seals_update();

CREATE TRIGGER guard_audit_seals_delete BEFORE DELETE ON audit_seals FOR EACH ROW
EXECUTE FUNCTION guard_refuse('a seal is kept for ever');

CREATE TRIGGER guard_audit_seals_truncate BEFORE TRUNCATE ON audit_seals
EXECUTE FUNCTION guard_refuse('a seal is kept for ever');

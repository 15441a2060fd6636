-- Statements end at a blank line. What 0017 adds to 0009: a run that changes makes its block stale.

CREATE FUNCTION guard_blocks_mark() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Whoever writes blocks holds this lock alone: he sees what we have changed, or we see what he has written.
  PERFORM pg_advisory_xact_lock_shared(hashtext('dagbook run blocks'));
  IF TG_OP <> 'INSERT' THEN
    UPDATE run_blocks SET form = '', items = NULL WHERE dag_name = OLD.dag_name AND form <> '' AND newest = (
      SELECT newest FROM run_blocks WHERE dag_name = OLD.dag_name AND newest >= OLD.created_at ORDER BY newest LIMIT 1
    );
  END IF;
  IF TG_OP <> 'DELETE' THEN
    UPDATE run_blocks SET form = '', items = NULL WHERE dag_name = NEW.dag_name AND form <> '' AND newest = (
      SELECT newest FROM run_blocks WHERE dag_name = NEW.dag_name AND newest >= NEW.created_at ORDER BY newest LIMIT 1
    );
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER guard_blocks_insert AFTER INSERT ON runs FOR EACH ROW
WHEN (NEW.root_id IS NULL AND NEW.created_at < clock_timestamp() - interval '1 minute')
EXECUTE FUNCTION guard_blocks_mark();

CREATE TRIGGER guard_blocks_update AFTER UPDATE OF
  dag_name, run_id, root_id, dag_revision, params_text, status, created_at, queued_at, started_at, finished_at
ON runs FOR EACH ROW
WHEN ((OLD.root_id IS NULL OR NEW.root_id IS NULL) AND (
  OLD.status IN (2, 3, 4, 6) OR NEW.dag_name <> OLD.dag_name OR NEW.created_at <> OLD.created_at
  OR NEW.root_id IS DISTINCT FROM OLD.root_id
))
EXECUTE FUNCTION guard_blocks_mark();

CREATE TRIGGER guard_blocks_delete AFTER DELETE ON runs FOR EACH ROW
WHEN (OLD.root_id IS NULL)
EXECUTE FUNCTION guard_blocks_mark();

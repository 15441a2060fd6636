-- Changes of the triggers of revision 0100: the wait handler (-6) of an active run runs again and again.

CREATE OR REPLACE FUNCTION guard_nodes_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.status <> 1 AND NEW.status <> 1
    AND NEW.edited_at IS NOT NULL AND NEW.edited_at IS DISTINCT FROM OLD.edited_at
    AND EXISTS (SELECT 1 FROM runs WHERE id = NEW.run_id AND status NOT IN (0, 1))
  THEN
    RETURN NEW;
  END IF;
  IF NEW.position = -6 AND NEW.status = 1 AND EXISTS (SELECT 1 FROM runs WHERE id = NEW.run_id AND status = 1) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a node cannot go from its status to this one' USING ERRCODE = 'check_violation';
END $$;

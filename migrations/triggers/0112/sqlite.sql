-- Changes of the triggers of revision 0100: the wait handler (-6) of an active run runs again and again.

DROP TRIGGER guard_nodes_status;

CREATE TRIGGER guard_nodes_status BEFORE UPDATE OF status ON nodes
WHEN NEW.status <> OLD.status AND NOT (
  (OLD.status = 0 AND NEW.status IN (1, 2, 3, 5)) OR (OLD.status = 1 AND NEW.status IN (2, 3, 4, 5, 6))
  OR (NEW.position = -6 AND NEW.status = 1 AND EXISTS (SELECT 1 FROM runs WHERE id = NEW.run_id AND status = 1))
  OR (
    OLD.status <> 1 AND NEW.status <> 1 AND NEW.edited_at IS NOT NULL AND NEW.edited_at IS NOT OLD.edited_at
    AND EXISTS (SELECT 1 FROM runs WHERE id = NEW.run_id AND status NOT IN (0, 1))
  )
)
BEGIN SELECT RAISE(ABORT, 'a node cannot go from its status to this one'); END;

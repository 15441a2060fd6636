-- Changes of the triggers of revision 0100: the new column of seals is guarded like the others.

DROP TRIGGER guard_audit_seals_update;

CREATE TRIGGER guard_audit_seals_update BEFORE UPDATE ON audit_seals
WHEN NOT (
  OLD.pruned_at IS NULL AND NEW.pruned_at IS NOT NULL AND NEW.marks IS NULL
  AND NEW.number IS OLD.number AND NEW.first_id IS OLD.first_id AND NEW.last_id IS OLD.last_id
  AND NEW.entries IS OLD.entries AND NEW.digest IS OLD.digest AND NEW.hash IS OLD.hash
  AND NEW.signature IS OLD.signature AND NEW.sealed_at IS OLD.sealed_at AND NEW.pruned_up_to IS OLD.pruned_up_to
  AND NOT EXISTS (SELECT 1 FROM audit_seals WHERE number = OLD.number - 1 AND pruned_at IS NULL)
)
BEGIN SELECT RAISE(ABORT, 'a seal is never changed; it may be marked as pruned once, after those before it'); END;

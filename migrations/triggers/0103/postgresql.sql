-- Changes of the triggers of revision 0100: the new column of seals is guarded like the others.

CREATE OR REPLACE FUNCTION guard_audit_seals_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.pruned_at IS NULL AND NEW.pruned_at IS NOT NULL AND NEW.marks IS NULL
    AND NEW.number = OLD.number AND NEW.first_id = OLD.first_id AND NEW.last_id = OLD.last_id
    AND NEW.entries = OLD.entries AND NEW.digest = OLD.digest AND NEW.hash = OLD.hash
    AND NEW.signature = OLD.signature AND NEW.sealed_at = OLD.sealed_at
    AND NEW.pruned_up_to IS NOT DISTINCT FROM OLD.pruned_up_to
    AND NOT EXISTS (SELECT 1 FROM audit_seals WHERE number = OLD.number - 1 AND pruned_at IS NULL)
  THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a seal is never changed; it may be marked as pruned once, after those before it'
    USING ERRCODE = 'check_violation';
END $$;

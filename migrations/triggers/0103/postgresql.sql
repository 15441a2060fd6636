-- Changes of the triggers of revision 0100: the new column of seals is guarded like the others, and a role that cannot
-- read users (dagbook db worker-role) adds only one kind of entry.

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

CREATE FUNCTION guard_audit_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF has_table_privilege('users', 'SELECT') OR (
    NEW.action = 'secret.read' AND NEW.kind = 'run' AND NEW.outcome = 'done' AND NEW.via = 'none'
    AND NEW.address = '' AND COALESCE(NEW.actor, NEW.user_id, NEW.token_id, NEW.token_name, NEW.before) IS NULL
  ) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'the role of a worker adds nothing to the audit but the secrets that runs read'
    USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER guard_audit_insert BEFORE INSERT ON audit FOR EACH ROW
EXECUTE FUNCTION guard_audit_insert();

-- Events of triggers: one is settled once, and a dead one may be discarded or replayed.

CREATE TRIGGER guard_trigger_events_update BEFORE UPDATE ON trigger_events FOR EACH ROW
WHEN (NOT (
  NEW.id = OLD.id AND NEW.trigger_id = OLD.trigger_id AND NEW.key = OLD.key AND NEW.received_at = OLD.received_at
  AND NEW.body_hash IS NOT DISTINCT FROM OLD.body_hash AND (NEW.body IS NOT DISTINCT FROM OLD.body OR NEW.body IS NULL)
  AND (NEW.run_id IS NOT DISTINCT FROM OLD.run_id OR NEW.run_id IS NULL OR OLD.state = 'waiting')
))
EXECUTE FUNCTION guard_refuse('an event of a trigger is never changed; it is settled once');

CREATE TRIGGER guard_trigger_events_state BEFORE UPDATE OF state ON trigger_events FOR EACH ROW
WHEN (NOT (
  NEW.state = OLD.state
  OR (OLD.state = 'waiting' AND NEW.state IN ('started', 'superseded', 'dead', 'discarded'))
  OR (OLD.state = 'dead' AND NEW.state IN ('discarded', 'replayed'))
))
EXECUTE FUNCTION guard_refuse('an event of a trigger is settled once; only a dead one is discarded or replayed');

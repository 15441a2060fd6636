-- Events of triggers: one is settled once, and a dead one may be discarded or replayed.

CREATE TRIGGER guard_trigger_events_update BEFORE UPDATE ON trigger_events
WHEN NOT (
  NEW.id = OLD.id AND NEW.trigger_id = OLD.trigger_id AND NEW.key = OLD.key AND NEW.received_at = OLD.received_at
  AND NEW.body_hash IS OLD.body_hash AND (NEW.body IS OLD.body OR NEW.body IS NULL)
  AND (NEW.run_id IS OLD.run_id OR NEW.run_id IS NULL OR OLD.state = 'waiting')
)
BEGIN SELECT RAISE(ABORT, 'an event of a trigger is never changed; it is settled once'); END;

CREATE TRIGGER guard_trigger_events_state BEFORE UPDATE OF state ON trigger_events
WHEN NOT (
  NEW.state = OLD.state
  OR (OLD.state = 'waiting' AND NEW.state IN ('started', 'superseded', 'dead', 'discarded'))
  OR (OLD.state = 'dead' AND NEW.state IN ('discarded', 'replayed'))
)
BEGIN SELECT RAISE(ABORT, 'an event of a trigger is settled once; only a dead one is discarded or replayed'); END;

-- Alerts: an event is routed once, and a delivery is finished once, unless it is resent.

CREATE TRIGGER guard_alert_events_update BEFORE UPDATE ON alert_events
WHEN NOT (
  NEW.id = OLD.id AND NEW.key = OLD.key AND NEW.at = OLD.at AND NEW.kind = OLD.kind AND NEW.data = OLD.data
  AND NEW.subject_kind = OLD.subject_kind AND NEW.subject = OLD.subject AND NEW.test = OLD.test
  AND NEW.attempt IS OLD.attempt AND (NEW.run_id IS OLD.run_id OR NEW.run_id IS NULL)
  AND (OLD.routed_at IS NULL OR (NEW.routed_at IS OLD.routed_at AND NEW.outcome IS OLD.outcome))
)
BEGIN SELECT RAISE(ABORT, 'an alert event is never changed; it is routed once'); END;

CREATE TRIGGER guard_alert_deliveries_status BEFORE UPDATE OF status, resends ON alert_deliveries
WHEN NOT (
  (NEW.status = OLD.status AND NEW.resends = OLD.resends)
  OR (OLD.status = 'pending' AND NEW.resends = OLD.resends)
  OR (OLD.status <> 'pending' AND NEW.status = 'pending' AND NEW.resends = OLD.resends + 1)
)
BEGIN SELECT RAISE(ABORT, 'a delivery that is finished becomes pending by a resend only'); END;

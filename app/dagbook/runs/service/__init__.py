"""Use cases of runs: start, stop, retry, reschedule, edit a status, queued and scheduled starts."""

__all__ = ["retry", "run_service", "scheduled_runs"]

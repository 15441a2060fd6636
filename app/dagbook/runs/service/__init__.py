"""Use cases of runs: start, stop, retry, reschedule, edit a status, queued and scheduled starts, keys of SSH hosts."""

__all__ = ["approvals", "retry", "run_service", "scheduled_runs"]

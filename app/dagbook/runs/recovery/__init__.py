"""Leases and heartbeat, adoption of orphaned runs, runner failures, clean-up of the spool."""

__all__ = ["hold", "orphans", "supervisor", "takeover"]

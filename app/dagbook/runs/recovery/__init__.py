"""Leases and heartbeat, adoption and end of orphaned runs, runner failures, clean-up of the spool."""

__all__ = ["hold", "ownership", "supervisor"]

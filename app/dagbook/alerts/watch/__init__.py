"""Looks for what no event tells, what is missing, lasts too long or does not work, and sends heartbeats."""

__all__ = ["heartbeat", "loop"]

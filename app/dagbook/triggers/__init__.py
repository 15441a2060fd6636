"""Triggers: what is received from outside becomes an event, and each event is one run, or says why not."""

__all__ = ["after", "dispatch", "inbox", "intake", "looks", "requests", "service", "values"]

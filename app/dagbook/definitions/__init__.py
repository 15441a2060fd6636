"""Use cases of stored definitions."""

__all__ = ["next_starts", "queries", "revisions", "service", "timetable"]

"""Use cases of stored definitions."""

__all__ = ["queries", "revisions", "search", "service", "settings", "timetable"]

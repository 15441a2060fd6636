"""Cron expressions, schedules and durations."""

__all__ = ["cron", "duration", "schedule"]

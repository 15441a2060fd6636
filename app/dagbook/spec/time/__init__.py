"""Cron expressions, schedules and durations."""

__all__ = ["cron", "cron_words", "duration", "schedule"]

"""Cron expressions, schedules and durations."""

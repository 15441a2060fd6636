"""Triggers and their events."""

__all__ = ["events", "looks", "trigger_alerts", "triggers", "upkeep", "upstream_ends"]

"""Triggers and their events."""

__all__ = ["events", "trigger_alerts", "triggers", "upkeep", "upstream_ends"]

"""Triggers and their events."""

__all__ = ["events", "triggers"]

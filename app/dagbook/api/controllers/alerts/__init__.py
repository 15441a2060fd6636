"""Alerts, their channels and rules."""

__all__ = ["alerts", "channels", "rules"]

"""Channels and rules of alerts, their outbox, open and past alerts, deliveries, and what is missing."""

__all__ = ["absences", "alerts", "channels", "deliveries", "events", "rules", "run_mails", "upkeep"]

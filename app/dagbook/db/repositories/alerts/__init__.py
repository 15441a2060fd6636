"""Channels and rules of alerts, their outbox, open and past alerts, and deliveries."""

__all__ = ["alerts", "channels", "deliveries", "events", "rules", "run_mails", "upkeep"]

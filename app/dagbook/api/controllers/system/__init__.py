"""The server and its database: health, metrics, events, audit and maintenance."""

__all__ = ["audit", "doctor", "events", "hold", "monitoring", "overview", "pause", "secrets", "services"]

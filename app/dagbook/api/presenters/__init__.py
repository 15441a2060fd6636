"""Converters from rows and definitions to response structs. Pure."""

__all__ = ["doctor", "history", "people", "present", "queues"]

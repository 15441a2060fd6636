"""Converters from rows and definitions to response structs. Pure."""

__all__ = ["approvals", "doctor", "history", "outputs", "people", "present", "queues", "sources"]

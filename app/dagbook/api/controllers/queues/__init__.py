"""Queues, and the runs in them."""

__all__ = ["queue_items", "queues"]

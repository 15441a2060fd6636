"""Queues: starts queued runs, offers them to workers, changes their order, and pauses everything."""

__all__ = ["dispatcher", "pausing", "queue_loop", "service", "wait_reasons", "worker"]

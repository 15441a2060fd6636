"""Queues: starts queued runs, offers them to workers, and changes their order."""

__all__ = ["dispatcher", "queue_loop", "service", "wait_reasons", "worker"]

"""Queues: starts queued runs, offers them to workers, and changes their order."""

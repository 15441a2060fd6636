"""Execution of one run."""

__all__ = ["approval", "calls", "preparation", "runner", "shared_resources"]

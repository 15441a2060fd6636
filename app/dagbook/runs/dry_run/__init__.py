"""Dry run: preview of a run without executing anything (runtime 21.9)."""

__all__ = ["plan", "step"]

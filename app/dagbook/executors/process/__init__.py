"""Processes of steps: start behind a gate, adoption, signals, exit status."""

__all__ = ["accounts", "descent", "descriptors", "privacy", "proc", "process", "signals"]

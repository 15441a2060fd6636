"""Processes of steps: start behind a gate, adoption, signals, exit status."""

__all__ = ["process"]

"""The mail executor."""

__all__ = ["message", "smtp"]

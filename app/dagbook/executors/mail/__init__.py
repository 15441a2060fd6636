"""The mail executor."""

__all__ = ["smtp"]

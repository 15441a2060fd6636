"""The http executor."""

__all__ = ["request"]

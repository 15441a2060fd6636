"""The http executor."""

__all__ = ["errors", "posting"]

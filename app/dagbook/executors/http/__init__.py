"""The http executor."""

__all__ = ["egress", "errors"]

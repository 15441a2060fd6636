"""The ssh executor."""

__all__ = ["known_hosts"]

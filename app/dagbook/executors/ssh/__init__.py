"""The ssh executor."""

__all__ = ["connection", "known_hosts"]

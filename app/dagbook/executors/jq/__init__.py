"""The jq executor, and jq programs in texts."""

__all__ = ["query"]

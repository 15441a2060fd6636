"""Search and paging of step output."""

__all__ = ["search"]

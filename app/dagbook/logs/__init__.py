"""Search and paging of step output, and search in what recent runs wrote."""

__all__ = ["recent", "search"]

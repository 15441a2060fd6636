"""Parameters, filters, cursors and paging of requests."""

__all__ = ["audit_filter", "cursors", "etags", "lists", "log_paging", "parameters", "run_filters"]

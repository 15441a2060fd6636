"""Parameters, filters, cursors and paging of requests."""

__all__ = ["audit_filter", "log_paging", "parameters", "run_filters"]

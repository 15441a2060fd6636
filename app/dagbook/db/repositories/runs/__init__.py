"""Queries of runs, their attempts, nodes, events and search tables."""

__all__ = [
    "run_export",
    "run_filter",
    "run_history",
    "run_import",
    "run_list",
    "run_writes",
    "runs",
    "status_overrides",
]

"""Queries of runs, their attempts, nodes, events and search tables."""

__all__ = [
    "replacements",
    "run_ends",
    "run_filter",
    "run_history",
    "run_import",
    "run_list",
    "run_overview",
    "run_rows",
    "run_search",
    "run_traces",
    "run_writes",
    "runs",
    "search_index",
    "status_overrides",
    "step_details",
]
